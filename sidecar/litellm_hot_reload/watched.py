"""Watches files by looking at their times: re-reads what has changed, and logs one line for what cannot be read.

Looking by path sees both a rename and a ConfigMap's symlink swap. What is written in place is left alone until two
looks in a row see the same: the half that is there meanwhile may be valid, and lack models or the end of a number.
"""

from __future__ import annotations

import errno
import logging
import os
import re
from pathlib import Path

from .text import printable

log = logging.getLogger("copilot_hook")


class Watched:
    """A file, and the ``files`` that count as part of it. An error is logged once and kept in ``problem``."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = f"{name} {path}", path
        self.files = [str(path)]
        self.problem = ""
        self.is_being_written = False
        self._signature: object = None
        self._seen: list[tuple[int, int, int]] = []

    def _load(self) -> None:
        """Re-read the file. May raise any exception, but must then leave everything unchanged."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Re-read the file if it, or a part of it, has changed. Never raises; on failure the previous content stays."""
        signature: object = None
        before, self._seen, self.is_being_written = self._seen, [], False
        try:
            now = list[tuple[int, int, int]]()
            for path in self.files:
                about = os.stat(path)
                now.append((about.st_ino, about.st_mtime_ns, about.st_size))
            self._seen = signature = now
            if now == self._signature:
                return
            self.is_being_written = _in_place(before, now)
            if self.is_being_written:
                return
            self._load()
        except Exception as error:  # PyYAML raises more than it documents
            self.problem = printable(f"{type(error).__name__}: {error}".split("\n", 1)[0], 300)
            if signature is None or (isinstance(error, OSError) and error.errno != errno.EFBIG):
                signature = self.problem  # it may be readable without having changed: tried again at each look
            if self._signature != signature:
                log.warning("%s is invalid (%s); its previous content stays in effect", self.name, self.problem)
        else:
            self.problem = ""
        # The signature from before loading: anything that changed since, or is newly watched, is loaded again.
        self._signature = signature


def _in_place(before: list[tuple[int, int, int]], now: list[tuple[int, int, int]]) -> bool:
    """Whether one of the files is the one that the look before saw, with other content."""
    return any(old[0] == new[0] and old != new for old, new in zip(before, now, strict=False))


def is_mounted_alone(path: Path) -> bool:
    """Whether the file itself is a mount point, in which case a rename or a ConfigMap's swap goes unseen."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    points = (re.sub(r"\\([0-7]{3})", lambda escape: chr(int(escape[1], 8)), line.split()[4]) for line in lines)
    return os.path.abspath(path) in points
