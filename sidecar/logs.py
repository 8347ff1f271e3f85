"""Log output: JSON lines for the service, plain lines for commands. Set up by the command line, never at import."""

from __future__ import annotations

import logging
import sys

from pythonjsonlogger.json import JsonFormatter

from sidecar.text import printable


class _Plain(logging.Formatter):
    """``warning: message (key=value …)`` with everything made printable."""

    _STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        extra = [f"{key}={printable(value)}" for key, value in record.__dict__.items() if key not in self._STANDARD]
        text = f"{record.levelname.lower()}: {printable(record.getMessage(), 1000)}"
        return f"{text} ({', '.join(extra)})" if extra else text


def configure(level: str, *, as_json: bool) -> None:
    """Send log records of ``level`` and above to standard error, replacing earlier handlers."""
    handler = logging.StreamHandler(sys.stderr)
    if as_json:
        handler.setFormatter(
            JsonFormatter(
                "{asctime}{levelname}{name}{message}",
                style="{",
                rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
                datefmt="%Y-%m-%dT%H:%M:%S%z",
            )
        )
    else:
        handler.setFormatter(_Plain())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
