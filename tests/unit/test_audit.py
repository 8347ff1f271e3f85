"""The audit names, for each promise of the scripts that people come from, tests that exist."""

from __future__ import annotations

import pytest

from tests.support.named_tests import missing, named
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "audit.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.read_text("utf-8").splitlines()
    if line.startswith("| ") and line.split("|")[1].strip().isdigit()
]


def test_there_are_a_hundred():
    """Numbered through, no two the same."""
    assert [int(number) for number, *_ in ROWS] == list(range(1, len(ROWS) + 1))
    assert len({promise for _, promise, *_ in ROWS}) == len(ROWS) >= 100


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_promise_is_held_by_tests_that_exist(row):
    """A promise without a test, or with one that has gone or been renamed, is not kept."""
    _, _, now, tests = row
    assert now and named(tests)
    assert missing(named(tests)) == []
