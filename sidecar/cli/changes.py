"""``changes``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace

from sidecar.cli.output import say
from sidecar.models.history import utc_text
from sidecar.models.history_text import changes_table, since
from sidecar.settings import Settings
from sidecar.targets.history import history_file, read_history


def command(arguments: SimpleNamespace, settings: Settings) -> None:
    """Show the history that the target keeps."""
    first = since(arguments.since, datetime.now(UTC)) if arguments.since else None
    file = history_file(settings)
    events = [event for event in read_history(file) if first is None or event.time >= utc_text(first)]
    if arguments.json:
        say(json.dumps({"changes": [event.as_json() for event in events]}, indent=2))
    else:
        say(changes_table(events) or f"{file} has no changes{' since then' if first else ''}")
