"""One sync: access token → Copilot token → catalog → selection → entries → target (``sidecar.targets.select``).

Last good wins: whatever fails on the way raises, and nothing in the target has changed.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace

from sidecar.github.access_token import find_access_token
from sidecar.github.api import exchange_token, read_catalog
from sidecar.http_client import retrying
from sidecar.models.absences import LastSeen, dump_absences, load_absences, merge_absences
from sidecar.models.catalog import Item, catalog_items, parse_models
from sidecar.models.customize import load_custom
from sidecar.models.entries import Entry, build_entries
from sidecar.models.selection import Selection, select_models
from sidecar.settings import Settings
from sidecar.targets import select
from sidecar.targets.models_file import Change

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Synced:
    """The result of a sync; ``change`` is None when the target was up to date. ``target`` is its name."""

    models: int
    change: Change | None
    target: str = ""


def fetch_catalog(settings: Settings, stop: threading.Event) -> list[Item]:
    """Read the access token and the live catalog's items. Raises LoginNeeded, UpstreamError, StorageError."""
    token = find_access_token(settings)
    copilot = retrying(lambda: exchange_token(settings, token), stop)
    if copilot.direct:
        log.warning("the access token is another OAuth app's: good for reading the catalog, LiteLLM cannot use it")
    payload = retrying(lambda: read_catalog(settings, copilot), stop)
    found = catalog_items(payload)
    log.debug("catalog read", extra={"items": len(found), "api_base": copilot.api_base, "sku": copilot.sku})
    return found


def entries_for(found: list[Item], settings: Settings) -> tuple[Selection, list[Entry]]:
    """Select and render. Raises BadAnswer, UsageError, StorageError (the user's own files)."""
    custom = load_custom(settings)
    models, refused = parse_models(found)
    selected = select_models(models, refused, settings)
    entries, notes = build_entries(selected.models, settings, custom)
    return replace(selected, notes=(*selected.notes, *notes)), entries


def run_once(settings: Settings, stop: threading.Event, *, adopt: bool = False, dry_run: bool = False) -> Synced:
    """Bring the target up to date; ``dry_run`` only says what would change, ``adopt`` is as in ``target.of``.

    Raises SidecarError; then nothing has changed in the target.
    """
    place = select.select_target(settings, adopt=adopt, dry_run=dry_run)
    found = fetch_catalog(settings, stop)
    selected, remembered = Selection((), ()), dict[str, LastSeen]()

    def make(stored: bytes | None) -> tuple[list[Entry], bytes]:
        """From the stored memory to the entries and the new memory; a ConfigMap asks again after a conflict."""
        nonlocal selected, remembered
        known = load_absences(stored)
        if known is None:
            log.warning("the memory of earlier catalogs is damaged and is started afresh")
        items, remembered = merge_absences(known or {}, found, settings.remove_after)
        selected, entries = entries_for(items, settings)
        return entries, dump_absences(remembered)

    change = place.update(make, stop)
    for note in selected.notes:
        log.warning(note)
    for item in selected.left_out:
        log.debug("left out", extra={"model": item.label, "reason": item.reason})
    absent = sorted(key for key, value in remembered.items() if value.absences)
    if absent:
        log.info("absent from the catalog, kept for now", extra={"absent": absent})
    return Synced(len(selected.models), change, place.name)
