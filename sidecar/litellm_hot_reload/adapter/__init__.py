"""Everything that the hook knows of LiteLLM's inside.

LiteLLM changes from release to release. Each module here knows one part of it, in one class for each
generation, chosen by what is there and not by the version number; documented entry points come before inner
members. What is not as it is known is left alone and told in ``Knowledge``.

``routers``    adding, replacing and removing models          ``provider``  its Copilot login
``callbacks``  what it tells about requests                   ``proxy``     the proxy around all that
"""
