"""LiteLLM's workers, as far as they are known from their reports.

There are never more than MAX_WORKERS, and one that is silent for three beats is forgotten. No name of a model becomes a
label that the sidecar has not published.

A worker's spend is a sum since it started; what counts is what it adds to the sum that it first reported, so that
neither a restart on either side nor a worker that comes back counts anything twice.

All times are the receiver's, in seconds of one clock, which the caller chooses.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, fields

from sidecar.litellm_hot_reload.allowed import MAX_ENTRIES
from sidecar.litellm_hot_reload.reported import BEAT, MAX_NAME, OTHER
from sidecar.status.figures import Histogram
from sidecar.status.reports import Report, Said, parse_report
from sidecar.text import printable

MAX_WORKERS = 64
SILENCE = 3.5 * BEAT
"""Seconds after which a worker is forgotten: three beats, late as they may be."""
GRACE = 15.0
"""Seconds that a worker has to apply what is published: 300 models take six. It is out of step if it then says so."""
MAX_LABELS = 2 * MAX_ENTRIES
_BOUNDS = (0.5, 1, 1.5, 2, 3, 5, 10, 20, 30, 60)


@dataclass(frozen=True)
class WorkerView(Said):
    """A worker as it is shown; ``worker`` is a small number, which another one gets when this one is gone.

    ``heard`` is when it last reported.
    """

    worker: int
    heard: float
    out_of_step_since: float | None

    @property
    def in_step(self) -> bool:
        return self.out_of_step_since is None


@dataclass
class _Worker:
    number: int
    report: Report
    heard: float
    differs_since: float | None = None

    def view(self) -> WorkerView:
        said = {field.name: getattr(self.report, field.name) for field in fields(Said)}
        since = self.differs_since
        is_late = since is not None and self.heard - since >= GRACE
        return WorkerView(**said, worker=self.number, heard=self.heard, out_of_step_since=since if is_late else None)


class Workers:
    """For any thread. ``digest`` is that of what is published, "" before anything is.

    ``served`` counts the seconds from publishing to being served by all workers; ``latest`` has the last of them: when
    it was published, and how long it took.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: dict[str, _Worker] = {}  # in the order in which they were last heard of
        self.digest, self._published_at = "", 0.0
        self._awaited = set[str]()
        self._last_served: float | None = None
        self._labels: dict[str, None] = {}
        self._spend: dict[tuple[str, str], float] = {}
        self.served = Histogram(_BOUNDS)
        self.latest: deque[tuple[float, float]] = deque(maxlen=100)

    def published(self, digest: str, now: float, models: Iterable[str] = ()) -> None:
        """The models file of this SHA-256 is what everybody is to serve; ``models`` are the ids of the models in it.
        What was there when the service started counts as published too.
        """
        with self._lock:
            for model in models:
                if len(self._labels) < MAX_LABELS:
                    self._labels.setdefault(printable(model, MAX_NAME))
            if digest == self.digest:
                return
            self._forget(now)
            self.digest, self._published_at = digest, now
            for worker in self._workers.values():
                self._compare(worker, now)
            # One may have said so before: a worker looks at the file itself.
            self._awaited = {name for name, one in self._workers.items() if one.differs_since is not None}
            self._last_served = now if len(self._awaited) < len(self._workers) else None
            self._note_served()

    def receive(self, body: bytes, now: float) -> str:
        """Take a report; returns why it is refused, or ""."""
        try:
            report = parse_report(body)
        except ValueError as error:
            return str(error)
        with self._lock:
            self._forget(now)
            worker = self._workers.pop(report.worker, None)
            if worker is None:
                if len(self._workers) >= MAX_WORKERS:
                    self._drop(next(iter(self._workers)))
                used = {one.number for one in self._workers.values()}
                number = next(number for number in range(1, MAX_WORKERS + 1) if number not in used)
                worker = _Worker(number, report, now)
            self._workers[report.worker] = worker
            self._count(worker.report.spend, report.spend)
            worker.report, worker.heard = report, now
            self._compare(worker, now)
            if worker.differs_since is None and report.worker in self._awaited:
                self._last_served = now
                self._no_longer_awaited(report.worker)
        return ""

    def snapshot(self, now: float) -> list[WorkerView]:
        """Every worker that was heard of lately, by its number."""
        with self._lock:
            self._forget(now)
            return sorted((one.view() for one in self._workers.values()), key=lambda view: view.worker)

    def spend(self) -> dict[tuple[str, str], float]:
        """USD by model and source, ``billed`` or ``computed``, of the requests whose bill was to be seen."""
        with self._lock:
            return dict(self._spend)

    def _forget(self, now: float) -> None:
        for name in [name for name, one in self._workers.items() if now - one.heard > SILENCE]:
            self._drop(name)

    def _drop(self, name: str) -> None:
        del self._workers[name]
        self._no_longer_awaited(name)

    def _no_longer_awaited(self, name: str) -> None:
        """This worker has what is published, or is gone; note, once, when the last one had it."""
        if name in self._awaited:
            self._awaited.remove(name)
            self._note_served()

    def _note_served(self) -> None:
        if not self._awaited and self._last_served is not None:
            seconds = max(self._last_served - self._published_at, 0.0)
            self.served.observe(seconds)
            self.latest.append((self._published_at, seconds))

    def _compare(self, worker: _Worker, now: float) -> None:
        if not self.digest or worker.report.digest == self.digest:
            worker.differs_since = None
        elif worker.differs_since is None:
            worker.differs_since = now

    def _count(self, before: dict[str, tuple[float, float]], spend: dict[str, tuple[float, float]]) -> None:
        """Count what has been added to the sums ``before``, and let no sum in ``spend`` be less."""
        for model, sums in spend.items():
            known = before.get(model, (0.0, 0.0))
            label = model if model in self._labels else OTHER
            for source, old, new in zip(("billed", "computed"), known, sums, strict=True):
                if new > old:
                    self._spend[label, source] = self._spend.get((label, source), 0.0) + new - old
            spend[model] = (max(known[0], sums[0]), max(known[1], sums[1]))
