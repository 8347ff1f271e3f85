"""What the service knows of itself, in one object: the loop reports it, and page, JSON and metrics are made from it.

Everything is kept in memory and bounded, so that nobody who looks waits for a disk. Times are Unix seconds.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sidecar.errors import SidecarError
from sidecar.github.login_code import LoginCode
from sidecar.models.catalog import Omitted
from sidecar.models.credit import Credit
from sidecar.models.history import Event
from sidecar.models.view import Row
from sidecar.settings import Settings
from sidecar.status.figures import Histogram
from sidecar.status.workers import Workers, WorkerView
from sidecar.text import printable

MAX_EVENTS = 1000
"""Events of the history that are kept for the page; the file has more."""
DURATIONS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Problem(NamedTuple):
    """Why the last sync failed; ``kind`` is the error's class, ``since`` when the first failure of this kind was."""

    kind: str
    text: str
    hint: str
    since: float


class View(NamedTuple):
    """Everything at one moment, ``now``; what has not happened yet is 0."""

    now: float
    started: float
    alive: bool = False
    ready: bool = False
    leads: bool = True
    target: str = ""
    plan: str = ""
    token_end: float = 0.0
    last_success: float = 0.0
    last_change: float = 0.0
    next_sync: float = 0.0
    problem: Problem | None = None
    login: LoginCode | None = None
    rows: Sequence[Row] = ()
    omitted: Sequence[Omitted] = ()
    absent: Sequence[str] = ()
    loss: str = ""
    events: Sequence[Event] = ()
    credit: Credit | None = None
    workers: Sequence[WorkerView] = ()
    last_heard: float = 0.0
    served: Sequence[tuple[float, float]] = ()
    spend: Mapping[tuple[str, str], float] | None = None
    syncs: Mapping[str, int] | None = None
    changes: Mapping[str, int] | None = None


class Status:
    """Reported by one thread, read by another. ``trigger`` starts a sync; False if it does not, this minute."""

    def __init__(self, settings: Settings | None = None, trigger: Callable[[], bool] = lambda: False) -> None:
        self.settings, self.trigger = settings or Settings(), trigger
        self.durations = Histogram(DURATIONS)
        self.workers = Workers()
        self._lock = threading.Lock()
        self._alive_until = 0.0
        target = printable(self.settings.config_file or self.settings.models_file, 300)
        self._view = View(0.0, time.time(), target=target)
        self._syncs: Counter[str] = Counter({"success": 0})
        self._changes: Counter[str] = Counter()
        self._events: deque[Event] = deque(maxlen=MAX_EVENTS)

    def beat(self, seconds: float) -> None:
        """A heartbeat; the next one is due within ``seconds``."""
        self._alive_until = time.monotonic() + seconds

    def alive(self) -> bool:
        return time.monotonic() < self._alive_until

    @property
    def ready(self) -> bool:
        return self._view.ready

    def note(self, **changed: Any) -> None:
        """Set fields of the view."""
        with self._lock:
            self._view = self._view._replace(**changed)

    def succeeded(self, seconds: float, *, changed: bool, **fields: Any) -> None:
        """A sync has succeeded after ``seconds``; ``fields`` of the view are what it found."""
        now = time.time()
        with self._lock:
            self._syncs["success"] += 1
            self.durations.observe(seconds)
            changed_at = now if changed else self._view.last_change
            self._view = self._view._replace(
                ready=True, last_success=now, last_change=changed_at, problem=None, **fields
            )

    def failed(self, error: SidecarError, seconds: float = 0.0) -> None:
        """A sync has failed after ``seconds``."""
        kind = type(error).__name__ if type(error) is not SidecarError else "defect"
        with self._lock:
            self._syncs[kind] += 1
            self.durations.observe(seconds)
            before = self._view.problem
            since = before.since if before is not None and before.kind == kind else time.time()
            problem = Problem(kind, printable(error, 600), printable(error.hint, 600), since)
            self._view = self._view._replace(problem=problem)

    def changed(self, events: Iterable[Event], *, counted: bool = True) -> None:
        """These events have come; those of an earlier run are not ``counted``."""
        with self._lock:
            for event in events:
                self._events.append(event)
                self._changes[event.kind] += counted

    def receive(self, body: bytes) -> str:
        """A LiteLLM worker's report; returns why it is refused, or ""."""
        problem = self.workers.receive(body, time.time())
        if not problem:
            self.note(last_heard=time.time())
        return problem

    def view(self) -> View:
        """What is known now."""
        now = time.time()
        workers = self.workers.snapshot(now)
        with self._lock:
            return self._view._replace(
                now=now,
                workers=workers,
                served=tuple(self.workers.latest),
                spend=self.workers.spend(),
                alive=self.alive(),
                events=tuple(self._events),
                syncs=dict(self._syncs),
                changes=dict(self._changes),
            )
