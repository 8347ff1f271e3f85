"""What a worker's report to the sidecar may hold at most, and how often one comes. Pure; the sidecar follows it too.

It is one JSON object: ``worker`` (32 hexadecimal digits, made at random when the worker starts), ``litellm``,
``follows``, ``guarded``, ``unguarded``, ``unknown``, ``digest`` (SHA-256 of the models file of which every entry is
applied, or ""), ``entries`` (how many are served), ``refused`` ([name, reason] of the first ones), ``refusals`` (how
many there are), ``token_end`` (Unix time, or null), ``problem``, and ``spend`` ({model: [USD billed, USD computed]},
since the worker started).
"""

from __future__ import annotations

PATH = "/report"
BEAT = 30.0
"""Seconds between two reports where nothing changes, give or take a tenth."""
MAX_SIZE = 2**16
MAX_TEXT = 300
"""Characters of a text; a name has at most MAX_NAME."""
MAX_NAME = 120
MAX_LISTED = 20
"""Entries of a list."""
MAX_MODELS = 200
OTHER = "other"
"""The model of what is spent beyond MAX_MODELS models."""
