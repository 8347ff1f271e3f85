"""Gives LiteLLM's requests their turn while there is much to do: on its event loop, or in a thread beside that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

SLICE = 0.005
"""Seconds of work before requests get their turn: one replaced model on LiteLLM 1.110, several on older versions."""
BUSY = 0.001
"""Seconds by which who sleeps wakes up too late where there is other work."""
LONGEST_SLICE = 1.0
"""Seconds that a slice counts for at most: a process that was stopped, or starved, has not worked for so long."""
SHARE = 6
"""How many times as long as a slice took, requests then have for themselves."""


class Slices:
    """Divides long work: after each slice, requests have a third of the time that it took, and, if there are any,
    ``share`` times that time. With six times, the work takes a seventh of the time, and nobody waits much longer.

    Yielding for one loop iteration is not enough: a request takes dozens of them, each of which would wait for a slice.
    Nor is it for a thread, which need not ask anybody, to be interrupted: zlib lets go of the interpreter so often and
    shortly that who waits for it hardly ever gets it.
    """

    def __init__(self, share: int = SHARE) -> None:
        self._share, self._began = share, time.monotonic()

    async def pause(self) -> None:
        """On the event loop."""
        for seconds in self._due():
            await asyncio.sleep(seconds)

    def rest(self) -> None:
        """In a thread of its own."""
        for seconds in self._due():
            time.sleep(seconds)

    def _due(self) -> Iterator[float]:
        worked = min(time.monotonic() - self._began, LONGEST_SLICE)
        if worked < SLICE:
            return
        woken = time.monotonic() + worked / 3
        yield worked / 3
        if self._share and time.monotonic() > woken + BUSY:
            yield self._share * worked
        self._began = time.monotonic()
