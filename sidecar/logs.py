"""Log output: JSON lines for the service, plain lines for commands, and the one place where log files rotate.

Configured by the command line, never at import. ``python -m sidecar.logs FILE`` copies standard input to
standard output and to FILE, for scripts.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from sidecar.errors import SidecarError
from sidecar.files import storage_errors
from sidecar.secret import without_tokens
from sidecar.text import printable

log = logging.getLogger(__name__)

MAX_BYTES = 100_000_000
MAX_OLD_FILES = 5


class _PlainFormatter(logging.Formatter):
    """``warning: message (key=value …)``, made printable."""

    _STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        extra = [f"{key}={printable(value)}" for key, value in record.__dict__.items() if key not in self._STANDARD]
        text = f"{record.levelname.lower()}: {printable(record.getMessage(), 1000)}"
        text = f"{text} ({', '.join(extra)})" if extra else text
        # Only bugs have a traceback, and a report needs it.
        text = f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text
        return without_tokens(text)


class _JsonFormatter(JsonFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_tokens(super().format(record))


class Rotating(RotatingFileHandler):
    """A log file of at most MAX_BYTES, with MAX_OLD_FILES old ones, all 0600. Several processes may share it.

    ``readable`` are those of them that others may read, because they belong to another user.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        hint = f"Choose one in a directory that uid {os.getuid()} may write to."
        with storage_errors(path, "written", kind="the log file", hint=hint):
            path.parent.mkdir(parents=True, exist_ok=True)
            super().__init__(path, maxBytes=max_bytes, backupCount=MAX_OLD_FILES, encoding="utf-8", errors="replace")
        old = [f"{self.baseFilename}.{number}" for number in range(1, MAX_OLD_FILES + 1)]
        self.readable = [name for name in (self.baseFilename, *old) if not _narrow(name)]

    def _open(self) -> Any:
        return open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=_opener)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, to the new file if another process has rotated it."""
        if self._was_rotated():
            self._reopen()
        super().emit(record)

    def doRollover(self) -> None:
        """Rotate, unless another process just has."""
        descriptor = os.open(os.path.dirname(self.baseFilename), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if self._was_rotated():
                self._reopen()
            else:
                super().doRollover()
        finally:
            os.close(descriptor)

    def _was_rotated(self) -> bool:
        try:
            return self.stream is not None and not os.path.samestat(
                os.stat(self.baseFilename), os.fstat(self.stream.fileno())
            )
        except OSError:
            return True

    def _reopen(self) -> None:
        if self.stream is not None:
            self.stream.close()
        self.stream = self._open()


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


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


def configure(level: str, *, as_json: bool, file: Path | None = None) -> None:
    """Send log records of ``level`` and above to standard error, and to ``file``, replacing earlier handlers.

    Raises StorageError when ``file`` cannot be written.
    """
    json = _JsonFormatter(
        "{asctime}{levelname}{name}{message}",
        style="{",
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        datefmt="%Y-%m-%dT%H:%M:%S%z",
    )
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(json if as_json else _PlainFormatter())
    if file is not None:
        handlers.append(Rotating(file))
        handlers[1].setFormatter(json)
    root = logging.getLogger()
    for old in root.handlers:
        if isinstance(old, Rotating):
            old.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    for handler in handlers:
        for name in handler.readable if isinstance(handler, Rotating) else ():
            log.warning("others may read the log file %s: `chmod 600` it as its owner", printable(name))
    logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)  # its warnings quote the headers of answers


def copy(path: Path) -> None:
    """Copy standard input to standard output and, with timestamps, to ``path``. Raises StorageError."""
    handler = Rotating(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S%z"))
    for line in sys.stdin.buffer:
        text = line.decode("utf-8", "replace").rstrip("\n")
        handler.emit(logging.makeLogRecord({"msg": "%s", "args": (printable(text, 20_000),)}))
        try:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
        except OSError:  # the reader is gone; keep logging
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    handler.close()


def main(argv: Sequence[str]) -> int:
    """``python -m sidecar.logs FILE``; exits at end of input, ignoring signals meant for the writing process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        copy(Path(argv[0]))
    except SidecarError as error:
        print(f"{error}\n  {error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
