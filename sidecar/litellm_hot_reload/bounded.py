"""Reads files of which nothing is known: never waits, never reads more than asked for, and only regular files; and not
again what has not changed.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
import time
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Generic, TypeVar


class NotRegular(OSError):
    """A pipe, a device or a socket where a file is expected."""


@contextlib.contextmanager
def regular_file(path: Path) -> Iterator[tuple[FileIO, os.stat_result]]:
    """``path`` open for reading, and its status. Raises OSError with its name, NotRegular among them."""
    # Without O_NONBLOCK, opening a named pipe would wait for a writer forever.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        about = os.fstat(descriptor)
        if stat.S_ISDIR(about.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(about.st_mode):
            raise NotRegular(errno.EINVAL, "it is not a regular file", str(path))
        with FileIO(descriptor, closefd=False) as file:
            yield file, about
    finally:
        os.close(descriptor)


def read_bounded(path: Path, limit: int, is_owner: Callable[[int], bool] | None = None) -> bytes:
    """The bytes of a regular file of at most ``limit`` bytes, which ``is_owner`` is asked about by its uid.

    Raises OSError with its name, also for another owner or a larger file.
    """
    with regular_file(path) as (file, about):
        if is_owner is not None and not is_owner(about.st_uid):
            raise OSError(errno.EPERM, "it belongs to another user", str(path))
        data = read_up_to(file, limit + 1)  # one byte more: the file may grow while it is read
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes", str(path))
    return data


def map_bounded(path: Path, limit: int) -> memoryview:
    """The same bytes, in memory that goes back to the system with them, as what is freed of the heap may not."""
    data, size = memoryview(mmap.mmap(-1, limit + 1, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)), 0
    with regular_file(path) as (file, _):
        while count := file.readinto(data[size:]):
            size += count
    if size > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes", str(path))
    return data[:size]


def read_up_to(file: FileIO, size: int) -> bytes:
    """At most ``size`` bytes, without taking memory for more than there are."""
    # At once, as a rule: put together from pieces, it would be in memory twice.
    data = file.read(min(size, max(os.fstat(file.fileno()).st_size + 1, 2**16)))
    more = bytearray()
    while data and (left := size - len(data) - len(more)) > 0 and (chunk := file.read(min(2**16, left))):
        more += chunk
    return data + more if more else data


RESTED = 2.0
"""Seconds after which a change of a file shows in its times: two within one tick of its clock may not."""

T = TypeVar("T")


class Unchanged(Generic[T]):
    """What ``read`` makes of the file at ``path``, and read again only once the file may have changed. Raises what it
    raises. From any thread.
    """

    def __init__(self, path: Path, read: Callable[[], T]) -> None:
        self._path, self._read = os.fspath(path), read
        self._kept: tuple[object, T] | None = None

    def __call__(self) -> T:
        kept = self._kept
        try:
            about = os.stat(self._path)
        except OSError:
            self._kept = None
            return self._read()
        # Before reading: what changes meanwhile will have another one.
        stamp = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        found = self._read()
        self._kept = (stamp, found) if time.time() - about.st_ctime > RESTED else None
        return found
