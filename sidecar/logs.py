"""Log output: JSON lines or plain ones, none of them again and again, and the one place where log files rotate.

Configured by the command line, never at import. ``python -m sidecar.logs FILE`` copies standard input to
standard output and to FILE, for scripts.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import math
import os
import signal
import stat
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from sidecar.errors import SidecarError
from sidecar.files import storage_errors
from sidecar.litellm_hot_reload.clock import elapsed
from sidecar.secret import redacted_in, without_tokens
from sidecar.text import printable

log = logging.getLogger(__name__)

MAX_BYTES = 100_000_000
MAX_OLD_FILES = 5


REPEAT_INTERVAL = 60.0
MAX_REPEATS = 256
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class _PlainFormatter(logging.Formatter):
    """``warning: message (key=value …)``, made printable."""

    def format(self, record: logging.LogRecord) -> str:
        hidden = {*_STANDARD, "event"}  # which is for programs
        extra = [f"{key}={printable(value)}" for key, value in record.__dict__.items() if key not in hidden]
        text = f"{record.levelname.lower()}: {printable(record.getMessage(), 1000)}"
        text = f"{text} ({', '.join(extra)})" if extra else text
        # Only bugs have a traceback, and a report needs it.
        text = f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text
        return without_tokens(text)


class _JsonFormatter(JsonFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_tokens(json.dumps(redacted_in(json.loads(super().format(record)))))


class Repeats(logging.Filter):
    """Lets a warning or an error through once a minute, and then with ``suppressed``: how many have not been let.

    One that differs in anything that is shown is another. Each handler has a filter of its own, as each counts.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._passed: dict[bytes, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` is to be written. Raises nothing."""
        if record.levelno < logging.WARNING:
            return True
        try:
            key = _content(record)
        except Exception:  # the handler will say what is wrong with it
            return True
        now = elapsed()
        with self._lock:
            since, suppressed = self._passed.pop(key, (-math.inf, 0))
            passes = now - since >= REPEAT_INTERVAL
            self._passed[key] = (now, 0) if passes else (since, suppressed + 1)
            if len(self._passed) > MAX_REPEATS:
                del self._passed[next(iter(self._passed))]
        if passes and suppressed:
            record.suppressed = suppressed
        return passes


def _content(record: logging.LogRecord) -> bytes:
    """Distinguishes what is shown of records: all but the time."""
    hidden = {*_STANDARD, "suppressed"}
    extra = sorted((key, repr(value)) for key, value in record.__dict__.items() if key not in hidden)
    trace = traceback.format_exception(*record.exc_info) if record.exc_info else []
    return hashlib.sha256(repr((record.levelno, record.name, record.getMessage(), extra, trace)).encode()).digest()


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


def configure(level: str, *, as_json: bool, file: Path | None = None) -> None:
    """Send log records of ``level`` and above to standard error, and to ``file``, replacing earlier handlers.

    Raises StorageError when ``file`` cannot be written.
    """
    as_lines = _JsonFormatter(
        "{asctime}{levelname}{name}{message}",
        style="{",
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        datefmt="%Y-%m-%dT%H:%M:%S%z",
    )
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(as_lines if as_json else _PlainFormatter())
    if file is not None:
        handlers.append(Rotating(file))
        handlers[1].setFormatter(as_lines)
    for handler in handlers:
        handler.addFilter(Repeats())
    root = logging.getLogger()
    for old in root.handlers:
        if isinstance(old, Rotating):
            old.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    for handler in handlers:
        for name in handler.readable if isinstance(handler, Rotating) else ():
            log.warning(
                "others may read the log file %s: `chmod 600` it as its owner",
                printable(name),
                extra={"event": "log.readable"},
            )
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
