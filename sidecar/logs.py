"""Log output: JSON lines or plain ones, none of them again and again.

Configured by the command line, never at import. ``python -m sidecar.logs FILE`` copies standard input to
standard output and to FILE, for scripts.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path

from pythonjsonlogger.json import JsonFormatter

from sidecar.errors import SidecarError
from sidecar.litellm_hot_reload.clock import elapsed
from sidecar.secret import redacted_in, without_tokens
from sidecar.text import printable

log = logging.getLogger(__name__)

REPEAT_INTERVAL = 60.0
MAX_REPEATS = 256
_handlers: list[logging.Handler] = []
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
    readable: list[str] = []
    if file is not None:
        from sidecar.logfile import Rotating

        rotating = Rotating(file)
        rotating.setFormatter(as_lines)
        handlers.append(rotating)
        readable = rotating.readable
    for handler in handlers:
        handler.addFilter(Repeats())
    root = logging.getLogger()
    for old in _handlers:
        old.close()
    _handlers[:] = root.handlers[:] = handlers
    root.setLevel(level)
    for name in readable:
        log.warning(
            "others may read the log file %s: `chmod 600` it as its owner",
            printable(name),
            extra={"event": "log.readable"},
        )
    logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)  # its warnings quote the headers of answers


def copy(path: Path) -> None:
    """Copy standard input to standard output and, with timestamps, to ``path``. Raises StorageError."""
    from sidecar.logfile import Rotating

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
