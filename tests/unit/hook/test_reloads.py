"""What ten thousand reloads leave behind."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.paths import ROOT

MOST = 1.0
"""MB that a process may have grown by."""


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("count", "first", "into"),
    [
        pytest.param(10_000, 1_000, [], id="the hook's own"),
        # LiteLLM's tables grow to their size within its first 600.
        pytest.param(1_000, 700, ["router"], id="LiteLLM's router", marks=[pytest.mark.litellm, pytest.mark.nightly]),
    ],
)
def test_memory_is_flat(count, first, into):
    """Reading, comparing and applying a models file that changes each time, with LiteLLM's own router and without."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.reloads", str(count), str(first), *into]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    before, after, applied = map(float, done.stdout.split())
    print(f"{before:.2f} MB after {first} reloads, {after:.2f} MB after {count}")
    assert applied == count
    assert after - before <= MOST
