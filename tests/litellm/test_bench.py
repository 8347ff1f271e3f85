"""What the bench measures holds: reloads cost clients nothing."""

from __future__ import annotations

import pytest

from scripts import bench_reload


@pytest.mark.parametrize("workers", [1, 2])
def test_ten_changes_under_load_cost_no_request(workers):
    """8 clients without pause: no failed request, no half second without an answer, all seen within 3 s."""
    result = bench_reload.run(workers, baseline=5)
    print("\n" + bench_reload.table(result))
    assert result.failures == []
    assert result.changing["failed"] == result.baseline["failed"] == 0
    assert result.changing["requests"] > 100
    assert result.changing["longest_gap"] < 0.5
    assert len(result.visible) == 10 and max(result.visible.values()) < 3
