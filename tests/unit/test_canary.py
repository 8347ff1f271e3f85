"""The search for secrets finds what is planted, and says nothing of what may be."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.support import canary, planted
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    return planted.outcomes("tests/unit/planted.py", tmp_path_factory.mktemp("planted"))


def test_every_leak_is_found(said):
    """In each form, and at each place: log, output, file, name, mode, argument, environment, answer."""
    leaks = {name: text for name, text in said.items() if name.startswith("test_leak")}
    assert len(leaks) > 90
    assert [name for name, text in leaks.items() if not text] == []


def test_what_may_be_is_no_leak(said):
    """A secret at its place, one that is masked, and one that a test has declared."""
    fine = {name: text for name, text in said.items() if name.startswith("test_fine")}
    assert len(fine) == len(said) - sum(name.startswith("test_leak") for name in said) > 3
    assert set(fine.values()) == {""}


def test_secrets_are_unique():
    """No two are alike, and each has the length of GitHub's."""
    made = {canary.new("a") for _ in range(1000)}
    assert len(made) == 1000 and {len(secret) for secret in made} == {40}


def test_the_search_costs_little():
    """Searching a megabyte takes less than starting the sidecar once, which many tests do more often than that."""
    data = bytes(range(32, 127)) * 11_000

    def seconds(do):
        began = time.perf_counter()
        do()
        return time.perf_counter() - began

    start = [sys.executable, "-m", "sidecar", "--version"]
    control = min(seconds(lambda: subprocess.run(start, cwd=ROOT, check=True, capture_output=True)) for _ in range(3))
    assert min(seconds(lambda: canary.leaks(data)) for _ in range(3)) < control
