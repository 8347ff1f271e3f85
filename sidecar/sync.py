"""One sync: access token → Copilot token → catalog → selection → entries → models file.

Last good wins: whatever fails on the way raises, and nothing on disk has changed.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace

from sidecar import auth, catalog, customize, github, memory, publish, render, selection
from sidecar.atomic import read_file, replace_file
from sidecar.catalog import Item
from sidecar.render import Entry
from sidecar.selection import Selection
from sidecar.settings import Settings
from sidecar.transport import retrying

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Synced:
    """The result of a sync; ``change`` is None when the models file was up to date."""

    models: int
    change: publish.Change | None


def fetch(settings: Settings, stop: threading.Event) -> list[Item]:
    """Read the access token and the live catalog's items. Raises LoginNeeded, UpstreamError, StorageError."""
    token = auth.find(settings)
    copilot = retrying(lambda: github.exchange(settings, token), stop)
    if copilot.direct:
        log.warning("the access token is another OAuth app's: good for reading the catalog, LiteLLM cannot use it")
    payload = retrying(lambda: github.catalog(settings, copilot), stop)
    found = catalog.items(payload)
    log.debug("catalog read", extra={"items": len(found), "api_base": copilot.api_base, "sku": copilot.sku})
    return found


def choose(found: list[Item], settings: Settings) -> tuple[Selection, list[Entry]]:
    """Select and render. Raises BadAnswer, UsageError, StorageError (the user's own files)."""
    custom = customize.load(settings)
    models, refused = catalog.parse(found)
    selected = selection.select(models, refused, settings)
    entries, notes = render.entries(selected.models, settings, custom)
    return replace(selected, notes=(*selected.notes, *notes)), entries


def sync(settings: Settings, stop: threading.Event) -> Synced:
    """Bring the models file up to date. Raises SidecarError; then nothing has changed on disk."""
    memory_file = memory.memory_file(settings.models_file)
    stored = read_file(memory_file)
    known = memory.recall(stored)
    if known is None:
        log.warning("the memory of earlier catalogs is damaged and is started afresh", extra={"file": str(memory_file)})
    found, remembered = memory.merge(known or {}, fetch(settings, stop), settings.remove_after)
    selected, entries = choose(found, settings)
    for note in selected.notes:
        log.warning(note)
    for item in selected.left_out:
        log.debug("left out", extra={"model": item.label, "reason": item.reason})
    change = publish.publish(settings.models_file, entries)
    data = memory.dump(remembered)
    if data != stored:
        replace_file(memory_file, data, mode=0o644)
    absent = sorted(key for key, value in remembered.items() if value.absences)
    if absent:
        log.info("absent from the catalog, kept for now", extra={"absent": absent})
    return Synced(len(selected.models), change)
