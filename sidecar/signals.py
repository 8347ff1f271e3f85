"""Stops work on SIGTERM and SIGINT, and passes SIGUSR1 on to what asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from sidecar.errors import SidecarError, Stopped

GRACE_PERIOD = 0.4
"""Seconds that running work has to finish by itself after a signal."""
LOOK = 0.1
"""Seconds after which a signal is noticed, at the latest."""


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
        # Not stop.set(): a handler may interrupt whoever holds the lock that it needs.
        self.signal = self.signal or number


def run_until_signalled(
    work: Callable[[threading.Event], int | None], on_usr1: Callable[[], object] | None = None
) -> int:
    """Run ``work`` for its exit code; stop within a second of SIGTERM or SIGINT, even in the middle of a request.

    Python restarts interrupted system calls, so a signal alone would not interrupt a network read. Abandoning the
    work is safe, because files are only ever replaced atomically. ``on_usr1`` is called at each SIGUSR1, and must be
    quick. Raises what ``work`` raises.
    """
    running = _Work(work)
    previous = {number: signal.signal(number, running.handle) for number in (signal.SIGTERM, signal.SIGINT)}
    if on_usr1 is not None:
        previous[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, lambda *_: on_usr1())
    try:
        running.thread.start()
        # Not without a limit: the kernel may have another thread receive the signal, and Python calls handlers in this
        # one alone, as soon as it runs again.
        while running.thread.is_alive() and running.signal is None:
            running.thread.join(LOOK)
        if running.signal is not None:
            running.stop.set()
            running.thread.join(GRACE_PERIOD)
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
    if running.signal and (running.error is None or isinstance(running.error, SidecarError)):
        return 128 + running.signal
    if running.error is not None and not isinstance(running.error, Stopped):
        raise running.error
    return running.code
