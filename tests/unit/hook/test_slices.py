"""How the hook's long work gives way to LiteLLM's requests, by a clock that the test turns."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from sidecar.litellm_hot_reload import slices as hook
from sidecar.litellm_hot_reload.slices import BUSY, LONGEST_SLICE, SHARE, SLICE, Slices


class Clock:
    """Whoever sleeps wakes up ``late`` by so many seconds."""

    def __init__(self, late: float) -> None:
        self.now, self.late, self.slept = 100.0, late, list[float]()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds + self.late

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)


def slept(monkeypatch: pytest.MonkeyPatch, where: str, late: float, *slices: float, share: int = SHARE) -> list[float]:
    """The seconds that requests have after each slice."""
    clock = Clock(late)
    monkeypatch.setattr(hook, "time", SimpleNamespace(monotonic=clock.monotonic, sleep=clock.sleep))
    monkeypatch.setattr(hook, "asyncio", SimpleNamespace(sleep=clock.asleep))
    work = Slices(share)
    for worked in slices:
        clock.now += worked
        asyncio.run(work.pause()) if where == "loop" else work.rest()
    return clock.slept


@pytest.mark.parametrize("where", ["loop", "thread"])
def test_work_in_slices(where, monkeypatch):
    """Nothing is given away before a slice is full; then a third of it, and much more where others are at work."""
    assert slept(monkeypatch, where, 0, SLICE / 2) == []
    assert slept(monkeypatch, where, 0, SLICE / 2, SLICE) == pytest.approx([SLICE / 2])
    assert slept(monkeypatch, where, BUSY / 2, 0.03, 0.03) == pytest.approx([0.01, 0.01])
    assert slept(monkeypatch, where, 2 * BUSY, 0.03, 0.06) == pytest.approx([0.01, SHARE * 0.03, 0.02, SHARE * 0.06])


@pytest.mark.parametrize("where", ["loop", "thread"])
def test_work_that_is_waited_for(where, monkeypatch):
    """It gives away a third, whoever else is at work."""
    assert slept(monkeypatch, where, 2 * BUSY, 0.03, 0.06, share=0) == pytest.approx([0.01, 0.02])


@pytest.mark.parametrize("where", ["loop", "thread"])
def test_a_process_that_was_stopped_goes_on(where, monkeypatch):
    """After minutes in which it did not run it does not rest for many more."""
    assert slept(monkeypatch, where, 2 * BUSY, 600.0) == pytest.approx([LONGEST_SLICE / 3, SHARE * LONGEST_SLICE])
