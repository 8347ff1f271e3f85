"""``doctor``."""

from __future__ import annotations

import threading
from types import SimpleNamespace

from sidecar.cli.output import say
from sidecar.service.doctor import diagnose, document
from sidecar.settings import Settings


def command(arguments: SimpleNamespace, settings: Settings, stop: threading.Event) -> int:
    """Show each check, as it is made or as JSON at the end; the exit code is that of the first failure."""
    if not arguments.json:
        return diagnose(settings, stop)
    text, code = document(settings, stop)
    say(text)
    return code
