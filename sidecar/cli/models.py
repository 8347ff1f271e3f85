"""``models``."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import threading
from textwrap import fill
from types import SimpleNamespace

from sidecar.cli.output import say
from sidecar.colours import painter
from sidecar.models.table import models_document, models_table
from sidecar.service.credit import read_credit
from sidecar.service.sync import Session, entries_for
from sidecar.settings import Settings

log = logging.getLogger(__name__)


def command(arguments: SimpleNamespace, settings: Settings, stop: threading.Event) -> None:
    """Show what LiteLLM gets from the catalog as it is now."""
    selected, entries = entries_for(Session().fetch(settings, stop), settings)
    for note in selected.notes:
        log.warning("%s", note, extra={"event": "models.note"})
    if arguments.json:
        shown, credit = selected.omitted if arguments.all else None, read_credit(settings)
        say(json.dumps(models_document(selected.models, entries, shown, credit), indent=2))
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    omitted = selected.omitted if arguments.all else ()
    say(models_table(selected.models, entries, omitted, width, painter(sys.stdout, settings)))
    if credit := read_credit(settings):
        say("\n" + (fill(credit.text(), width) if width else credit.text()))
