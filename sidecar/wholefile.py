"""Reads a file with its mode and owner, and replaces it by a new one with the same: whole, or not at all.

Unlike ``sidecar.files`` this works on files that belong to somebody: it refuses to change their owner, and
does not overwrite what changed since it was read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sidecar.errors import StorageError, UsageError

_CURES = {
    errno.ENOSPC: "Free some space on its file system.",
    errno.EDQUOT: "Free some space: the quota is used up.",
    errno.EROFS: "Its file system is read-only: mount it writable.",
    errno.EBUSY: "It is a mount point of its own: mount the directory it is in instead.",
    errno.ENOENT: "Its directory is not there: create it.",
    errno.ENOTDIR: "Its directory is not a directory: correct the path.",
    errno.ELOOP: "Its symlinks lead in a circle: correct them.",
}
# Some network file systems cannot fsync a directory; their rename is as durable as they make it.
_NO_DIRECTORY_SYNC = (errno.EINVAL, errno.ENOTSUP)


@dataclass(frozen=True)
class Snapshot:
    """A file as it was read: its bytes, permission bits, owner and group."""

    data: bytes
    mode: int
    uid: int
    gid: int


@contextlib.contextmanager
def storage(path: Path, what: str) -> Iterator[None]:
    """Turn an OSError into a StorageError that names ``path``, ``what`` could not be done, and the cure."""
    try:
        yield
    except OSError as error:
        default = f"Let uid {os.getuid()} read and write it and its directory {path.parent}."
        raise StorageError(
            f"{path} cannot be {what}: {error.strerror}", hint=_CURES.get(error.errno or 0, default)
        ) from error


def snapshot(path: Path) -> Snapshot | None:
    """Read ``path``; None when there is no such file. Raises StorageError, UsageError for what is no file."""
    with storage(path, "read"):
        try:
            # O_NONBLOCK: opening a named pipe would wait for a writer for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            about = os.fstat(file.fileno())
            if stat.S_ISREG(about.st_mode):
                return Snapshot(file.read(), stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid)
    raise UsageError(f"{path} is not a regular file", hint="Name the config file itself.")


def replace(target: Path, data: bytes, before: Snapshot | None, *, like: Snapshot | None = None) -> bool:
    """Make ``target`` hold ``data``, if it still is as ``before`` (None: missing); False when it is not.

    Mode, owner and group are those of ``before``, else of ``like``, else a new file's. Raises
    StorageError; the old file stays.
    """
    temporary = write_beside(target, data, before or like)
    try:
        if snapshot(target) != before:
            return False
        with storage(target, "replaced"):
            os.replace(temporary, target)
    finally:
        # Gone already when the rename worked.
        with contextlib.suppress(OSError):
            os.unlink(temporary)
    sync_directory(target.parent)
    return True


def write_beside(target: Path, data: bytes, like: Snapshot | None) -> Path:
    """Write ``data`` to a temporary file next to ``target``, mode and owner of ``like`` set before any content.

    The file is on the disk, and read back, when this returns. Raises StorageError; then it is gone again.
    """
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.sync")
    with storage(target, "written"):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600 if like else 0o644)
    try:
        try:
            if like:
                _take_over(descriptor, target, like)
            with storage(target, "written"):
                left = memoryview(data)
                while left:
                    left = left[os.write(descriptor, left) :]
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _read_back(temporary, data)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return temporary


def _read_back(path: Path, data: bytes) -> None:
    written = snapshot(path)
    if written is None or written.data != data:
        raise StorageError(f"{path} does not hold what was written to it", hint="Check the disk.")


def _take_over(descriptor: int, target: Path, like: Snapshot) -> None:
    with storage(target, "written"):
        about = os.fstat(descriptor)
    if (about.st_uid, about.st_gid) != (like.uid, like.gid):
        try:
            os.fchown(descriptor, like.uid, like.gid)
        except OSError as error:
            raise StorageError(
                f"{target} belongs to uid {like.uid}, gid {like.gid}, and a new file cannot be given to them",
                hint=f"Run this as uid {like.uid}, or give {target} to uid {os.getuid()}, gid {os.getgid()}.",
            ) from error
    with storage(target, "written"):
        os.fchmod(descriptor, like.mode)


def remove_left(target: Path) -> None:
    """Delete temporary files that a crash left next to ``target``. Call it under the lock of ``target`` only."""
    ours = re.compile(rf"\.{re.escape(target.name)}(\.bak-[^/]*)?\.[0-9a-f]{{12}}\.sync")
    with storage(target.parent, "read"):
        left = [name for name in os.listdir(target.parent) if ours.fullmatch(name)]
    for name in left:
        with contextlib.suppress(OSError):
            os.unlink(target.with_name(name))


def sync_directory(directory: Path) -> None:
    """Make renames in ``directory`` survive a power cut. Raises StorageError."""
    with storage(directory, "made durable"):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NO_DIRECTORY_SYNC:
                raise
        finally:
            os.close(descriptor)
