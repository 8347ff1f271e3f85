"""Reads files of which nothing is known: never waits, never reads more than asked for, and only regular files."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path


def read_bounded(path: Path, limit: int, is_owner: Callable[[int], bool] | None = None) -> bytes:
    """The bytes of a regular file of at most ``limit`` bytes, which ``is_owner`` is asked about by its uid.

    Raises OSError with its name, also for a pipe, a device, a directory, a larger file or another owner.
    """
    # Without O_NONBLOCK, opening a named pipe would wait for a writer forever.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        if is_owner is not None and not is_owner(about.st_uid):
            raise OSError(errno.EPERM, "it belongs to another user", str(path))
        # One byte more than the limit: the file may grow while it is read.
        data = bytearray()
        while len(data) <= limit and (chunk := file.read(min(2**16, limit + 1 - len(data)))):
            data += chunk
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes", str(path))
    return bytes(data)
