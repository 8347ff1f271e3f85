"""What reports cost LiteLLM: of two that run at the same time one reports, and the same clients ask them in turns.

A block of requests to the one is followed by a block to the other, so that whatever else the machine does is in both.
"""

from __future__ import annotations

import itertools
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.control import Control
from tests.support.receiver import Receiver
from tests.support.waiting import until

from .proxy import Proxy, Worker
from .reload_cost import PREFIX, STAYING, background, stand_in

CLIENTS = 4
BLOCK = 20
"""Requests of each client in a block."""


@dataclass
class Side:
    """Seconds of each request, block by block; ``rss`` in MB, idle and after all requests."""

    blocks: list[list[float]] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        return quantile([seconds for block in self.blocks for seconds in block], share)

    def spread(self, share: float) -> tuple[float, float]:
        """The least and the greatest of the blocks' quantiles."""
        each = [quantile(block, share) for block in self.blocks]
        return min(each), max(each)


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


def rss(proxy: Proxy) -> float:
    (pid,) = proxy.pids()
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc", pid, "status").read_text())
    assert found
    return int(found[1]) / 1024


def run(blocks: int) -> tuple[Side, Side]:
    """With reports, and without."""
    with ExitStack() as stack:
        env = stack.enter_context(stand_in())
        receiver = stack.enter_context(Receiver())
        Control(env["GITHUB_COPILOT_API_BASE"]).set_catalog(items=background())
        proxies = []
        for more in ({"COPILOT_SYNC_URL": receiver.url}, {}):
            proxy = Proxy(Path(stack.enter_context(tempfile.TemporaryDirectory())), {**env, **more})
            proxy.login("ghu_bench")
            proxy.publish(background())
            proxy.start(wait=False)
            stack.callback(proxy.stop)
            proxies.append(proxy)
        sides = (Side(), Side())
        connections = []
        for proxy, side in zip(proxies, sides, strict=True):
            proxy.wait_ready()
            connections.append([worker for _ in range(CLIENTS) for worker in proxy.connect()])
            for worker in connections[-1]:
                stack.callback(worker.close)
                until(lambda worker=worker: worker.chat(PREFIX + STAYING[0]).status == 200, 30, "a first answer")
            side.rss.append(rss(proxy))
        pool = stack.enter_context(ThreadPoolExecutor(CLIENTS))
        for number in range(blocks + 1):
            for side, workers in list(zip(sides, connections, strict=True))[:: 1 if number % 2 else -1]:
                taken = list(itertools.chain(*pool.map(_ask, workers)))
                if number:  # the first ones warm up
                    side.blocks.append(taken)
        for proxy, side in zip(proxies, sides, strict=True):
            side.rss.append(rss(proxy))
        assert receiver.reports() and receiver.refused == []
        # Only a report after these requests has their bills: it comes with a change.
        models = background()[:-1]
        proxies[0].publish(models)
        receiver.published(proxies[0].models_file, [item["id"] for item in models])
        until(receiver.in_step, 30, "a report of the change")
        assert receiver.reports()[-1]["spend"][STAYING[0]][0] > 0
        return sides


def _ask(worker: Worker) -> list[float]:
    taken = []
    for _ in range(BLOCK):
        answer = worker.chat(PREFIX + STAYING[0])
        assert answer.status == 200, answer.text
        taken.append(answer.seconds)
    return taken
