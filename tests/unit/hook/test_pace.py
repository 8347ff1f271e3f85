"""How long the waits between two attempts are, and that an hour has no more requests than it may."""

from __future__ import annotations

import itertools
import random

import pytest

from sidecar.litellm_hot_reload import pace


@pytest.mark.parametrize(
    ("failures", "refused", "asked", "seconds"),
    [
        (1, False, None, 1),
        (2, False, None, 1.6),
        (6, False, None, 10.5),
        (100, False, None, 300),
        (10**9, False, None, 300),
        (1, True, None, 10),
        (2, True, None, 20),
        (4, True, None, 80),
        (10**9, True, None, 900),
        (1, False, 0.0, 1),
        (3, False, 0.5, 2.56),
    ],
)
def test_waits(failures, refused, asked, seconds):
    """They begin short and grow; a refusal's are longer; each is a tenth more or less."""
    waits = [pace.wait_after(failures, 300, refused=refused, asked=asked) for _ in range(300)]
    assert 0.89 * seconds <= min(waits) < max(waits) <= 1.11 * seconds


def test_what_github_asks_for_is_waited_out():
    """In full, and not by all installations at the same second."""
    waits = [pace.wait_after(1, 300, asked=600) for _ in range(300)]
    assert 600 <= min(waits) < max(waits) <= 660


def test_an_outage_is_over_soon_after_its_end():
    """Whoever was away for a minute or less is asked again within half a minute; for half of the outages in seconds."""
    attempts = list(itertools.accumulate(pace.wait_after(n, 300) for n in range(1, 30)))
    late = [next(time for time in attempts if time >= end) - end for end in range(1, 61)]
    assert max(late) <= 30 and sorted(late)[30] <= 10
    short = late[:15]
    assert sorted(short)[7] <= 5


def test_no_hour_has_more_than_its_share():
    """Whoever asks as soon as the budget lets him, in bursts of any size, stays within it in every hour."""
    budget, clock, sent, dice = pace.Budget(17), 0.0, [], random.Random(1)
    while clock < 50 * pace.HOUR:
        if not budget.wait(clock):
            budget.spend(clock)
            sent.append(clock)
        clock += dice.choice((0.01, 1, 60, 900)) if not budget.wait(clock) else budget.wait(clock)
    assert len(sent) > 300
    assert all(later - first > pace.HOUR - 0.001 for first, later in zip(sent, sent[17:], strict=False))


def test_a_clock_that_is_set_back_does_not_lock_out():
    """Times that are still to come say nothing."""
    budget = pace.Budget(2, [5000.0, 5001.0])
    assert budget.wait(5002) > 3000 and budget.wait(100) == 0.0


def test_what_is_left_of_an_hour():
    """Neither what is more than an hour ago counts, nor what is from before the clock was set back."""
    budget = pace.Budget(3, [0.0, 10.0, 10_000.0])
    assert [budget.left(now) for now in (20.0, 3600.0, 3610.0, 10_000.0)] == [1, 2, 3, 2]
    budget.spend(10_000.0, 4)
    assert budget.left(10_000.0) == 0
