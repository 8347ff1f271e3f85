"""A start-up hook for LiteLLM that lets the hook use nothing that LiteLLM has announced to delete.

    LITELLM_WORKER_STARTUP_HOOKS=strict:start,litellm_hot_reload:start

A DeprecationWarning that a module of the hook causes is an error there, and LiteLLM's own count of such uses is kept
in ``uses.json`` beside this file.
"""

from __future__ import annotations

import asyncio
import json
import warnings
from pathlib import Path

HERE = Path(__file__).parent
_TASKS: set[asyncio.Task[None]] = set()


async def start() -> None:
    warnings.filterwarnings("error", category=DeprecationWarning, module=r"litellm_hot_reload(\..*)?$")
    _TASKS.add(asyncio.get_running_loop().create_task(_count()))


async def _count() -> None:
    try:
        from litellm.router_deprecated import DEPRECATED_ROUTER_MEMBER_USES as uses
    except ImportError:
        uses = None
    while True:
        (HERE / "uses.new").write_text(json.dumps(uses if uses is None else dict(uses)))
        (HERE / "uses.new").rename(HERE / "uses.json")
        await asyncio.sleep(0.2)
