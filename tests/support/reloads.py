"""Reloads in a process of its own: ``python -m tests.support.reloads COUNT FROM [router]`` prints what they take.

The hook's own reader and follower follow a models file that changes each time, into nothing or into LiteLLM's real
router. Prints the process's RSS in MB after FROM reloads and after COUNT, and how many were applied.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sidecar.litellm_hot_reload.adapter.provider import Guard
from sidecar.litellm_hot_reload.follower import Follower
from sidecar.litellm_hot_reload.models_file import ModelsFile
from sidecar.models.entries import models_file_bytes

from .entries import managed_entry
from .files import put


def contents() -> list[bytes]:
    """Models files of which each differs from the next: in a price, in a limit, and in who is there at all."""
    return [
        models_file_bytes(
            [
                managed_entry(f"m{number}", mode="chat", input_cost_per_token=(100 + n) / 1e8, max_tokens=1000 + n)
                for number in range(1 + n % 2)
            ]
        )
        for n in range(6)
    ]


def rss() -> float:
    gc.collect()
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


async def follow(count: int, first: int, router: Any) -> None:
    keeper: Any = SimpleNamespace(is_refused=lambda: False, current=lambda: "x", api_base=lambda: None, problem="")
    guard, knowledge = Guard(keeper), SimpleNamespace(follows="")
    if router:
        guard.install()
    proxy = SimpleNamespace(llm_router=router, llm_model_list=[])
    files, applied, before = itertools.cycle(contents()), 0, None
    with tempfile.TemporaryDirectory() as home:
        models = ModelsFile(Path(home, "models.yaml"))
        follower = Follower(proxy, guard, knowledge, models, None)  # type: ignore[arg-type]
        for number in range(1, count + 1):
            put(models.path, next(files))
            follower.refresh()
            await follower.turn()
            applied += models.wanted is not before and not models.problem
            before = models.wanted
            assert router is None or len(proxy.llm_model_list) == len(models.wanted or {})
            if number in (first, count):
                print(rss())
    print(applied)


if __name__ == "__main__":
    logging.getLogger("copilot_hook").setLevel(logging.ERROR)
    router = None
    if "router" in sys.argv:
        import litellm

        router = litellm.Router(model_list=[])
    asyncio.run(follow(int(sys.argv[1]), int(sys.argv[2]), router))
