"""Replaces files whole: a reader, or a crash at any moment, sees the old bytes or the new ones.

Temporary file in the same directory with its final mode from the first byte, fsync, rename, fsync of
the directory. Temporary names are random, so that one left by a crash never stands in the way.
"""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import time
from pathlib import Path

from sidecar.errors import StorageError

_STALE_AFTER = 300.0


def replace_file(path: Path, data: bytes, *, mode: int) -> None:
    """Make ``path`` hold ``data`` with permission bits ``mode``. Raises StorageError; the old file stays."""
    remove_stale(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        _sync_directory(path.parent)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}",
            hint=f"Make {path.parent} an existing directory with free space that uid {os.getuid()} may write to.",
        ) from error


def remove_stale(path: Path) -> None:
    """Delete temporary files for ``path`` that a crash left behind (older than five minutes)."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_AFTER:
                left.unlink()


def read_file(path: Path) -> bytes | None:
    """The bytes of ``path``, None when there is no such file. Raises StorageError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read: {error.strerror}",
            hint=f"Make it a file that uid {os.getuid()} may read.",
        ) from error


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
