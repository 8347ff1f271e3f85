"""A start-up hook for LiteLLM that measures, in CPU time of the event loop's thread, how long the loop is held.

    LITELLM_WORKER_STARTUP_HOOKS=litellm_hot_reload:start,meter:start

CPU time and not the wall clock, so that a busy machine is no excuse; and without that of the garbage collector, which
holds the loop for as long as LiteLLM's whole heap takes, whoever set it off. Beside this file it writes ``meter.txt``:
one line for each time that the loop was held, ``<Unix time> <CPU seconds>``. When a file ``control`` appears it lets
LiteLLM itself replace as many models as that says, in one go and by the entry point that it offers for that, and
writes the CPU seconds into ``control.txt``: what a change costs in this very process, without the hook.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TICK = 0.002
_TASKS: set[asyncio.Task[None]] = set()


class Collector:
    """CPU seconds that the garbage collector has taken on this thread."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._thread = threading.get_ident()
        gc.callbacks.append(self._called)

    def _called(self, phase: str, info: object) -> None:
        if threading.get_ident() == self._thread:
            self.seconds += time.thread_time() * (1 if phase == "stop" else -1)


async def start() -> None:
    _TASKS.add(asyncio.get_running_loop().create_task(_watch()))


async def _watch() -> None:
    control = HERE / "control"
    collector = Collector()
    with (HERE / "meter.txt").open("w", buffering=1) as file:
        used = time.thread_time()
        while True:
            await asyncio.sleep(TICK)
            now = time.thread_time() - collector.seconds
            if now - used > TICK:
                file.write(f"{time.time():.3f} {now - used:.4f}\n")
            if control.exists():
                count = int(control.read_text())
                control.unlink()
                seconds = replaced_by_litellm(count)
                (HERE / "control.txt").write_text(f"{seconds}\n")
            used = time.thread_time() - collector.seconds


def replaced_by_litellm(count: int) -> float:
    """CPU seconds that LiteLLM takes to replace ``count`` models, without giving way to anything."""
    from litellm.proxy import proxy_server
    from litellm.types.router import Deployment

    router: Any = proxy_server.llm_router

    def deployments(price: float) -> list[Any]:
        return [
            Deployment(
                model_name=f"control-{number}",
                litellm_params={"model": f"github_copilot/control-{number}", "api_key": f"{price}"},
                model_info={"id": f"control-{number}", "mode": "chat", "input_cost_per_token": price},
            )
            for number in range(count)
        ]

    if hasattr(type(router), "apply"):
        from litellm.router_api import ChangeSet

        router.apply(ChangeSet(upsert=deployments(1e-6)))
        changes, began = ChangeSet(upsert=deployments(2e-6)), time.thread_time()
        router.apply(changes)
        seconds = time.thread_time() - began
        router.apply(ChangeSet(delete=[f"control-{number}" for number in range(count)]))
        return seconds
    for deployment in deployments(1e-6):
        router.upsert_deployment(deployment)
    replaced, began = deployments(2e-6), time.thread_time()
    for deployment in replaced:
        router.upsert_deployment(deployment)
    seconds = time.thread_time() - began
    for number in range(count):
        router.delete_deployment(id=f"control-{number}")
    return seconds
