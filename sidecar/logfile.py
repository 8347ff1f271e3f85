"""The one place where log files rotate. Only imported where there is one: what is behind it takes half a megabyte."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from sidecar.files import storage_errors
from sidecar.text import printable

log = logging.getLogger(__name__)

MAX_BYTES = 100_000_000
MAX_OLD_FILES = 5


class Rotating(RotatingFileHandler):
    """A log file of at most MAX_BYTES, with MAX_OLD_FILES old ones, all 0600. Several processes may share it.

    If it cannot be written for a while, that is said once, and the program goes on: the lines of that time are missing.
    ``readable`` are those of them that others may read, because they belong to another user.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        hint = f"Choose one (COPILOT_LOG_FILE) in a directory that is there and that uid {os.getuid()} may write to."
        with storage_errors(path.parent, "made", kind="the log file's directory", hint=hint), suppress(FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
        with storage_errors(path, "written", kind="the log file", hint=hint):
            super().__init__(path, maxBytes=max_bytes, backupCount=MAX_OLD_FILES, encoding="utf-8", errors="replace")
        self._failing = False
        old = [f"{self.baseFilename}.{number}" for number in range(1, MAX_OLD_FILES + 1)]
        self.readable = [name for name in (self.baseFilename, *old) if not _narrow(name)]

    def _open(self) -> Any:
        return open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=_opener)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, to the new file if another process has rotated it. Raises nothing."""
        try:
            if self.stream is None or self._was_rotated():
                self._reopen()
            if self.shouldRollover(record):
                with suppress(OSError):  # it grows until it can be rotated
                    self.doRollover()
            self.stream = self.stream or self._open()
            self.stream.write(self.format(record) + self.terminator)
            self.stream.flush()
            self._failing = False
        except Exception as error:
            self._fail(error)

    def doRollover(self) -> None:
        """Rotate, unless another process just has, or is about to."""
        descriptor = os.open(os.path.dirname(self.baseFilename), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._was_rotated():
                self._reopen()
            else:
                super().doRollover()
        finally:
            os.close(descriptor)

    def _fail(self, error: Exception) -> None:
        with suppress(OSError):  # what could not be written is still in its buffer
            self._close()
        if not self._failing:
            self._failing = True  # before the message, which comes here as well
            name = printable(self.baseFilename)
            log.warning("the log file %s cannot be written: %s", name, printable(error), extra={"event": "log.failed"})

    def _was_rotated(self) -> bool:
        try:
            return self.stream is not None and not os.path.samestat(
                os.stat(self.baseFilename), os.fstat(self.stream.fileno())
            )
        except OSError:
            return True

    def _reopen(self) -> None:
        with suppress(OSError):
            self._close()
        self.stream = self._open()

    def _close(self) -> None:
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.close()


def _opener(path: str, flags: int) -> int:
    """Never waits for somebody to read a pipe."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY, 0o600)


def _narrow(path: str) -> bool:
    """Take everybody's rights but the owner's from a file that is there; False if that is for somebody else to do."""
    with suppress(FileNotFoundError):
        about = os.stat(path)
        if stat.S_ISREG(about.st_mode) and about.st_mode & 0o077:
            try:
                os.chmod(path, stat.S_IMODE(about.st_mode) & 0o700)
            except OSError:
                return False
    return True
