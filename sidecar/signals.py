"""Stops work on SIGTERM and SIGINT."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from sidecar.errors import SidecarError, Stopped

GRACE_PERIOD = 0.4
"""Seconds that running work has to finish by itself after a signal."""


class _Work:
    """``work`` in a separate thread, with its result: an exit code, or the error that it raised."""

    def __init__(self, work: Callable[[threading.Event], int | None]) -> None:
        self.work, self.stop = work, threading.Event()
        self.code = 0
        self.error: BaseException | None = None
        self.signal: int | None = None
        self.thread = threading.Thread(target=self._run, name="work", daemon=True)

    def _run(self) -> None:
        try:
            self.code = self.work(self.stop) or 0
        except BaseException as error:
            self.error = error
        finally:
            self.stop.set()

    def handle(self, number: int, _frame: object) -> None:
        self.signal = self.signal or number
        self.stop.set()


def run_until_signalled(work: Callable[[threading.Event], int | None]) -> int:
    """Run ``work`` for its exit code; stop within a second of SIGTERM or SIGINT, even in the middle of a request.

    Python restarts interrupted system calls, so a signal alone would not interrupt a network read. Abandoning the
    work is safe, because files are only ever replaced atomically. Raises what ``work`` raises.
    """
    running = _Work(work)
    previous = {number: signal.signal(number, running.handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        running.thread.start()
        running.stop.wait()
        running.thread.join(GRACE_PERIOD if running.signal else None)
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
    if running.signal and (running.error is None or isinstance(running.error, SidecarError)):
        return 128 + running.signal
    if running.error is not None and not isinstance(running.error, Stopped):
        raise running.error
    return running.code
