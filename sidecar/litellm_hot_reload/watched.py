"""Watches files by polling: what changed since the last look, and one line in the log for what cannot be read.

Polling through the directory sees a rename and a ConfigMap's symlink swap alike.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from pathlib import Path

log = logging.getLogger("copilot_hook")

MAX_FILE = 32 * 2**20


class Watched:
    """A file, and the ``files`` that count as part of it. What ``_load`` raises is said once, in ``problem`` too."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = f"{name} {path}", path
        self.files = [path]
        self.problem = ""
        self._signature: object = None

    def _load(self) -> None:
        """Read the file anew. May raise whatever it likes; then nothing must have changed."""
        raise NotImplementedError

    def look(self) -> None:
        """Read the file if it, or a part of it, has changed. Never raises; what was read stays when that fails."""
        signature: object = None
        try:
            status = [path.stat() for path in self.files]
            signature = [(item.st_ino, item.st_mtime_ns, item.st_size) for item in status]
            if signature == self._signature:
                return
            if not all(stat.S_ISREG(item.st_mode) and item.st_size <= MAX_FILE for item in status):
                raise ValueError("not a file, or too large")
            self._load()
        except Exception as error:  # PyYAML raises more than it says
            self.problem = f"{type(error).__name__}: {error}".split("\n", 1)[0]
            signature = signature or self.problem
            if self._signature != signature:
                log.warning("%s is invalid (%s); what it contained before stays", self.name, self.problem)
        else:
            self.problem = ""
        # The one from before loading: what has changed meanwhile, or is watched only from now on, is loaded again.
        self._signature = signature


def is_mounted_alone(path: Path) -> bool:
    """Whether the file itself is a mount point: a rename beside it, or a ConfigMap's swap, would go unseen."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    points = (re.sub(r"\\([0-7]{3})", lambda escape: chr(int(escape[1], 8)), line.split()[4]) for line in lines)
    return os.path.abspath(path) in points
