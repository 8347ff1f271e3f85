"""One sync: access token → Copilot token → catalog → selection → entries → target (``sidecar.targets``).

Last known good: if any step fails, it raises and the target is unchanged.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

from sidecar.files import read_file
from sidecar.github.access_token import find_access_token
from sidecar.github.api import exchange_token, read_catalog
from sidecar.http_client import retrying
from sidecar.models.absences import dump_absences, load_absences, merge_absences
from sidecar.models.catalog import Item, catalog_items, parse_models
from sidecar.models.customize import load_custom
from sidecar.models.entries import Entry, build_entries
from sidecar.models.selection import Selection, select_models
from sidecar.settings import Settings
from sidecar.targets.base import Built, Synced
from sidecar.targets.select import select_target

log = logging.getLogger(__name__)


def fetch_catalog(settings: Settings, stop: threading.Event) -> list[Item]:
    """Read the access token and the live catalog's items. Raises LoginNeeded, UpstreamError, StorageError."""
    token = find_access_token(settings)
    copilot = retrying(lambda: exchange_token(settings, token), stop)
    if copilot.direct:
        log.warning("the access token belongs to another OAuth app: it can read the catalog, but LiteLLM cannot use it")
    found = catalog_items(retrying(lambda: read_catalog(settings, copilot), stop))
    log.debug("catalog read", extra={"items": len(found), "api_base": copilot.api_base, "sku": copilot.sku})
    return found


def entries_for(found: list[Item], settings: Settings) -> tuple[Selection, list[Entry]]:
    """Select models and build their entries. Raises BadAnswer, UsageError, StorageError (the user's own files)."""
    custom = load_custom(settings, read_file)
    models, invalid = parse_models(found)
    selected = select_models(models, invalid, settings)
    entries, notes = build_entries(selected.models, settings, custom)
    return replace(selected, notes=(*selected.notes, *notes)), entries


def run_once(settings: Settings, stop: threading.Event, *, adopt: bool = False, dry_run: bool = False) -> Synced:
    """Bring the target up to date; ``dry_run`` only reports what would change, ``adopt`` is as in ``select_target``.

    Raises SidecarError; then the target is unchanged.
    """
    target = select_target(settings, adopt=adopt, dry_run=dry_run)
    found = fetch_catalog(settings, stop)
    synced = target.update(lambda stored: _build(found, stored, settings), stop)
    for note in synced.built.selection.notes:
        log.warning("%s", note)
    for item in synced.built.selection.omitted:
        log.debug("omitted", extra={"model": item.label, "reason": item.reason})
    if synced.built.absent:
        log.info("absent from the catalog, kept for now", extra={"absent": list(synced.built.absent)})
    return synced


def _build(found: list[Item], stored: bytes | None, settings: Settings) -> Built:
    """Build the entries and the new record of absences from the catalog and the stored record."""
    record = load_absences(stored)
    if record is None:
        log.warning("the record of absences is damaged; starting a new one")
    items, seen = merge_absences(record or {}, found, settings.remove_after)
    selected, entries = entries_for(items, settings)
    absent = tuple(sorted(key for key, value in seen.items() if value.absences))
    return Built(entries, dump_absences(seen), selected, absent)
