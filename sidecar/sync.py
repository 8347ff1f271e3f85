"""One sync: access token → Copilot token → catalog → selection → entries → target (``sidecar.target``).

Last good wins: whatever fails on the way raises, and nothing in the target has changed.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace

from sidecar import auth, catalog, customize, github, memory, publish, render, selection, target
from sidecar.catalog import Item
from sidecar.render import Entry
from sidecar.selection import Selection
from sidecar.settings import Settings
from sidecar.transport import retrying

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Synced:
    """The result of a sync; ``change`` is None when the target was up to date. ``target`` is its name."""

    models: int
    change: publish.Change | None
    target: str = ""


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


def sync(settings: Settings, stop: threading.Event, *, adopt: bool = False, dry_run: bool = False) -> Synced:
    """Bring the target up to date; ``dry_run`` only says what would change, ``adopt`` is as in ``target.of``.

    Raises SidecarError; then nothing has changed in the target.
    """
    place = target.of(settings, adopt=adopt, dry_run=dry_run)
    found = fetch(settings, stop)
    selected, remembered = Selection((), ()), dict[str, memory.Remembered]()

    def make(stored: bytes | None) -> tuple[list[Entry], bytes]:
        """From the stored memory to the entries and the new memory; a ConfigMap asks again after a conflict."""
        nonlocal selected, remembered
        known = memory.recall(stored)
        if known is None:
            log.warning("the memory of earlier catalogs is damaged and is started afresh")
        items, remembered = memory.merge(known or {}, found, settings.remove_after)
        selected, entries = choose(items, settings)
        return entries, memory.dump(remembered)

    change = place.update(make, stop)
    for note in selected.notes:
        log.warning(note)
    for item in selected.left_out:
        log.debug("left out", extra={"model": item.label, "reason": item.reason})
    absent = sorted(key for key, value in remembered.items() if value.absences)
    if absent:
        log.info("absent from the catalog, kept for now", extra={"absent": absent})
    return Synced(len(selected.models), change, place.name)
