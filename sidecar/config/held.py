"""A config's file from reading it to replacing it, so that no save of an editor is lost in between.

An editor that saves by truncating and writing in place shows others an empty or half a file, and writes on into a file
that another was renamed over. So a file is read once it has settled, and directly before the rename it must still be
the one that was read. There a lease (fcntl(2), ``F_SETLEASE``) tells whether anybody has it open for writing, and makes
whoever opens it just then wait; afterwards, what was saved to the replaced file all the same is given back. Where there
are no leases (network file systems, files of another user), the replaced file is watched for longer instead.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from functools import partial
from io import FileIO
from pathlib import Path

from sidecar.errors import StorageError
from sidecar.files import MAX_SIZE, Snapshot, read_snapshot, replace_unchanged, storage_errors, sync_directory
from sidecar.litellm_hot_reload.bounded import read_up_to, regular_file

QUIET = 2.0
"""Seconds without a change after which a file has settled."""
MAX_WAIT = 30.0
"""Seconds that a file is given to settle."""
_MAX_OPEN = 10.0  # seconds that a settled file is given to be closed by whoever has it open for writing
_GRACE = 0.1  # seconds for a writer that had found the file, but not opened it, when it was replaced
_POLL_INTERVAL = 0.05

_Mark = tuple[int, int, int, int]
"""Device, inode, size, and time of the last change: what a save changes."""


@dataclasses.dataclass
class Held:
    """A settled file at ``path`` and what was read from it; ``snapshot`` and the rest are None if there is none.

    ``busy`` is set if somebody has it open for writing, and does nothing.
    """

    path: Path
    snapshot: Snapshot | None = None
    file: FileIO | None = None
    mark: _Mark | None = None
    busy: bool = False
    leased: bool = False

    def replace(self, data: bytes | None, *, like: Snapshot | None = None) -> bool:
        """As ``replace_unchanged``, for the very file that was read, and not while somebody writes to it.

        No ``data``: remove it. Raises StorageError.
        """
        if data is not None:
            return replace_unchanged(self.path, data, self.snapshot, like=like, claim=self._claim)
        if not self._claim() or read_snapshot(self.path) != self.snapshot:
            return False
        with storage_errors(self.path, "removed"):
            os.unlink(self.path)
        sync_directory(self.path.parent)
        return True

    def late_save(self) -> Snapshot | None:
        """What was saved to the file although it had been replaced, once that has settled. Raises StorageError."""
        if self.file is None or self.snapshot is None or (self.leased and not self._is_awaited()):
            return None
        file = self.file
        with storage_errors(self.path, "read"):
            if self.leased:
                _release(file)
            mark, _, _ = _watch(lambda: _mark(os.fstat(file.fileno())), self.is_written, lambda _: False)
            if mark == self.mark:
                return None
            file.seek(0)
            return self.snapshot._replace(data=read_up_to(file, MAX_SIZE))

    def is_written(self) -> bool:
        """Whether somebody is known to have the file open for writing."""
        taken = self.file and _lease(self.file)
        if self.file and taken:
            _release(self.file)
        return taken is False

    def _claim(self) -> bool:
        if self.file is None:
            return True
        taken = _lease(self.file)
        self.leased = bool(taken)
        return (taken is not False or self.busy) and _mark_of(self.path) == self.mark

    def _is_awaited(self) -> bool:
        """Whether somebody waits for the lease to end, in order to write."""
        end = time.monotonic() + _GRACE
        while fcntl.fcntl(self.file or -1, fcntl.F_GETLEASE) == fcntl.F_RDLCK:
            if time.monotonic() >= end:
                return False
            time.sleep(_POLL_INTERVAL / 2)
        return True


@contextlib.contextmanager
def hold(path: Path, *, expected: bool = False, ours: bytes | None = None) -> Iterator[Held]:
    """The file at ``path``, once it has settled: a missing one too if it is ``expected``.

    What we wrote ourselves, ``ours``, is not waited for. Raises StorageError if it never settles, and what
    ``read_snapshot`` raises.
    """
    end = time.monotonic() + MAX_WAIT
    while time.monotonic() < end:
        with contextlib.ExitStack() as stack:
            held = _read(path, stack)
            if held.file is None or ours is None or held.snapshot is None or held.snapshot.data != ours:
                mark, held.busy, settled = _watch(
                    partial(_mark_of, path), held.is_written, partial(_is_old, expected), end
                )
                if mark != held.mark or not settled:
                    continue
            yield held
            return
    raise changing_error(path)


def changing_error(path: Path) -> StorageError:
    """The error for a file that is changed again and again."""
    return StorageError(f"{path} keeps being changed by something else", hint="Try again once that has stopped.")


def _read(path: Path, stack: contextlib.ExitStack) -> Held:
    try:
        file, about = stack.enter_context(regular_file(path))
    except OSError:  # which this says better, unless it is only missing
        return Held(path, read_snapshot(path))
    return Held(path, read_snapshot(path), file, _mark(about))


def _watch(
    look: Callable[[], _Mark | None],
    is_written: Callable[[], bool],
    is_old: Callable[[_Mark | None], bool],
    end: float | None = None,
) -> tuple[_Mark | None, bool, bool]:
    """Wait until what ``look`` sees has settled: the last look, whether a writer still has it open, whether it did."""
    end = time.monotonic() + MAX_WAIT if end is None else end
    mark, since = look(), time.monotonic()
    while True:
        now = time.monotonic()
        quiet = is_old(mark) or now - since >= QUIET
        written = quiet and is_written()
        if quiet and (not written or now - since >= _MAX_OPEN):
            return mark, written, True
        if now >= end:
            return mark, written, False
        time.sleep(_POLL_INTERVAL)
        if (seen := look()) != mark:
            mark, since = seen, time.monotonic()


def _mark(about: os.stat_result) -> _Mark:
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def _mark_of(path: Path) -> _Mark | None:
    """The mark of what is at ``path``. Raises StorageError, also for a symlink, of which there was none before."""
    try:
        with storage_errors(path, "read"):
            about = os.lstat(path)
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
    if stat.S_ISLNK(about.st_mode):
        raise changing_error(path)
    return _mark(about)


def _lease(file: FileIO) -> bool | None:
    """Take a lease: whoever opens the file for writing waits until it ends.

    False if somebody has done so already, None where there are no leases.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return None
    try:
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)  # which is ignored; the default would end the process
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_old(expected: bool, mark: _Mark | None) -> bool:
    """Whether a file has settled long since; one that is missing, but not ``expected``, never was there."""
    return not expected if mark is None else abs(time.time() - mark[3] / 1e9) >= QUIET


def _release(file: FileIO) -> None:
    with contextlib.suppress(OSError):  # the kernel takes a lease that is in the way for longer than 45 seconds
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
