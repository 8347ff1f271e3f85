"""What is on the disk, and who may touch it."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

NOBODY = 65534
HUGE = 400 * 2**20


def _socket(path: Path) -> None:
    # By its directory's descriptor, as a socket's path may not be longer than 107 bytes.
    directory = os.open(path.parent, os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(HUGE)


PLACES: dict[str, Callable[[Path], None]] = {
    "a pipe": os.mkfifo,
    "a directory": Path.mkdir,
    "a socket": _socket,
    "a loop of links": lambda path: path.symlink_to(path),
    "400 MB": _huge,
    "a device without an end": lambda path: path.symlink_to("/dev/zero"),
}
"""What can be in a file's place, and be waited for or read without an end; each puts it there."""


def files_under(directory: Path) -> dict[str, bytes]:
    """The content of every file in a directory by its relative path."""
    found = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


def put(path: Path, content: str | bytes) -> None:
    """Put a file in a file's place as a whole, as whoever is careful does; without waiting for the disk."""
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(new, path)


def put_secret(path: Path, content: str | bytes) -> None:
    """Write a file that nobody else may read, as whoever keeps a secret does."""
    path.touch()
    path.chmod(0o600)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """As root, file permissions hold nobody back: be nobody for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
