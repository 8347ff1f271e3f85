"""Ends the process when its loop is stuck for good, so that whoever supervises it starts it anew.

A loop that waits is not stuck: it says by when it will be heard of again (``Status.beat``).
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator

from sidecar.status.state import Status

log = logging.getLogger(__name__)

EXIT_CODE = 75
TICK = 5.0
PATIENCE = 60
"""At so many ticks in a row the loop has to be overdue: for five minutes, longer than all that a sync may wait for."""
_MAX_FRAMES = 30
_REPORT_TIMEOUT = 5.0


class Watchdog:
    """Counts the ticks at which the loop is overdue."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._ticks = 0
        self._last = time.monotonic()

    def is_stuck(self) -> bool:
        """Called at each tick. A late one starts the count again: then the process, or the machine, was stopped."""
        now, last = time.monotonic(), self._last
        self._last = now
        self._ticks = 0 if self._status.alive() or now - last > 2 * TICK else self._ticks + 1
        return self._ticks >= PATIENCE


@contextlib.contextmanager
def watched(status: Status) -> Iterator[None]:
    """End the process with EXIT_CODE if the loop that ``status`` tells of is stuck within the ``with`` block."""
    over = threading.Event()
    threading.Thread(target=_watch, args=(status, over), name="watchdog", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _watch(status: Status, over: threading.Event) -> None:
    watchdog = Watchdog(status)
    while not over.wait(TICK):
        if watchdog.is_stuck():
            with contextlib.suppress(Exception):  # what keeps the loop may keep this too: a log that nobody reads
                reporter = threading.Thread(target=_report, daemon=True)
                reporter.start()
                reporter.join(_REPORT_TIMEOUT)
            os._exit(EXIT_CODE)


def _report() -> None:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    places = {
        names.get(ident, str(ident)): [
            f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}"
            for frame, line in list(traceback.walk_stack(top))[:_MAX_FRAMES]
        ]
        for ident, top in sys._current_frames().items()
    }
    extra = {"event": "service.stuck", "threads": places}
    log.critical("the loop is stuck; this process ends, to be started again", extra=extra)
