"""The long run itself: starts everything, lets it happen, and hands over what was seen."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sidecar.litellm_hot_reload.bounded import read_bounded
from sidecar.litellm_hot_reload.models_file import entries_in
from sidecar.litellm_hot_reload.record import MAX_SIZE
from tests.fakes.control import Control
from tests.support.files import PLACES, put_secret
from tests.support.github_paths import EXCHANGE, MODELS
from tests.support.waiting import until

from ..proxy import KEY, Worker
from ..reload_cost import PREFIX, STAYING, stand_in
from .load import Asked, Reading, clients, reader
from .plan import FAULTS, KILL_SIDECAR, KILL_WORKER, NEW_LOGIN, REFUSE_TOKENS, SPOIL, Catalog, Event, events, seen_of
from .processes import Life, Sidecar, Workers

LONG = 40
"""Minutes of the long form."""
CLIENTS = 8
SPOILERS = [
    *(put_there for what, put_there in PLACES.items() if what != "a directory"),
    lambda path: path.write_bytes(b"\xff{]" * 100),
    lambda path: path.symlink_to("nowhere"),
]
"""What somebody may put in the place of LiteLLM's api-key.json."""
RECYCLE = "MAX_REQUESTS_BEFORE_RESTART"
SAMPLE_EVERY, COUNT_EVERY = 5.0, 30.0
LOOK_EVERY = 0.1
RENEWALS = 6
"""Of the Copilot token, in a run: it asks the exchange less often than an hour allows."""


@dataclass
class Seen:
    """All that was seen; times in seconds."""

    seed: int
    minutes: float
    seconds: float = 0.0
    asked: Asked = field(default_factory=Asked)
    reading: Reading = field(default_factory=Reading)
    syncs: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    served: list[float] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    replaced: list[tuple[float, float]] = field(default_factory=list)
    without_token: list[tuple[float, float]] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    proxy_code: int | None = None
    uninvited: int = 0
    recycled: int = 0
    lives: list[Life] = field(default_factory=list)

    @property
    def fewest(self) -> tuple[float, float]:
        """Syncs and changes that the run has to come to; where the machine is busy, it goes on until it has.

        2,000 and 500 in 40 minutes; a fifth of that in the short form, beside which other tests run.
        """
        part = self.minutes / LONG / (1 if self.minutes >= LONG else 5)
        return 2000 * part, 500 * part

    @property
    def enough(self) -> bool:
        return self.syncs.total() >= self.fewest[0] and self.changes.total() >= self.fewest[1]


class Soak:
    """One run; ``changes`` go on in a thread of their own, everything else in ``run``."""

    def __init__(
        self, seen: Seen, control: Control, sidecar: Sidecar, proxy: Workers, say: Callable[[str], None]
    ) -> None:
        self.seen, self.control, self.sidecar, self.proxy, self.say = seen, control, sidecar, proxy, say
        self.catalog = Catalog(random.Random(f"{seen.seed} catalog"))
        self.control.set_catalog(items=self.catalog.items)
        self.events = events(random.Random(f"{seen.seed} events"), 60 * seen.minutes)
        self.rng = random.Random(f"{seen.seed} rest")
        self.over, self.began = threading.Event(), 0.0
        self.killed: dict[str, float] = {}
        self.known: set[str] = set()
        self.heal: list[tuple[float, str]] = []
        self.expired_since = 0.0
        self.next_sample = self.next_count = 0.0
        self.recycles = bool(proxy.env.get(RECYCLE))

    # The catalog: one change after the other, each watched until every worker serves it

    def change_on_and_on(self) -> None:
        while not self.over.is_set():
            what, wanted = self.catalog.change(), self.catalog.shown()
            self.control.set_catalog(items=self.catalog.items)
            if self._wait(lambda wanted=wanted: self.published() == wanted):
                published = self.proxy.models_file.stat().st_mtime
                if self._wait(lambda wanted=wanted: self.is_served(wanted)):
                    self.seen.served.append(time.time() - published)
                    self.seen.changes[what] += 1
            self.over.wait(self.catalog.rng.uniform(0.0, 0.5))

    def published(self) -> dict[str, Any]:
        entries = entries_in(self.proxy.models_file.read_bytes()).values()
        return {entry["model_name"]: seen_of(entry["model_info"]) for entry in entries}

    def is_served(self, wanted: dict[str, Any]) -> bool:
        """Whether every worker that can be reached shows the whole catalog, and there is one."""
        workers = self.proxy.reach()
        return bool(workers) and all(self._shown(worker) == wanted for worker in workers)

    def _shown(self, worker: Worker) -> dict[str, Any] | None:
        try:
            listed = worker.request("GET", "/model/info").json()["data"]
        except (OSError, http.client.HTTPException):  # it was killed
            self.proxy.lost(worker)
            return None
        return {item["model_name"]: seen_of(item["model_info"]) for item in listed}

    def _wait(self, condition: Callable[[], bool]) -> bool:
        while not self.over.is_set():
            if condition():
                return True
            self.over.wait(LOOK_EVERY)
        return False

    # Everything else

    def run(self) -> None:
        self.sidecar.begin()
        self.control.clear()
        self.began = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            changing = pool.submit(self.change_on_and_on)
            try:
                while not self._done() and not changing.done():
                    self._tick()
                    time.sleep(LOOK_EVERY)
                self._tick()
                self._count()
            finally:
                self.over.set()
        changing.result()
        self.seen.seconds = time.monotonic() - self.began

    def _done(self) -> bool:
        minutes, seen = (time.monotonic() - self.began) / 60, self.seen
        if self.recycles and not seen.recycled:
            return False
        if self.events or self.heal or len(seen.replaced) < len(self.killed) or minutes < seen.minutes:
            return False
        return seen.enough or minutes >= 4 * seen.minutes

    def _tick(self) -> None:
        now = time.monotonic()
        self.sidecar.restart_if_ended()
        self._watch_workers(now)
        self._watch_token(now)
        for item in [item for item in self.heal if item[0] <= now]:
            self.control.heal(path=item[1])
            self.heal.remove(item)
        for event in [event for event in self.events if self.began + event.at <= now]:
            if event.what not in (KILL_WORKER, REFUSE_TOKENS) or self._both():
                self.events.remove(event)
                self._happen(event)
        if now >= self.next_sample:
            self.next_sample = now + SAMPLE_EVERY
            self.sidecar.look()
            self.seen.syncs = self.sidecar.syncs
            for life in (self.sidecar.lives[-1], *(self.proxy.lives[pid] for pid in self.proxy.pids())):
                life.sample()
        if now >= self.next_count:
            self.next_count = now + COUNT_EVERY
            self._count()

    def _happen(self, event: Event) -> None:
        self.seen.happened[event.what] += 1
        if event.what in FAULTS:
            self.control.fail(path=event.path, times=event.times, **FAULTS[event.what])
            if event.times is None:
                self.heal.append((time.monotonic() + event.seconds, event.path))
        elif event.what == KILL_SIDECAR:
            self.sidecar.kill()
        elif event.what == KILL_WORKER:
            pid = self.rng.choice(sorted(self.proxy.pids()))
            self.proxy.lives[pid].sample()
            self.killed[pid] = time.monotonic()
            os.kill(int(pid), signal.SIGKILL)
            until(lambda: pid not in self.proxy.pids(), 60, "its end")
        elif event.what == NEW_LOGIN:
            # The person is slower than the service: for a while the token is refused.
            self.control.revoke(token=(self.proxy.token_dir / "access-token").read_text())
            time.sleep(event.seconds)
            self.proxy.login(self.control.new_access_token())
        elif event.what == SPOIL:
            # The workers go on with the token that they have, and put it back.
            other = self.proxy.home / "other"
            self.rng.choice(SPOILERS)(other)
            os.replace(other, self.proxy.api_key_file)
        elif event.what == REFUSE_TOKENS:
            began = time.monotonic()
            self.control.refuse_copilot_tokens()
            until(self._all_answer, 600, "an answer of each worker after Copilot had refused its token", every=0.05)
            self.seen.without_token.append((began, time.monotonic()))

    def _both(self) -> bool:
        """Whether both workers are there and can be reached."""
        return len(self.proxy.reached.keys() & self.proxy.pids()) == 2

    def _all_answer(self) -> bool:
        workers = self.proxy.connect()
        try:
            return all(worker.chat(PREFIX + name).status == 200 for worker in workers for name in STAYING)
        except (OSError, http.client.HTTPException):  # LiteLLM has just replaced it
            return False
        finally:
            for worker in workers:
                worker.close()

    def _watch_workers(self, now: float) -> None:
        """Which have ended without having been killed, and when a killed one's successor serves."""
        alive = self.proxy.pids()
        ended = self.known - alive - self.killed.keys()
        self.seen.recycled = len(self.proxy.finished)
        self.seen.uninvited += len(ended - self.proxy.finished)
        self.known = alive
        waited_for = sorted(self.killed.values())[len(self.seen.replaced) :]
        if waited_for and self._both():
            self.seen.replaced.append((waited_for[0], now))

    def _watch_token(self, now: float) -> None:
        """When the token in LiteLLM's file had run out; what is no token, as after SPOIL, says nothing."""
        try:
            expired = json.loads(read_bounded(self.proxy.api_key_file, MAX_SIZE))["expires_at"] <= time.time()
        except (OSError, ValueError):
            return
        if expired and not self.expired_since:
            self.expired_since = now
        elif self.expired_since and not expired:
            self.seen.without_token.append((self.expired_since, now))
            self.expired_since = 0.0

    def _count(self) -> None:
        """Count the stand-in's requests, and let it forget them."""
        counts = self.control.state()["counts"]
        self.control.clear()
        self.seen.requests.update({path: counts.get(path, 0) for path in (EXCHANGE, MODELS)})
        passed, seen = time.monotonic() - self.began, self.seen
        self.say(
            f"{passed / 60:5.1f} min: {dict(self.sidecar.syncs)}, {seen.changes.total()} changes served, "
            f"{dict(seen.happened)}"
        )


def soak(
    home: Path, minutes: float, seed: int, *, pause: float = 0.0, recycle: int = 0, say: Callable[[str], None]
) -> Seen:
    """Everything in ``home``. ``pause`` is that of the clients in seconds; ``recycle`` lets LiteLLM itself replace each
    worker after so many requests, which leaves no life that is long enough for a slope.
    """
    seen = Seen(seed, minutes)
    with stand_in() as environ:
        control = Control(environ["GITHUB_COPILOT_API_BASE"], timeout=60)
        control.set(token_lifetime=150 * minutes / RENEWALS, refresh_in=60 * minutes / RENEWALS)
        proxy = Workers(home, {**environ, **({RECYCLE: str(recycle)} if recycle else {})})
        put_secret(proxy.token_dir / "access-token", control.new_access_token())
        sidecar = Sidecar(
            {
                **environ,
                "PATH": os.environ["PATH"],
                "HOME": str(home),
                "GITHUB_COPILOT_TOKEN_DIR": str(proxy.token_dir),
                "COPILOT_MODELS_FILE": str(proxy.models_file),
                "COPILOT_MODEL_SYNC_INTERVAL": "1",
                "COPILOT_ACCEPT_LOSS_AFTER": "24",  # a day's worth at the usual interval: here that day is 24 seconds
                "PYTHONWARNINGS": "error",
            },
            home / "sidecar.log",
        )
        try:
            run = Soak(seen, control, sidecar, proxy, say)
            say("starting LiteLLM")
            with proxy:
                wanted = run.catalog.shown()
                until(lambda: run.is_served(wanted) and len(proxy.reached) == 2, 600, "the first models", every=0.2)
                until(run._all_answer, 600, "the first answers", every=0.2)
                with (
                    reader(proxy.models_file, pause / 10) as reading,
                    clients(proxy.port, KEY, CLIENTS, pause) as asking,
                ):
                    run.run()
                    seen.asked, seen.reading = asking.end(), reading.end()
                process = proxy.process
            assert process is not None
            seen.proxy_code = process.returncode
        finally:
            sidecar.end(signal.SIGTERM)
        seen.syncs, seen.codes, seen.kills = sidecar.syncs, sidecar.codes, sorted(run.killed.values())
        seen.lives = [*sidecar.lives, *proxy.lives.values()]
    return seen
