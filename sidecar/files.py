"""Replaces files atomically: a reader, or a crash at any moment, sees either the old bytes or the new ones.

The steps: a temporary file in the same directory, with its final mode, owner and ACL before any content; fsync;
rename; fsync of the directory. Temporary names are random, so leftovers of a crash never get in the way. Only regular
files of a bounded size are read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from sidecar.errors import StorageError, UsageError
from sidecar.litellm_hot_reload.bounded import NotRegular, read_up_to, regular_file

MAX_SIZE = 32 * 1024 * 1024
"""Largest file that is read, in bytes; what is read here has some kilobytes."""
_MAX_LEFTOVER_AGE = 300.0
_EXHAUSTED = {
    errno.ENOSPC: "Free some space, or inodes (`df -i`), on the file system of {directory}.",
    errno.EDQUOT: "Free some space in {directory}: the quota is used up.",
    errno.EFBIG: "It would exceed the size that files in {directory} may have: see `ulimit -f`.",
    errno.EMFILE: "Too many files are open to read or write {directory}: raise `ulimit -n`, and restart it.",
    errno.ENFILE: "This machine has too many files open to read or write {directory}.",
    errno.ENOMEM: "There is not enough memory to read or write {directory}.",
    errno.EIO: "The disk with {directory} fails: check it.",
    errno.ENOTDIR: "{directory} is not a directory: correct the path.",
    errno.EISDIR: "A directory in {directory} has that name: rename or remove it.",
    errno.ELOOP: "Its symlinks form a loop: fix them.",
}
"""No other hint helps against these."""
_HINTS = {
    errno.EROFS: "The file system of {directory} is read-only: mount it writable.",
    errno.EBUSY: "It is itself a mount point: mount the directory {directory} instead.",
    errno.ENOENT: "The directory {directory} does not exist: create it.",
    errno.ENXIO: "What has that name in {directory} is not a file: rename or remove it.",
}
_NOT_REGULAR = "Name the file itself: not its directory, a pipe or a device."
# Some network file systems cannot fsync a directory; a rename there is as durable as it gets.
_NO_DIRECTORY_SYNC = (errno.EINVAL, errno.ENOTSUP)
_ACL, _LABEL = "system.posix_acl_access", "security.selinux"
_NO_ATTRIBUTE = (errno.ENODATA, errno.ENOTSUP)


class Snapshot(NamedTuple):
    """A file's bytes, permission bits, owner, group, ACL and SELinux label at the time it was read."""

    data: bytes
    mode: int
    uid: int
    gid: int
    acl: bytes | None = None
    label: bytes | None = None


@contextlib.contextmanager
def storage_errors(path: Path, what: str, *, kind: str = "", hint: str = "") -> Iterator[None]:
    """Turn an OSError into a StorageError that names ``path``, what failed (such as ``read``), and how to fix it.

    ``kind`` says what the file is, such as "the log file"; ``hint`` replaces the default hint.
    """
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        default = _HINTS.get(number, f"Allow uid {os.getuid()} to read and write it and its directory {{directory}}.")
        text = (_EXHAUSTED.get(number) or hint or default).format(directory=path.parent)
        raise StorageError(
            f"{kind} {path} cannot be {what}: {error.strerror}".lstrip(),
            hint=text,
        ) from error


def resolve_symlinks(path: Path) -> Path:
    """``path`` with all symlinks resolved. Raises StorageError."""
    with storage_errors(path, "resolved"):
        return Path(os.path.realpath(path))


def refuse_special(path: Path) -> None:
    """Raise UsageError for a path of the user's at which there is a directory, a pipe or a device.

    A directory where only we write is a StorageError instead, of whoever reads or replaces it.
    """
    with contextlib.suppress(OSError):  # which reading it says better
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UsageError(f"{path} is not a regular file", hint=_NOT_REGULAR)


def read_named(path: Path) -> bytes | None:
    """As ``read_file``, for a path of the user's. Raises StorageError, UsageError."""
    refuse_special(path)
    return read_file(path)


def read_file(path: Path) -> bytes | None:
    """The bytes of ``path``, None if it does not exist.

    Raises StorageError, and UsageError if it is not a regular file or larger than MAX_SIZE.
    """
    snapshot = read_snapshot(path)
    return None if snapshot is None else snapshot.data


def read_snapshot(path: Path) -> Snapshot | None:
    """As ``read_file``, with all that ``replace_unchanged`` preserves."""
    try:
        with storage_errors(path, "read"), regular_file(path) as (file, about):
            data = read_up_to(file, MAX_SIZE + 1)
            access = _attribute(file.fileno(), _ACL), _attribute(file.fileno(), _LABEL)
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        if isinstance(error.__cause__, NotRegular):
            raise UsageError(f"{path} is not a regular file", hint=_NOT_REGULAR) from None
        raise
    if len(data) > MAX_SIZE:
        raise UsageError(f"{path} is larger than {MAX_SIZE} bytes", hint="Specify the right file.")
    return Snapshot(data, stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid, *access)


def replace_file(path: Path, data: bytes, *, mode: int) -> None:
    """Make ``path`` contain ``data`` with permission bits ``mode``. Raises StorageError; then the old file is kept."""
    remove_leftovers(path)
    with _written_beside(path, data, mode, None) as temporary:
        _rename(temporary, path)


def create_file(path: Path, data: bytes, *, mode: int) -> None:
    """Make a file with ``data`` and permission bits ``mode``, unless ``path`` exists. Raises StorageError."""
    with (
        _written_beside(path, data, mode, None) as temporary,
        storage_errors(path, "created"),
        contextlib.suppress(FileExistsError),
    ):
        os.link(temporary, path)
    sync_directory(path.parent)


def replace_unchanged(
    path: Path,
    data: bytes,
    before: Snapshot | None,
    *,
    like: Snapshot | None = None,
    claim: Callable[[], bool] = lambda: True,
) -> bool:
    """Make ``path`` contain ``data`` if it is still as in ``before`` (None: missing); False if it is not.

    Mode, owner, group and ACL are those of ``before``, else of ``like``, else a new file's. ``claim`` is asked first,
    directly before: False if it says so. Raises StorageError; then the old file is kept.
    """
    model = before or like
    with _written_beside(path, data, model.mode if model else None, model) as temporary:
        if not claim() or read_snapshot(path) != before:
            return False
        _rename(temporary, path)
    return True


def copy_file(path: Path, content: Snapshot, source: Path) -> None:
    """Write ``content``, which is from ``source``, to ``path``, with its mode, owner and ACL. Raises StorageError."""
    with _written_beside(path, content.data, content.mode, content, source) as temporary:
        _rename(temporary, path)


def remove_leftovers(path: Path, *, alone: bool = False) -> None:
    """Delete the temporary files of ``path`` and its backups that a crash left behind: old ones, or those of another
    time than the clock's; all of them if ``alone``, under a lock that keeps other writers out.
    """
    ours = re.compile(rf"\.{re.escape(path.name)}(\.bak-[^/]*)?\.[0-9a-f]{{12}}\.tmp")
    leftovers = []
    with contextlib.suppress(OSError):  # if it matters, the write itself fails, with a hint
        leftovers = [path.with_name(name) for name in os.listdir(path.parent) if ours.fullmatch(name)]
    for item in leftovers:
        with contextlib.suppress(OSError):
            if alone or abs(time.time() - item.stat().st_mtime) > _MAX_LEFTOVER_AGE:
                item.unlink()


def sync_directory(directory: Path) -> None:
    """Make renames in ``directory`` survive a power failure. Raises StorageError."""
    with storage_errors(directory, "made durable"):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NO_DIRECTORY_SYNC:
                raise
        finally:
            os.close(descriptor)


def _rename(temporary: Path, path: Path) -> None:
    with storage_errors(path, "replaced"):
        os.replace(temporary, path)
    sync_directory(path.parent)


@contextlib.contextmanager
def _written_beside(
    path: Path, data: bytes, mode: int | None, owner: Snapshot | None, source: Path | None = None
) -> Iterator[Path]:
    """A temporary file next to ``path`` with ``data`` synced to disk; deleted afterwards unless it was renamed.

    Its ``mode`` (None: per the umask) and what it has from ``owner``, which is of ``source`` (None: of ``path``), are
    set before any content. Raises StorageError.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    with storage_errors(path, "written"):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o644 if mode is None else 0o600)
    try:
        try:
            if owner:
                _copy_owner(descriptor, source or path, owner)
                _copy_access(descriptor, source or path, owner)
            with storage_errors(path, "written"):
                if mode is not None:
                    os.fchmod(descriptor, mode)
                remaining = memoryview(data)
                while remaining:
                    remaining = remaining[os.write(descriptor, remaining) :]
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _verify(temporary, data)
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def _verify(path: Path, data: bytes) -> None:
    written = read_snapshot(path)
    if written is None or written.data != data:
        raise StorageError(f"{path} does not contain what was written to it", hint="Check the disk.")


def _copy_owner(descriptor: int, path: Path, like: Snapshot) -> None:
    with storage_errors(path, "written"):
        about = os.fstat(descriptor)
    if (about.st_uid, about.st_gid) != (like.uid, like.gid):
        try:
            os.fchown(descriptor, like.uid, like.gid)
        except OSError as error:
            raise StorageError(
                f"{path} belongs to uid {like.uid}, gid {like.gid}, and a new version or a backup of it cannot be "
                "given the same owner; nothing was changed",
                hint=f"Run this as uid {like.uid}, or chown {path} to uid {os.getuid()}, gid {os.getgid()}.",
            ) from error


def _copy_access(descriptor: int, path: Path, like: Snapshot) -> None:
    """Give the file the ACL of ``like``, before its mode: the mode's group bits are the ACL's mask.

    Without one, what the directory's default ACL would grant is taken away.
    """
    if like.label is not None and _attribute(descriptor, _LABEL) != like.label:
        with contextlib.suppress(OSError):  # only some domains may relabel; the directory's own label applies then
            os.setxattr(descriptor, _LABEL, like.label)
    with storage_errors(path, "written", hint=f"Its ACL cannot be kept: remove it (`setfacl --remove-all {path}`)."):
        if like.acl is not None:
            os.setxattr(descriptor, _ACL, like.acl)
        elif _attribute(descriptor, _ACL) is not None:
            os.removexattr(descriptor, _ACL)


def _attribute(descriptor: int, name: str) -> bytes | None:
    """An extended attribute; None where the file has none, or the file system or the platform knows none."""
    if sys.platform != "linux":
        return None
    try:
        return os.getxattr(descriptor, name)
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTE:
            raise
        return None
