"""A start-up hook for LiteLLM that writes down which threads are the hook's: their kernel's ids, into ``threads.txt``
beside this file, once the last of them has begun.

    LITELLM_WORKER_STARTUP_HOOKS=litellm_hot_reload:start,own_threads:start
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

NAMES = {"copilot-token", "copilot-models"}
FILE = Path(__file__).with_name("threads.txt")
_TASKS: set[asyncio.Task[None]] = set()


async def start() -> None:
    _TASKS.add(asyncio.get_running_loop().create_task(_write()))


async def _write() -> None:
    while len(found := [str(each.native_id) for each in threading.enumerate() if each.name in NAMES]) < len(NAMES):
        await asyncio.sleep(0.1)
    FILE.write_text(" ".join(found))
