"""The page that a run ends with, and what in it is a reason to fail."""

from __future__ import annotations

import itertools
import math
import os
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tests.support.github_paths import EXCHANGE, MODELS

from ..results import litellm_version
from .load import Failure
from .plan import FAULTS, KILL_SIDECAR, KILL_WORKER, NEW_LOGIN, REFUSE_TOKENS, SPOIL
from .processes import Life
from .run import Seen

PROGRAMS = ("sidecar", "LiteLLM worker")
WARM_UP = 300.0
"""Seconds of a life that do not count: what a program loads and keeps when it first needs it."""
BIN = 30.0
"""Seconds whose samples count as one, by their mean: neighbours in time are no evidence of their own."""
JUDGED_FROM = 600.0
"""Seconds that a life has to go on after that for its slope to mean something."""
LEAST = {1: 1.0, 2: 2.0, 3: 4.0}
"""MB, threads, descriptors: growth of less than that in the time that was fitted is none."""
LITELLMS_OWN = {("LiteLLM worker", "RSS, MB"), ("LiteLLM worker", "threads")}
"""Shown, and no reason to fail: the threads are those of its pools, which fill up; the hook has one or two."""
MINUTES = (1, 2, 5, 10, 15, 20, 30, 40)
CERTAINTY = 3.0
"""So many standard errors of the fit are what chance may make of a level line."""


@dataclass(frozen=True)
class Slope:
    """Of one quantity of one program: ``slope`` and its standard ``error`` an hour; None where lives were too short.

    ``gained`` is what it makes of the longest life, and ``least`` what of that may be chance or the last of a warm-up.
    """

    level: float
    most: float
    slope: float | None
    error: float
    gained: float = 0.0
    least: float = 0.0

    @property
    def grows(self) -> bool:
        return self.slope is not None and self.slope > CERTAINTY * self.error and self.gained > self.least

    @property
    def verdict(self) -> str:
        if self.slope is None:
            return "not judged"
        return "grows" if self.grows else "flat"


def fit(lives: Iterable[Life], which: int) -> Slope:
    """Least squares of sample number ``which`` over time: one slope for all lives, and a level for each."""
    xs, ys, samples, lines, longest = list[float](), list[float](), list[float](), 0, 0.0
    for life in lives:
        samples += [sample[which] for sample in life.samples]
        bins = defaultdict[int, list[tuple[float, ...]]](list)
        for sample in life.samples:
            if sample[0] > WARM_UP:
                bins[int(sample[0] / BIN)].append(sample)
        if not life.samples or life.samples[-1][0] < WARM_UP + JUDGED_FROM:
            continue
        x = [statistics.fmean(sample[0] for sample in held) for held in bins.values()]
        y = [statistics.fmean(sample[which] for sample in held) for held in bins.values()]
        lines, longest = lines + 1, max(longest, x[-1] - x[0])
        xs += [value - statistics.fmean(x) for value in x]
        ys += [value - statistics.fmean(y) for value in y]
    level, most = (statistics.median(samples), max(samples)) if samples else (math.nan, math.nan)
    if not lines:
        return Slope(level, most, None, math.nan)
    spread = sum(x * x for x in xs)
    slope = sum(x * y for x, y in zip(xs, ys, strict=True)) / spread
    residual = sum((y - slope * x) ** 2 for x, y in zip(xs, ys, strict=True))
    error = math.sqrt(residual / (len(xs) - lines - 1) / spread)
    return Slope(level, most, 3600 * slope, 3600 * error, slope * longest, LEAST[which])


class Report:
    """``problems`` are the reasons to fail, ``text`` is the page in Markdown."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        failures = seen.asked.failures
        self.excused = [failure for failure in failures if self._without_token(failure)]
        self.failed = [failure for failure in failures if not self._without_token(failure)]
        self.slopes = {
            (what, name): fit([life for life in seen.lives if life.what == what], which)
            for what in PROGRAMS
            for which, name in ((1, "RSS, MB"), (2, "threads"), (3, "descriptors"))
        }
        self.problems = list(self._problems())

    def _without_token(self, failure: Failure) -> bool:
        return any(failure.began < until and failure.ended > since for since, until in self.seen.without_token)

    def _unexplained(self) -> int:
        """Lost connections that no kill explains: a client has one at a time, so each kill takes at most one of it."""
        unexplained, had = 0, defaultdict[int, int](int)
        for when, client in sorted(self.seen.asked.lost):
            had[client] += 1
            unexplained += had[client] > sum(kill < when for kill in self.seen.kills) + self.seen.recycled
        return unexplained

    def _problems(self) -> Iterable[str]:
        seen = self.seen
        if self.failed:
            yield f"{len(self.failed)} requests failed while the token was valid, such as: {self.failed[0].why}"
        if lost := self._unexplained():
            yield f"{lost} connections were lost without a kill"
        if seen.reading.partial:
            yield f"{len(seen.reading.partial)} partial reads, such as: {seen.reading.partial[0]}"
        if seen.uninvited:
            yield f"{seen.uninvited} workers ended that nobody had killed"
        if set(seen.codes) - {-9, 0} or seen.codes[0] != 1:
            yield f"the sidecar's exit codes are {dict(seen.codes)}"
        if len(seen.replaced) < len(seen.kills):
            yield "a killed worker was not replaced"
        if not seen.enough:
            yield f"only {seen.syncs.total()} syncs, and {seen.changes.total()} changes that were served"
        if seen.syncs["defect"]:
            yield f"{seen.syncs['defect']} syncs ended with a defect of the program"
        for (what, name), slope in self.slopes.items():
            if slope.grows and (what, name) not in LITELLMS_OWN:
                yield f"{name} of the {what} grow by {slope.slope:.2f} an hour"

    def silences(self) -> tuple[float, float]:
        """The longest time between two answers to any client: of the whole run, and apart from a worker's absence."""
        moments = sorted(self.seen.asked.when)
        gaps = sorted(((after - before, before, after) for before, after in itertools.pairwise(moments)), reverse=True)
        absent = self.seen.replaced
        apart = (gap for gap, began, ended in gaps if not any(began < b and ended > a for a, b in absent))
        return gaps[0][0], next(apart, math.nan)

    def _over_time(self) -> Iterable[str]:
        """RSS, threads and descriptors of the longest life of each program, as far as it went."""
        for what in PROGRAMS:
            lives = [life for life in self.seen.lives if life.what == what and life.samples]
            if lives:
                samples = max(lives, key=lambda life: life.samples[-1][0]).samples
                cells = []
                for minute in MINUTES:
                    at = min(samples, key=lambda sample: abs(sample[0] - 60 * minute))
                    there = samples[-1][0] >= 60 * minute - BIN
                    cells.append(f"{at[1]:.1f} MB, {at[2]}, {at[3]}" if there else "")
                yield f"| {what}: RSS, threads, descriptors | " + " | ".join(cells) + " |"

    def text(self) -> str:
        seen, asked = self.seen, self.seen.asked
        taken = sorted(asked.seconds)
        silence, apart = self.silences()
        served = sorted(seen.served)
        back = sorted(until - since for since, until in seen.replaced)
        faults = {kind: count for kind, count in sorted(seen.happened.items()) if kind in FAULTS}
        other = sum(count for kind, count in seen.syncs.items() if kind != "success")
        rows = [
            ("duration", f"{seen.seconds / 60:.1f} min (asked for: {seen.minutes:g}), seed {seen.seed}"),
            ("syncs", f"{seen.syncs.total()}, of which {other} failed: {_listed(seen.syncs, 'success')}"),
            ("catalog changes published and served", f"{seen.changes.total()}: {_listed(seen.changes)}"),
            ("faults of GitHub", f"{sum(faults.values())}: {_listed(faults)}"),
            ("logins revoked, and anew", f"{seen.happened[NEW_LOGIN]}"),
            ("tokens refused by Copilot before their end", f"{seen.happened[REFUSE_TOKENS]}"),
            ("api-key.json replaced by anything else", f"{seen.happened[SPOIL]}"),
            ("SIGKILLs", f"sidecar {seen.happened[KILL_SIDECAR]}, LiteLLM worker {seen.happened[KILL_WORKER]}"),
            *([("workers that LiteLLM has replaced itself", f"{seen.recycled}")] if seen.recycled else []),
            ("GitHub was asked", f"exchange {seen.requests[EXCHANGE]}, catalog {seen.requests[MODELS]}"),
            ("client requests", f"{len(taken) + len(asked.failures)}"),
            ("**failed while the token was valid**", f"**{len(self.failed)}**"),
            (
                "failed while Copilot refused the token, or none was valid",
                f"{len(self.excused)} in {sum(b - a for a, b in seen.without_token):.1f} s",
            ),
            (
                "connections lost with a killed worker",
                f"{len(asked.lost)}; asked once more, as HTTP clients do, and answered",
            ),
            ("a killed worker's successor serves after", _spread(back)),
            ("latency", f"p50 {_ms(taken, 0.5)}, p99 {_ms(taken, 0.99)}, longest {_ms(taken, 1)}"),
            ("longest silence of all clients", f"{silence:.2f} s; with both workers there {apart:.2f} s"),
            ("from published to served by every worker", _spread(served)),
            (
                "reads of the models file",
                f"{seen.reading.reads} of {seen.reading.contents} contents, partial: **{len(seen.reading.partial)}**",
            ),
            ("exit codes", f"sidecar {dict(seen.codes)}, LiteLLM {seen.proxy_code}"),
        ]
        return "\n".join(
            [
                "# Soak",
                "",
                f"LiteLLM {litellm_version()} with two workers under 8 clients, sidecar with an interval of 1 s, "
                f"{os.cpu_count()} cores.",
                "",
                "| | |",
                "|---|---|",
                *(f"| {name} | {value} |" for name, value in rows),
                "",
                f"What grows: least squares over means of {BIN:g} s, one slope for all lives of a program that go on "
                f"for {JUDGED_FROM / 60:g} minutes after the first {WARM_UP / 60:g}, which do not count; for that, "
                f"nothing is killed in the last part. Flat is a slope of at most {CERTAINTY:g} standard errors, or one "
                f"that made less than {LEAST[1]:g} MB, {LEAST[2]:g} threads or {LEAST[3]:g} descriptors of it.",
                "",
                "| | median | most | an hour | verdict |",
                "|---|---|---|---|---|",
                *(
                    f"| {what}: {name} | {slope.level:.1f} | {slope.most:.1f} | {_per_hour(slope)} | {slope.verdict} |"
                    for (what, name), slope in self.slopes.items()
                ),
                "",
                "| the longest life, minutes | "
                + " | ".join(f"{minute:g}" for minute in MINUTES)
                + " |\n|---"
                + "|---" * len(MINUTES)
                + "|",
                *self._over_time(),
                "",
                *([f"- **{problem}**" for problem in self.problems] or ["Nothing that may not be."]),
                "",
            ]
        )


def _listed(counts: dict[str, int], *without: str) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()) if kind not in without)


def _ms(taken: list[float], part: float) -> str:
    return f"{1000 * taken[min(len(taken) - 1, int(len(taken) * part))]:.0f} ms" if taken else "–"


def _spread(seconds: list[float]) -> str:
    return f"median {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s" if seconds else "–"


def _per_hour(slope: Slope) -> str:
    return "–" if slope.slope is None else f"{slope.slope:+.2f} ± {slope.error:.2f}"
