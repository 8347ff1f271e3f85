"""A start-up hook for LiteLLM that measures, in CPU time of the event loop's thread, how long the hook holds the loop.

    LITELLM_WORKER_STARTUP_HOOKS=litellm_hot_reload:start,meter:start

Each step of a turn, from one moment at which others may run to the next, and nothing of what the others do. CPU time
and not the wall clock, so that a busy machine is no excuse; and without that of the garbage collector, which holds the
loop for as long as LiteLLM's whole heap takes, whoever set it off. Beside this file it writes ``meter.txt``: one line
for each step that took long, ``<Unix time> <CPU seconds>``. When a file ``control`` appears it lets LiteLLM itself
replace as many models as that says, in one go and by the entry point that it offers for that, and writes the CPU
seconds into ``control.txt``: what a change costs in this very process, without the hook.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

from litellm_hot_reload.follower import Follower

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


class Steps:
    """A turn of the hook's; ``took`` is told the CPU seconds of each step."""

    def __init__(self, turn: Coroutine[Any, Any, None], took: Callable[[float], object], collector: Collector) -> None:
        self._turn, self._took, self._collector = turn, took, collector

    def __await__(self) -> Generator[Any, Any, None]:
        step = self._turn.__await__()
        while True:
            began = time.thread_time() - self._collector.seconds
            try:
                waits_for = next(step)
            except StopIteration:
                return
            finally:
                self._took(time.thread_time() - self._collector.seconds - began)
            yield waits_for


async def start() -> None:
    collector, turn = Collector(), Follower.turn
    file = (HERE / "meter.txt").open("w", buffering=1)

    def took(seconds: float) -> None:
        if seconds > TICK:
            file.write(f"{time.time():.3f} {seconds:.4f}\n")

    # Before the hook follows: it does once LiteLLM has loaded its configuration.
    Follower.turn = lambda self: Steps(turn(self), took, collector)  # type: ignore[assignment, method-assign]
    _TASKS.add(asyncio.get_running_loop().create_task(_watch()))


async def _watch() -> None:
    control = HERE / "control"
    while True:
        await asyncio.sleep(TICK)
        if control.exists():
            count = int(control.read_text())
            control.unlink()
            seconds = replaced_by_litellm(count)
            (HERE / "control.txt").write_text(f"{seconds}\n")


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
