"""What every command prints, and warns of."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path

from sidecar.colours import paint_diff, painter
from sidecar.settings import Settings, likely_typos
from sidecar.text import printable, redacted

log = logging.getLogger(__name__)


def say(text: str, end: str = "\n") -> None:
    """Print ``text`` on standard output, without its secrets."""
    print(redacted(text), end=end)


def say_diff(diff: str, settings: Settings) -> None:
    """Print a unified diff, on a terminal in colours."""
    say(paint_diff(diff, painter(sys.stdout, settings)), end="")


def documents() -> str:
    """The directory with docs/: the clone, or where the package has been installed; empty if there is none."""
    here = Path(__file__).resolve().parents[2]
    doc = Path("share", "doc", "litellm-copilot-model-sync")
    return next((str(path) for path in (here, sys.prefix / doc, here / doc) if (path / "docs").is_dir()), "")


def warn_of_typos(environ: Mapping[str, str]) -> None:
    """Log the variables that look like settings, and are none."""
    for written, meant in likely_typos(environ):
        extra = {"event": "setting.unknown"}
        log.warning("%s is not a known setting; did you mean %s?", printable(written), meant, extra=extra)
