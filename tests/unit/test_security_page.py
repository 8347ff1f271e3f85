"""The threat model names, for each threat, tests that exist."""

from __future__ import annotations

import pytest

from tests.support.named_tests import missing, named
from tests.support.paths import ROOT

PAGE = ROOT / "SECURITY.md"


def rows() -> list[tuple[str, list[str]]]:
    """Each threat, with the tests in its last column."""
    section = PAGE.read_text("utf-8").partition("\n## Threats\n")[2].partition("\n## ")[0]
    found = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 3 or cells[0] in {"threat", "---"} or (cells[0].startswith("**") and not cells[1]):
            continue
        found.append((cells[0], named(cells[2])))
    return found


ROWS = rows()


def test_there_are_threats():
    """The table is found and read."""
    assert len(ROWS) > 30


@pytest.mark.parametrize(("threat", "tests"), ROWS, ids=[str(number) for number in range(len(ROWS))])
def test_each_threat_has_tests_that_exist(threat, tests):
    """A threat without a test, or with one that has gone or been renamed, is not answered."""
    assert tests, threat
    assert missing(tests) == []
