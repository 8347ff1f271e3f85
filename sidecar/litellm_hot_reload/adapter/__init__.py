"""Everything the hook knows about LiteLLM's internals.

LiteLLM changes from release to release. Each module here covers one part of it, with one class per generation,
chosen by what is present and not by the version number; documented entry points are preferred over internal
members. Anything unfamiliar is left alone and reported in ``Knowledge``.

``routers``    adding, replacing and removing models          ``provider``  its Copilot login
``callbacks``  what it reports about requests                 ``proxy``     the proxy around all that
"""
