"""Watches files by polling: re-reads what has changed, and logs one line for what cannot be read.

Polling by path sees both a rename and a ConfigMap's symlink swap.
"""

from __future__ import annotations

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
        self.files = [path]
        self.problem = ""
        self._signature: object = None

    def _load(self) -> None:
        """Re-read the file. May raise any exception, but must then leave everything unchanged."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Re-read the file if it, or a part of it, has changed. Never raises; on failure the previous content stays."""
        signature: object = None
        try:
            status = [path.stat() for path in self.files]
            signature = [(item.st_ino, item.st_mtime_ns, item.st_size) for item in status]
            if signature == self._signature:
                return
            self._load()
        except Exception as error:  # PyYAML raises more than it documents
            self.problem = printable(f"{type(error).__name__}: {error}".split("\n", 1)[0], 300)
            signature = signature or self.problem
            if self._signature != signature:
                log.warning("%s is invalid (%s); its previous content stays in effect", self.name, self.problem)
        else:
            self.problem = ""
        # The signature from before loading: anything that changed since, or is newly watched, is loaded again.
        self._signature = signature


def is_mounted_alone(path: Path) -> bool:
    """Whether the file itself is a mount point, in which case a rename or a ConfigMap's swap goes unseen."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    points = (re.sub(r"\\([0-7]{3})", lambda escape: chr(int(escape[1], 8)), line.split()[4]) for line in lines)
    return os.path.abspath(path) in points
