"""What a reload costs the clients of a real LiteLLM: measured by scripts/bench.py and held by test_bench.

The stand-in for GitHub and LiteLLM with the hook run as processes, and clients ask without a pause (half of them on
connections that are kept, half on fresh ones): first with nothing changing, for the baseline, then through ten
changes of the catalog.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import requests

from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX
from tests.fakes.catalog import CHAT, RESPONSES, model, tier, tiered
from tests.fakes.control import Control
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.waiting import until

from .proxy import KEY, Proxy, Worker

PREFIX = "github_copilot/"
STAYING = ["stays-one", "stays-two"]
WARM_UP = 4.0
BASELINE = 15.0
POLL = 0.2
PAUSE = 0.5
LONGEST_WAIT = 10.0


def plain(name: str, price: float = 250, context: int = 128_000) -> dict[str, Any]:
    return model(name, endpoints=[CHAT], context=context, billing=tiered(tier(price, 4 * price, price / 10)))


def background(count: int = 20) -> list[dict[str, Any]]:
    """The models that nobody asks: a catalog of the usual size."""
    return [plain(name) for name in STAYING] + [plain(f"model-{n}") for n in range(count)]


class Shown(Protocol):
    """``/model/info`` by model name."""

    def get(self, name: str, default: Any, /) -> Any:
        """A model's, or ``default``."""

    def __contains__(self, name: object, /) -> bool: ...


class Asked:
    """As a worker has it, asked one model at a time: all of 300 are as much work for LiteLLM as six requests."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    def get(self, name: str, default: Any) -> Any:
        key = MANAGED_PREFIX + name.removeprefix(PREFIX)
        answer = self.worker.request("GET", f"/model/info?litellm_model_id={key}")
        return answer.json()["data"][0]["model_info"] if answer.status == 200 else default

    def __contains__(self, name: object) -> bool:
        return self.get(str(name), None) is not None


Change = tuple[str, list[dict[str, Any]], Callable[[Shown], bool]]
OF_ALL = ("prices of all", "limits of all", "remove half", "all back")
"""The changes that are as large as the catalog."""


def changes(count: int = 20) -> Iterator[Change]:
    """Ten changes, one after the other: what it is, the catalog, and how a worker's model info shows it."""

    def limit(name: str, tokens: int) -> Callable[[Shown], bool]:
        return lambda info: info.get(PREFIX + name, {}).get("max_input_tokens") == tokens

    def price(name: str, dollars: float) -> Callable[[Shown], bool]:
        return lambda info: abs(info.get(PREFIX + name, {}).get("input_cost_per_token", 0) - dollars) < dollars / 1e6

    def there(*names: str) -> Callable[[Shown], bool]:
        return lambda info: all(PREFIX + name in info for name in names)

    def gone(*names: str) -> Callable[[Shown], bool]:
        return lambda info: not any(PREFIX + name in info for name in names)

    def mode(name: str, text: str) -> Callable[[Shown], bool]:
        return lambda info: info.get(PREFIX + name, {}).get("mode") == text

    base, last = background(count), f"model-{count - 1}"
    new = plain("new")
    yield "add one", [*base, new], there("new")
    yield "price of one", [*base[1:], plain(STAYING[0], price=500), new], price(STAYING[0], 5e-6)
    yield "limit of one", [*base, plain("new", context=64_000)], limit("new", 48_000)
    yield "remove one", base, gone("new")
    yield "prices of all", [plain(item["id"], price=100) for item in base], price(last, 1e-6)
    yield "add ten", [*base, *(plain(f"more-{n}") for n in range(10))], there("more-0", "more-9")
    yield "limits of all", [plain(item["id"], context=96_000) for item in base], limit(last, 80_000)
    yield "to /responses", [*base, model("new", endpoints=[RESPONSES])], mode("new", "responses")
    yield "remove half", base[: len(base) // 2], gone(last, "new")
    yield "all back", base, there(last)


@dataclass
class Phase:
    """What the clients saw from ``began`` to ``ended``."""

    began: float
    ended: float
    answers: list[tuple[float, float]] = field(default_factory=list)  # (when, seconds)
    failures: list[str] = field(default_factory=list)

    def numbers(self) -> dict[str, Any]:
        taken = sorted(seconds for _, seconds in self.answers)
        moments = [self.began, *sorted(when for when, _ in self.answers), self.ended]
        return {
            "requests": len(self.answers) + len(self.failures),
            "failed": len(self.failures),
            "p50": taken[len(taken) // 2],
            "p99": taken[int(len(taken) * 0.99)],
            "max": taken[-1],
            "longest_gap": max(after - before for before, after in itertools.pairwise(moments)),
        }


class Clients:
    """Ask the models that stay, without a pause, until stopped."""

    def __init__(self, proxy: Proxy, count: int) -> None:
        self.proxy = proxy
        self.answers: list[tuple[float, float]] = []
        self.failures: list[tuple[float, str]] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        session = requests.Session()
        names = itertools.cycle(STAYING if number % 4 < 2 else STAYING[::-1])
        while not self._stop.is_set():
            if number % 2:
                session.close()
                session = requests.Session()
            began = time.monotonic()
            try:
                self._ask(session, next(names))
            except Exception as error:
                self.failures.append((time.monotonic(), f"{type(error).__name__}: {error}"[:300]))
                self._stop.wait(POLL)  # one that is not there would be asked all the time
            else:
                now = time.monotonic()
                self.answers.append((now, now - began))
        session.close()

    def _ask(self, session: requests.Session, name: str) -> None:
        body = {"model": PREFIX + name, "messages": [{"role": "user", "content": "hello"}]}
        answer = session.post(
            f"{self.proxy.url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {KEY}"}, timeout=30
        )
        if answer.status_code != 200 or f"hello from {name}" not in answer.text:
            raise AssertionError(f"HTTP {answer.status_code}: {answer.text}")

    def phase(self, began: float, ended: float) -> Phase:
        return Phase(
            began,
            ended,
            [item for item in list(self.answers) if began <= item[0] < ended],
            [text for when, text in list(self.failures) if began <= when < ended],
        )

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@dataclass
class Result:
    """All that was measured; times in seconds."""

    workers: int
    clients: int
    baseline: dict[str, Any]
    changing: dict[str, Any]
    visible: dict[str, float]
    failures: list[str]


@contextmanager
def stand_in() -> Iterator[dict[str, str]]:
    """The GitHub stand-in as a process of its own; gives the environment that points there."""
    port = free_port()
    command = [sys.executable, "-m", "tests.fakes.github", "--port", str(port), "--access-token", "ghu_bench"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        until(Control(url).healthy, 30, "the stand-in")
        yield {
            "GITHUB_COPILOT_API_KEY_URL": f"{url}/copilot_internal/v2/token",
            "GITHUB_COPILOT_API_BASE": url,
            "COPILOT_INSECURE_HTTP": "true",
        }
    finally:
        process.terminate()
        process.wait(10)


def info(worker: Worker) -> dict[str, Any]:
    listed = worker.request("GET", "/model/info").json()["data"]
    return {item["model_name"]: item["model_info"] for item in listed}


def run(workers: int, clients: int = 8, baseline: float = BASELINE) -> Result:
    """The measurement that test_bench holds: the ten changes of a catalog of the usual size."""
    with under_load(workers, background(), clients) as (proxy, load, watchers):
        return measure(proxy, load, watchers, list(changes()), baseline)


@contextmanager
def under_load(
    workers: int, catalog: list[dict[str, Any]], clients: int = 8, *, hook: bool = True, **how: Any
) -> Iterator[tuple[Proxy, Clients, list[Worker]]]:
    """LiteLLM under load, and a connection to each worker that follows (without the ``hook``: none)."""
    with tempfile.TemporaryDirectory() as home, stand_in() as env, ExitStack() as ending:
        Control(env["GITHUB_COPILOT_API_BASE"]).set_catalog(items=catalog)
        proxy = Proxy(Path(home), env, workers=workers, hook=hook, **how)
        proxy.login("ghu_bench")
        proxy.publish(catalog)
        ending.enter_context(proxy)
        watchers = proxy.connect() if hook else []
        for worker in watchers:
            ending.callback(worker.close)
            until(lambda worker=worker: worker.chat(PREFIX + STAYING[0]).status == 200, 30, "a first answer")
        load = Clients(proxy, clients)
        ending.callback(load.stop)
        time.sleep(WARM_UP)
        yield proxy, load, watchers


def measure(
    proxy: Proxy,
    load: Clients,
    watchers: list[Worker],
    steps: Sequence[Change],
    baseline: float = BASELINE,
    longest: float = LONGEST_WAIT,
) -> Result:
    """First ``baseline`` seconds without a change, then all ``steps``, each as soon as the one before has arrived."""
    github = Control(proxy.env["GITHUB_COPILOT_API_BASE"])
    began = time.monotonic()
    while time.monotonic() < began + baseline:
        # As many questions as the watching of a change takes, so that they do not count as its cost.
        for _ in range(3):
            for worker in watchers:
                Asked(worker).get(PREFIX + STAYING[0], None)
            time.sleep(POLL)
        time.sleep(PAUSE)
    changing_since = time.monotonic()
    visible = {}
    for what, catalog, shown in steps:
        github.set_catalog(items=catalog)
        published = proxy.publish(catalog)
        for worker in watchers:
            until(lambda worker=worker, shown=shown: shown(Asked(worker)), longest, what, every=POLL)
        visible[what] = time.monotonic() - published
        time.sleep(PAUSE)
    ended = time.monotonic()
    return Result(
        proxy.workers,
        len(load._threads),
        load.phase(began, changing_since).numbers(),
        load.phase(changing_since, ended).numbers(),
        visible,
        load.phase(began, ended).failures[:5],
    )


def table(result: Result) -> str:
    lines = [
        f"{result.workers} worker(s), {result.clients} clients without pause, ten changes",
        f"{'':14}{'baseline':>12}{'changing':>12}{'ratio':>8}",
    ]
    for name in ("requests", "failed"):
        lines.append(f"{name:14}{result.baseline[name]:>12}{result.changing[name]:>12}")
    for name in ("p50", "p99", "max", "longest_gap"):
        before, after = result.baseline[name], result.changing[name]
        lines.append(
            f"{name.replace('_', ' '):14}{before * 1000:>9.0f} ms{after * 1000:>9.0f} ms{after / before:>8.2f}"
        )
    slowest = max(result.visible.values())
    lines.append(f"{'visible':14}in every worker at most {slowest:.2f} s after publication")
    return "\n".join([*lines, *result.failures])
