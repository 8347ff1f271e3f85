"""A start-up hook for LiteLLM that lets the hook use nothing that LiteLLM has announced to delete.

    LITELLM_WORKER_STARTUP_HOOKS=strict:start,litellm_hot_reload:start

A DeprecationWarning that a module of the hook causes is an error there, and LiteLLM's own count of such uses is kept
in ``uses.json`` beside this file; in ``paths.json`` are the fast paths that LiteLLM leaves for the hook's callbacks.
"""

from __future__ import annotations

import asyncio
import json
import warnings
from pathlib import Path
from typing import Any

import litellm

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
        for name, content in (("uses", uses if uses is None else dict(uses)), ("paths", _left())):
            (HERE / f"{name}.new").write_text(json.dumps(content))
            (HERE / f"{name}.new").rename(HERE / f"{name}.json")
        await asyncio.sleep(0.2)


def _left() -> list[str] | None:
    """What LiteLLM would say of its callbacks if the hook's were the only ones; None if it says nothing, or there are
    none of the hook's yet.
    """
    from litellm.proxy.utils import ProxyLogging

    look: Any = getattr(ProxyLogging, "callback_capabilities", None)
    all_of_them = litellm.callbacks
    ours = [one for one in all_of_them if type(one).__module__.startswith("litellm_hot_reload")]
    if look is None or not ours:
        return None
    litellm.callbacks = ours
    found = look()
    litellm.callbacks = all_of_them
    return [name for name, flag in vars(found).items() if flag is True]
