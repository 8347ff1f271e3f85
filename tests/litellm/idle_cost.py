"""What the hook costs a LiteLLM that nobody asks, and what reading a models file costs one that serves.

For scripts/bench.py. Two LiteLLMs run at the same time on equal files, the one without the hook, so that whatever else
the machine does is in both. All threads of theirs count, by what the kernel's scheduler says.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from sidecar.litellm_hot_reload.models_file import entries_in
from sidecar.models.entries import models_file_bytes
from tests.fakes.control import Control
from tests.support import canary
from tests.support.entries import entries_of
from tests.support.waiting import until

from . import own_threads
from .proxy import Proxy
from .reload_cost import plain, stand_in

SETTLE = 30.0
"""Seconds in which LiteLLM, once it answers, still does what it does only once."""
TICK = 0.001


class Stock(Proxy):
    """Started as anybody starts it."""

    def _start_quickly(self) -> None:
        pass


def idle(models: int, seconds: float = 60.0, windows: int = 3, settle: float = SETTLE) -> dict[str, Any]:
    """What the hook costs: CPU seconds an hour in each of ``windows``, of its own threads and as the difference between
    the two LiteLLMs, and MB of memory.
    """
    catalog = [plain(f"model-{number}") for number in range(models)]
    with ExitStack() as stack:
        env = stack.enter_context(stand_in())
        Control(env["GITHUB_COPILOT_API_BASE"]).set_catalog(items=catalog)
        proxies = [
            Stock(Path(stack.enter_context(tempfile.TemporaryDirectory())), env, hook=hook) for hook in (True, False)
        ]
        shutil.copy(own_threads.__file__, proxies[0].home)
        proxies[0].env["LITELLM_WORKER_STARTUP_HOOKS"] += ",own_threads:start"
        for proxy in proxies:
            proxy.login("ghu_bench")
            proxy.publish(catalog)
            proxy.start(wait=False)
            stack.callback(proxy.stop)
        for proxy in proxies:
            proxy.wait_ready()
            until(lambda proxy=proxy: len(proxy.models()) >= models, 60, "all models", every=1)
        time.sleep(settle)
        written = proxies[0].home / own_threads.FILE.name
        threads = until(lambda: written.exists() and written.read_text(), 60, "the hook's threads").split()
        own, spent = list[float](), list[list[float]]([[], []])
        for _ in range(windows):
            before, own_before = [cpu(proxy) for proxy in proxies], cpu(proxies[0], threads)
            time.sleep(seconds)
            own.append((cpu(proxies[0], threads) - own_before) / seconds * 3600)
            for kept, proxy, then in zip(spent, proxies, before, strict=True):
                kept.append((cpu(proxy) - then) / seconds * 3600)
        memory = {
            f"{kind.lower()}_mb": tuple(round(memory_of(proxy, kind), 1) for proxy in proxies)
            for kind in ("Rss", "Pss", "Private_Dirty")
        }
        return {
            "models": models,
            "own_s_per_hour": tuple(own),
            "difference_s_per_hour": tuple(ours - plain for ours, plain in zip(*spent, strict=True)),
            "without_s_per_hour": tuple(spent[1]),
            **memory,  # (with the hook, without)
        }


def cpu(proxy: Proxy, threads: Collection[str] = ()) -> float:
    """CPU seconds of the proxy so far, of all its threads, or of these alone, which must be there."""
    spent, seen = 0, 0
    for pid in _pids(proxy):
        for thread in Path("/proc", str(pid), "task").iterdir():
            if threads and thread.name not in threads:
                continue
            with contextlib.suppress(OSError):  # it has ended
                spent += int((thread / "schedstat").read_text().split()[0])
                seen += 1
    assert not threads or seen == len(threads), f"of {threads}, {seen} are there"
    return spent / 1e9


def memory_of(proxy: Proxy, kind: str) -> float:
    """MB of the proxy, ``kind`` as in smaps_rollup."""
    texts = [Path("/proc", str(pid), "smaps_rollup").read_text() for pid in _pids(proxy)]
    return sum(int(size) for text in texts for size in re.findall(rf"^{kind}:\s+(\d+)", text, re.MULTILINE)) / 1024


def _pids(proxy: Proxy) -> list[int]:
    assert proxy.process is not None
    return sorted({proxy.process.pid, *canary.descendants(proxy.process.pid)})


def reader(models: int, repeat: int = 3) -> dict[str, Any]:
    """The hook's reader and PyYAML's own loader in Python on the same bytes, each in a thread beside an event loop.

    Of each, the least CPU seconds, and the longest that the loop was kept from its turn, in seconds of CPU of the
    process within that time, so that what other processes do does not count.
    """
    data = models_file_bytes(entries_of([plain(f"model-{number}") for number in range(models)]))
    ways: dict[str, Callable[[], Any]] = {
        "hook": lambda: entries_in(data),
        "python": lambda: yaml.load(data, Loader=yaml.SafeLoader),
        "libyaml": lambda: yaml.load(data, Loader=yaml.CSafeLoader),
    }
    found: dict[str, Any] = {"models": models, "bytes": len(data)}
    for name, read in ways.items():
        runs = [asyncio.run(_beside(read)) for _ in range(repeat)]
        found[f"{name}_cpu_s"], found[f"{name}_block_s"] = (min(values) for values in zip(*runs, strict=True))
    return found


async def _beside(work: Callable[[], Any]) -> tuple[float, float]:
    """CPU seconds of ``work`` in a thread, and the longest block of the loop beside it."""
    longest, began = 0.0, time.process_time()
    task = asyncio.create_task(asyncio.to_thread(work))
    while not task.done():
        before = time.process_time()
        await asyncio.sleep(TICK)
        longest = max(longest, time.process_time() - before)
    await task
    return time.process_time() - began, longest
