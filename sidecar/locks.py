"""Locks next to a file: for one update of it, or for as long as a service leads.

The kernel releases a lock when its holder ends, for whatever reason. Its file is unlinked while it is still held: a
waiting process notices, and opens the next one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from sidecar.errors import StorageError
from sidecar.files import remove_leftovers, storage_errors

log = logging.getLogger(__name__)

_POLL_INTERVAL = 0.05
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


class Lock:
    """A lock that is held; without a ``descriptor`` on a file system that knows none, where it keeps nobody out."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path, self.descriptor = path, descriptor

    def __bool__(self) -> bool:
        return self.descriptor is not None

    def release(self) -> None:
        if self.descriptor is not None:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
            os.close(self.descriptor)


def lock_file(target: Path, kind: str) -> Path:
    """Where the lock of ``target`` is."""
    return target.with_name(f".{target.name}.{kind}")


def try_lock(target: Path, kind: str) -> Lock | None:
    """The lock of this ``kind`` next to ``target``; None while another has it. Raises StorageError."""
    path = lock_file(target, kind)
    with storage_errors(target, f"locked with {path.name} next to it"):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        held = False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = _is_at(descriptor, path)
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            _say_no_locks(path.parent)
            return Lock(path, None)
        finally:
            if not held:
                os.close(descriptor)
    return Lock(path, descriptor) if held else None


@contextlib.contextmanager
def update_lock(target: Path, *others: Path, timeout: float = 60.0) -> Iterator[Lock]:
    """Hold the lock of one update of ``target``, and of ``others`` that only go with it; what a crash left behind goes.

    Waits up to ``timeout`` seconds for it. Raises StorageError.
    """
    deadline = time.monotonic() + timeout
    while (lock := try_lock(target, "lock")) is None:
        if time.monotonic() >= deadline:
            raise StorageError(
                f"another sync of {target} is still running", hint="Wait for it, or stop it, which releases its lock."
            )
        time.sleep(_POLL_INTERVAL)
    try:
        for path in (target, *others):
            remove_leftovers(path, alone=bool(lock))
        yield lock
    finally:
        lock.release()


@functools.cache
def _say_no_locks(directory: Path) -> None:
    log.warning(
        "the file system of %s knows no locks: let no two syncs write there at the same time",
        directory,
        extra={"event": "locks.missing"},
    )


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False
