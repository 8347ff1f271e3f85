"""Wakes a waiting thread when something is put into a directory (inotify(7) of Linux).

The kernel tells what is done on this machine, and not what another one does on a network file system: whoever waits has
to look for himself now and then.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Collection

CLOSE_WRITE, MOVED_TO, MOVE_SELF = 0x8, 0x80, 0x800
GATHER = 0.05
"""Seconds after the first notice, in which more may follow: to publish a file takes several steps, and a directory in
which something is written all the time shall not be looked at all the time.
"""
MAX_NOTICES = 2**16


class Inotify:
    """What becomes of some files, by what happens in their directories. For one thread, which closes it."""

    def __init__(self) -> None:
        self._libc, self._descriptor = None, -1
        with contextlib.suppress(ImportError, AttributeError, OSError):  # no ctypes, no such system, another C library
            import ctypes

            self._libc = ctypes.CDLL(None)
            # Its flags are those of files; below 0 if the user has as many as he may.
            self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        if self._descriptor >= 0:
            self._poll.register(self._descriptor, select.POLLIN)
        self._watched: list[str] | None = None

    def close(self) -> None:
        """Once is enough."""
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def watches(self, files: list[str]) -> bool:
        """Whether the kernel tells from now on when one of these files is replaced or was written to."""
        if self._watched != files:
            self._watched = files if self._watch(files) else None
        return self._watched is not None

    def wait(self, seconds: float) -> None:
        """Wait until the kernel tells something, or ``seconds`` have passed."""
        if self._poll.poll(seconds * 1000):
            time.sleep(GATHER)
            with contextlib.suppress(OSError):
                os.read(self._descriptor, MAX_NOTICES)
            self._watched = None  # what was a directory, or a link to one, may be another one now

    def _watch(self, files: Collection[str]) -> bool:
        if self._libc is None or self._descriptor < 0:
            return False
        # A file that is a link is changed here, as in a ConfigMap, or where it leads.
        places = {os.path.dirname(os.path.abspath(path)) for path in files}
        places |= {os.path.dirname(os.path.realpath(path)) for path in files}
        events = CLOSE_WRITE | MOVED_TO | MOVE_SELF
        told = [self._libc.inotify_add_watch(self._descriptor, os.fsencode(place), events) for place in places]
        return min(told, default=-1) >= 0
