"""A real Prometheus watches real sidecars, each in a state of its own: what fires, and what the dashboard shows."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

import pytest

from sidecar.litellm_hot_reload.report import encoded, post
from sidecar.status.metrics import METRICS
from tests.fakes.catalog import model
from tests.fakes.github import GitHub
from tests.monitoring.prometheus import EVERY, Prometheus
from tests.monitoring.rules import MONITORING, hurried, rules
from tests.support.bench import Bench
from tests.support.processes import Process
from tests.support.tools import missing
from tests.support.waiting import until

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

FACTOR = 200
"""How much faster than in the rules time goes: 75 minutes are 22.5 seconds."""
INTERVAL = 5
SILENCE = 3.0
"""Seconds after which a worker that does not report is gone, and those that one has to apply a change."""
IMPATIENT = f"""
from sidecar.status import workers
workers.SILENCE = workers.GRACE = {SILENCE}
from sidecar.cli import entry
entry()
"""
LOGIN, FAILING, STALE = "CopilotLoginNeeded", "CopilotSyncFailing", "CopilotModelListStale"


class Worker:
    """A worker of LiteLLM's, which reports every half second that it serves the models file, or else another one."""

    def __init__(self, bench: Bench) -> None:
        self._bench, self._stop = bench, threading.Event()
        self.behind = False
        self.drift = 1.0
        self._usd = 0.0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            self._usd += 0.5
            try:
                content = b"" if self.behind else self._bench.models_file.read_bytes()
            except OSError:
                continue
            state = {
                **{"worker": "0" * 32, "litellm": "1.110.2", "follows": "the registry", "problem": ""},
                **{"guarded": [], "unguarded": [], "unknown": [], "refused": [], "refusals": 0, "token_end": None},
                **{"digest": hashlib.sha256(content).hexdigest(), "entries": 2},
                "spend": {"gpt-4o": (self._usd, self._usd * self.drift)},
            }
            with contextlib.suppress(OSError):
                post("127.0.0.1", self._bench.port, encoded(state), 5.0)

    def end(self) -> None:
        self._stop.set()
        self._thread.join()


class Scene(Bench):
    """A sidecar that is logged in and serves a worker, all of it fine."""

    def __init__(self, gh: GitHub, directory: Path, undo: contextlib.ExitStack) -> None:
        super().__init__(gh, directory)
        self.undo = undo
        self.worker: Worker | None = None

    def begin(self, *, logged_in: bool = True) -> None:
        if logged_in:
            self.token = self.log_in()
        environ = {**self.environ, "COPILOT_MODEL_SYNC_INTERVAL": str(INTERVAL)}
        self.processes.append(Process(["run"], environ, program=["-c", IMPATIENT]))

    def work(self) -> None:
        until(self.models_file.exists)
        self.worker = Worker(self)
        self.undo.callback(self.worker.end)

    def stop_working(self) -> None:
        assert self.worker
        self.worker.end()


@dataclass(frozen=True)
class State:
    """What brings a sidecar into it and ends it, its alerts, and the ``state`` that its page says meanwhile."""

    state: str
    alerts: set[str]
    on: Callable[[Scene], object]
    off: Callable[[Scene], object]
    logged_in: bool = True
    before: Callable[[Scene], object] = lambda scene: None


def small_disk(scene: Scene) -> None:
    """The models file is on a file system of a megabyte."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(scene.shared)]
    made = subprocess.run(mount, capture_output=True, text=True, check=False)
    if made.returncode:
        missing(f"only root may mount a file system: {made.stderr}")
    scene.undo.callback(subprocess.run, ["umount", "-l", str(scene.shared)], check=False)


def fill(scene: Scene) -> None:
    """No space is left, and there is something new to write."""
    with contextlib.suppress(OSError), (scene.shared / "filling").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    scene.gh.set_catalog([*scene.gh.catalog, model("new")])


def set_worker(**values: object) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        assert scene.worker
        vars(scene.worker).update(values)

    return change


def credit(ratio: float) -> Callable[[Scene], object]:
    left = {"entitlement": 1000, "remaining": int(1000 * ratio), "percent_remaining": 100 * ratio, "unlimited": False}
    return lambda scene: scene.gh.set(user_fields={"quota_snapshots": {"premium_interactions": left}})


def said_by(scene: Scene) -> str:
    """The state that the sidecar's page says; nothing if it is gone."""
    answer = scene.ask("/api/status")
    return str(answer.json()["state"]) if answer is not None else ""


STATES = {
    "fine": State(
        "fine", set(), lambda scene: scene.gh.set_catalog([*scene.gh.catalog, model("new")]), lambda scene: None
    ),
    "waiting for login": State(
        "login_needed", {LOGIN, STALE}, lambda scene: None, lambda scene: scene.log_in(), logged_in=False
    ),
    "revoked": State(
        "login_refused",
        {LOGIN, STALE},
        lambda scene: (scene.gh.revoke(scene.token), scene.gh.expire_copilot_tokens()),
        lambda scene: scene.log_in(),
    ),
    "no subscription": State(
        "no_subscription",
        {LOGIN, STALE},
        lambda scene: (scene.gh.no_subscription(), scene.gh.expire_copilot_tokens()),
        lambda scene: (scene.gh.no_subscription(False), scene.log_in()),
    ),
    "GitHub down": State("github_down", {FAILING, STALE}, lambda scene: scene.gh.down(), lambda scene: scene.gh.up()),
    "rate limited": State(
        "rate_limited",
        {FAILING, STALE},
        lambda scene: (scene.gh.rate_limit(1000, retry_after=6), scene.gh.expire_copilot_tokens()),
        lambda scene: scene.gh.rate_limit(0),
    ),
    "disk full": State(
        "storage", {FAILING, STALE}, fill, lambda scene: (scene.shared / "filling").unlink(), before=small_disk
    ),
    "sidecar gone": State(
        "", {"CopilotSidecarGone"}, lambda scene: scene.processes[0].signal(SIGKILL), lambda scene: scene.begin()
    ),
    "worker out of step": State(
        "worker_out_of_step", {"CopilotWorkerOutOfStep"}, set_worker(behind=True), set_worker(behind=False)
    ),
    "LiteLLM gone": State(
        "litellm_gone", {"CopilotLiteLLMGone"}, lambda scene: scene.stop_working(), lambda scene: scene.work()
    ),
    "credit low": State("fine", {"CopilotCreditLow"}, credit(0.1), credit(0.9)),
    "credit gone": State("credit_gone", {"CopilotCreditGone"}, credit(0), credit(0.9)),
    "billed otherwise": State("fine", {"CopilotSpendDrift"}, set_worker(drift=0.5), set_worker(drift=1.0)),
}


@dataclass(frozen=True)
class Watched:
    """What has fired in each state, what the pages said then, and Prometheus when all is well again."""

    fired: Mapping[str, set[str]]
    said: Mapping[str, str]
    prometheus: Prometheus


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    home = tmp_path_factory.mktemp("states")
    with contextlib.ExitStack() as undo:
        scenes: dict[str, Scene] = {}
        for name, state in STATES.items():
            (home / name).mkdir()
            gh = undo.enter_context(GitHub([model("gpt-4o"), model("gpt-5-mini")]))
            scenes[name] = scene = Scene(gh, home / name, undo)
            state.before(scene)
            scene.begin(logged_in=state.logged_in)
            undo.callback(scene.close)
        (home / "prometheus").mkdir()
        targets = {name: f"127.0.0.1:{scene.port}" for name, scene in scenes.items()}
        prometheus = undo.enter_context(Prometheus(home / "prometheus", targets, hurried(FACTOR)))
        for name, scene in scenes.items():
            if STATES[name].logged_in:
                until(scene.names, what=f"the models of {name!r}")
            scene.work()
        until(
            lambda: len(prometheus.query("copilot_sync_worker_in_step == 1")) == len(STATES),
            what="all workers",
            every=EVERY,
        )
        # For some seconds after its start Prometheus has no target, and no sidecar.
        until(lambda: not prometheus.firing(), what="quiet", every=EVERY)
        began = time.monotonic()
        for name, state in STATES.items():
            state.on(scenes[name])
        expected = {name: state.alerts for name, state in STATES.items() if state.alerts}

        def fired() -> Mapping[str, set[str]]:
            found = prometheus.fired(time.monotonic() - began)
            return found if all(alerts <= found.get(name, set()) for name, alerts in expected.items()) else {}

        alerts = until(fired, 180, "each alert", every=EVERY)
        said = {name: said_by(scene) for name, scene in scenes.items()}
        for name, state in STATES.items():
            state.off(scenes[name])
        until(lambda: not prometheus.firing(), 180, "the end of all alerts", every=EVERY)
        yield Watched(alerts, said, prometheus)


def test_each_state_has_its_alerts_and_no_other(watched: Watched) -> None:
    """What fires is what belongs to the state, and nothing where all is fine; and it ends."""
    assert watched.fired == {name: state.alerts for name, state in STATES.items() if state.alerts}
    seen = {alert for state in STATES.values() for alert in state.alerts}
    # What counts requests to GitHub knows it by its name, which the stand-in does not have.
    assert {rule["alert"] for rule in rules()} - seen == {"CopilotAsksTooOften"}


def test_each_state_is_said_in_a_sentence(watched: Watched) -> None:
    """The page names each of them, and goes by what matters most."""
    assert watched.said == {name: state.state for name, state in STATES.items()}


def test_every_metric_is_there_with_its_help(watched: Watched) -> None:
    """Prometheus has each metric of the sidecar's, with the type and the help that the docs show."""
    known = {name: item for name, item in watched.prometheus.metadata().items() if name.startswith("copilot_")}
    assert {name: (item["type"], item["help"]) for name, item in known.items()} == {
        name: (kind, text) for name, (kind, text, _) in METRICS.items()
    }
    assert {name for name in METRICS if not watched.prometheus.query(f'{{__name__=~"{name}(_count)?"}}')} == set()


def test_every_query_of_the_dashboard_has_data(watched: Watched) -> None:
    """Each panel shows numbers, for one sidecar and for all."""
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    for panel in panels:
        for query in panel["targets"]:
            for instance in (".*", "fine"):
                found = watched.prometheus.query(query["expr"].replace("$instance", instance))
                assert found and any(math.isfinite(value) for _, value in found), (panel["title"], query["expr"])
