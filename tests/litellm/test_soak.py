"""The short form of scripts/soak.py: everything at once, and nothing breaks it. And what its report would find."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from .soak.load import Asked, Failure, Reading
from .soak.processes import Life
from .soak.report import Report, fit
from .soak.run import Seen, soak

PAUSE = 0.5
"""Seconds between two requests of a client: other tests run beside this one."""
RECYCLE = 500
"""Requests after which LiteLLM replaces a worker by itself (``--max_requests_before_restart``)."""


@pytest.mark.nightly
@pytest.mark.timeout(1500)
def test_a_minute_of_everything(tmp_path):
    """Faults, changes, kills and LiteLLM's own restarts: no request fails, nothing partial is read, exit codes hold."""
    seen = soak(tmp_path, 1, seed=11, pause=PAUSE, recycle=RECYCLE, say=print)
    report = Report(seen)
    print(report.text())
    assert report.problems == []
    assert seen.recycled and seen.kills and seen.codes[-9] and seen.asked.when


def lives(an_hour: float, seconds: float = 1500.0) -> list[Life]:
    """Three lives of a sidecar with other levels of memory, which grows by so many MB an hour, and noise upon it."""
    rng = random.Random(1)
    return [
        Life("sidecar", 1, 0.0, [(at, level + an_hour * at / 3600 + rng.gauss(0, 0.3), 4, 9) for at in times])
        for level, times in ((40, range(0, 200, 5)), (52, range(0, 90, 5)), (44, range(0, int(seconds), 5)))
    ]


@pytest.mark.parametrize(("an_hour", "verdict"), [(0, "flat"), (-3, "flat"), (2, "flat"), (5, "grows"), (20, "grows")])
def test_what_grows_is_found_and_what_does_not_is_not(an_hour, verdict):
    """Five megabytes an hour are seen in 25 minutes, beside lives that begin at other levels; less than one is none."""
    slope = fit(lives(an_hour), 1)
    assert slope.verdict == verdict and abs(slope.slope - an_hour) < 1


def test_short_lives_are_not_judged():
    """Where everything is killed every few minutes, nothing is known of what would grow."""
    assert fit(lives(20, seconds=400), 1).verdict == "not judged"


GOOD = Seen(
    1,
    2,
    seconds=120,
    syncs=Counter(success=100),
    changes=Counter(price=30),
    codes=Counter({-9: 1, 0: 1}),
    kills=[50.0],
    replaced=[(50.0, 60.0)],
    without_token=[(80.0, 85.0)],
    asked=Asked(lost=[(50.1, 1), (50.2, 2)], failures=[Failure(84.0, 84.5, "HTTP 401")]),
)
BAD: dict[str, dict[str, Any]] = {
    "1 requests failed while the token was valid": {"asked": Asked(failures=[Failure(85.1, 85.2, "HTTP 401")])},
    "2 connections were lost without a kill": {"asked": Asked(lost=[(49.0, 1), (51.0, 2), (52.0, 2)])},
    "1 partial reads": {"reading": Reading(partial=["half"])},
    "1 workers ended that nobody had killed": {"uninvited": 1},
    "the sidecar's exit codes": {"codes": Counter({-9: 1, 0: 1, 1: 1})},
    "a killed worker was not replaced": {"replaced": []},
    "only 10 syncs": {"syncs": Counter(success=10)},
    "of the program": {"syncs": Counter(success=100, defect=1)},
    "RSS, MB of the sidecar grow": {"lives": lives(20)},
}


@pytest.mark.parametrize("what", BAD)
def test_what_may_not_be_is_a_problem(what):
    """A run without it has none."""
    assert Report(GOOD).problems == []
    (problem,) = Report(replace(GOOD, **BAD[what])).problems
    assert what in problem
