"""What the bench measures holds: reloads cost clients nothing."""

from __future__ import annotations

import pytest

from .reload_cost import run, table

LONGEST_SILENCE = 0.15
"""Seconds without an answer that nobody notices; or twice what it is in the same run without a change."""


@pytest.mark.alone
@pytest.mark.feature("follows", "updates")
@pytest.mark.parametrize("workers", [1, 2])
def test_ten_changes_under_load_cost_no_request(workers, record_figure):
    """8 clients without pause: no failed request, no silence that is not there without changes, every change seen."""
    result = run(workers, baseline=10)
    print("\n" + table(result))
    silence, usual = result.changing["longest_gap"], result.baseline["longest_gap"]
    record_figure(f"ten changes, {workers} worker(s): longest silence, ms", round(silence * 1000))
    record_figure(f"the same without a change ({workers} worker(s)), ms", round(usual * 1000))
    seen = max(result.visible.values())
    record_figure(f"a change in every worker after at most, s ({workers} worker(s))", round(seen, 2))
    assert result.failures == []
    assert result.changing["failed"] == result.baseline["failed"] == 0
    assert result.changing["requests"] > 100
    assert silence <= max(2 * usual, LONGEST_SILENCE)
    assert len(result.visible) == 10
