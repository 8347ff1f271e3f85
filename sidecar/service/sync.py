"""One sync: access token → Copilot token → catalog → selection → entries → target (``sidecar.targets``).

Last known good: if any step fails, it raises and the target is unchanged.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from sidecar.errors import BadAnswer, LoginNeeded, NoConnection, StorageError, TokenRejected, UsageError
from sidecar.files import read_named
from sidecar.github.access_token import AccessToken, find_access_token
from sidecar.github.api import CopilotToken, exchange_token, read_catalog
from sidecar.http_client import MAX_ATTEMPTS, retrying
from sidecar.litellm_hot_reload.clock import elapsed
from sidecar.models.absences import dump_absences, load_absences, merge_absences
from sidecar.models.catalog import Item, catalog_items, parse_models
from sidecar.models.customize import Custom, load_custom
from sidecar.models.entries import Entry, build_entries
from sidecar.models.events import record_events, retirement_notices
from sidecar.models.history import utc_text
from sidecar.models.selection import Selection, select_models
from sidecar.settings import Settings
from sidecar.targets.base import Built, Synced
from sidecar.targets.select import select_target
from sidecar.text import redacted

log = logging.getLogger(__name__)

T = TypeVar("T")
_MORE_MEMORY = "Give it more: COPILOT_SYNC_MEMORY in the compose file, or the limit of the container or the user."

_LOSS_HINT = "If it is meant, `sync --accept-loss` removes them at once; `models --all` shows what the catalog has now."
MOST_NOTICES = 20
"""So many of the models that retire are in one line of the log."""
KEEP = 900.0
"""Seconds for which the catalog that a failed sync has read may serve the next one."""
TOKEN_MARGIN = 120.0
"""Seconds before a Copilot token's end from which on it is exchanged anew."""


@dataclass(frozen=True)
class _Read:
    """What was made of the answer with this ``digest``: a catalog's items, and all texts in them, one a line."""

    digest: bytes = b""
    items: list[Item] = field(default_factory=list)
    texts: str = ""


class Session:
    """Reads the catalog, and remembers what spares the next sync work: the Copilot token while it is good, the catalog
    as it was read last, and what was built of a catalog that has not changed since.

    ``attempts`` are made of each request; ``requests`` counts those that were sent. ``plan`` is how GitHub calls the
    account's plan, ``token_end`` when the Copilot token ends (Unix time).
    """

    def __init__(self, attempts: int = MAX_ATTEMPTS) -> None:
        self.requests, self.plan, self.token_end = 0, "", 0.0
        self._attempts = attempts
        self._access_token: AccessToken | None = None
        self._copilot_token: CopilotToken | None = None
        self._token_until = 0.0
        self._last = _Read()
        self._found: list[Item] | None = None
        self._found_until = 0.0
        self._built: Built | None = None
        self._built_of: tuple[object, ...] = ()

    def fetch(self, settings: Settings, stop: threading.Event) -> list[Item]:
        """Read the access token and the live catalog's items. Raises LoginNeeded, UpstreamError, StorageError."""
        token = find_access_token(settings)
        if token != self._access_token:
            self._access_token, self._copilot_token, self._found, self._last = token, None, None, _Read()
        if self._found is None or elapsed() >= self._found_until:
            self._found = self._read(settings, token, stop)
            self._found_until = elapsed() + KEEP
        return self._found

    def build(self, found: list[Item], stored: bytes | None, settings: Settings, *, accept_loss: bool) -> Built:
        """What the target is to contain; of the same inputs on the same day it is what it was, at another time."""
        custom, time = load_custom(settings, read_named), utc_text(now())
        inputs = (found, stored, settings, custom, accept_loss, time[:10])
        if self._built is not None and inputs == self._built_of:
            self._built.time = time
            return self._built
        built = _build(found, stored, settings, custom, time, accept_loss)
        # What has events, or changes the record, is not to happen twice.
        self._built, self._built_of = (built, inputs) if not built.events and built.absences == stored else (None, ())
        return built

    def _read(self, settings: Settings, token: AccessToken, stop: threading.Event) -> list[Item]:
        kept = self._copilot_token if elapsed() < self._token_until else None
        if kept is not None:
            with suppress(TokenRejected, LoginNeeded):  # a new token tells why
                return self._catalog(settings, kept, stop)
        return self._catalog(settings, self._exchange(settings, token, stop), stop)

    def _exchange(self, settings: Settings, token: AccessToken, stop: threading.Event) -> CopilotToken:
        copilot = self._ask(lambda: exchange_token(settings, token), stop)
        self._copilot_token, self._token_until = copilot, elapsed() + max(copilot.lifetime - TOKEN_MARGIN, 0)
        self.plan, self.token_end = copilot.sku, time.time() + copilot.lifetime
        if copilot.direct:
            log.warning(
                "the access token belongs to another OAuth app: it can read the catalog, but LiteLLM cannot use it",
                extra={"event": "token.foreign"},
            )
        return copilot

    def _catalog(self, settings: Settings, copilot: CopilotToken, stop: threading.Event) -> list[Item]:
        # A secret that has become known since is not to be shown either.
        last = self._last if redacted(self._last.texts) == self._last.texts else _Read()
        try:
            answer = self._ask(lambda: read_catalog(settings, copilot, last.digest), stop)
        except (TokenRejected, LoginNeeded):
            self._copilot_token = None
            raise
        if answer.digest != last.digest:
            shown = dict[str, str]()
            items = catalog_items(answer.json, shown)
            self._last = last = _Read(answer.digest, items, "\n".join(shown.values()))
        found = last.items
        log.debug(
            "catalog read",
            extra={"event": "catalog.read", "items": len(found), "api_base": copilot.api_base, "sku": copilot.sku},
        )
        return found

    def _ask(self, call: Callable[[], T], stop: threading.Event) -> T:
        def counted() -> T:
            self.requests += 1
            try:
                return call()
            except (NoConnection, StorageError, UsageError):
                self.requests -= 1  # nothing was sent
                raise

        return retrying(counted, stop, attempts=self._attempts)

    def forget(self) -> None:
        """The next sync reads the catalog anew."""
        self._found = None


def entries_for(found: list[Item], settings: Settings) -> tuple[Selection, list[Entry]]:
    """Select models and build their entries. Raises BadAnswer, UsageError, StorageError (the user's own files)."""
    return _entries(select_models(*parse_models(found), settings), settings, load_custom(settings, read_named))


def _entries(selected: Selection, settings: Settings, custom: Custom) -> tuple[Selection, list[Entry]]:
    entries, notes = build_entries(selected.models, settings, custom)
    return selected._replace(notes=(*selected.notes, *notes)), entries


def run_once(
    settings: Settings,
    stop: threading.Event,
    session: Session | None = None,
    *,
    adopt: bool = False,
    create: bool = False,
    dry_run: bool = False,
    accept_loss: bool = False,
) -> Synced:
    """Bring the target up to date; ``dry_run`` only reports what would change, ``adopt`` and ``create`` are as in
    ``select_target``, ``accept_loss`` as in ``merge_absences``.

    ``session`` is that of the syncs before. Raises SidecarError; then the target is unchanged.
    """
    target = select_target(settings, adopt=adopt, create=create, dry_run=dry_run)
    session = session or Session()

    def make(stored: bytes | None) -> Built:
        try:
            return session.build(found, stored, settings, accept_loss=accept_loss)
        except BadAnswer:
            session.forget()
            raise

    try:
        found = session.fetch(settings, stop)
        synced = target.update(make, stop)
    except MemoryError:
        session.forget()
        raise StorageError("there is not enough memory for a sync", hint=_MORE_MEMORY) from None
    session.forget()
    for note in synced.built.selection.notes:
        log.warning("%s", note, extra={"event": "models.note"})
    for item in synced.built.selection.omitted:
        log.debug("omitted", extra={"event": "model.omitted", "model": item.label, "reason": item.reason})
    if synced.built.loss:
        absent = list(synced.built.absent)
        log.warning("%s", synced.built.loss, extra={"event": "models.lost", "hint": _LOSS_HINT, "absent": absent})
    elif synced.built.absent:
        absent = list(synced.built.absent)
        log.info("absent from the catalog, kept for now", extra={"event": "models.absent", "absent": absent})
    if retiring := [event for event in synced.events if event.is_notice()]:
        from sidecar.models.history_text import describe

        notices = [f"{event.model} {describe(event)}" for event in retiring]
        more = f" (and {len(notices) - MOST_NOTICES} more)" if len(notices) > MOST_NOTICES else ""
        log.warning("%s%s", "; ".join(notices[:MOST_NOTICES]), more, extra={"event": "models.retiring"})
    return synced


def _build(
    found: list[Item], stored: bytes | None, settings: Settings, custom: Custom, time: str, accept_loss: bool
) -> Built:
    """Build the entries and the new record of absences from the catalog and the stored record."""
    record = load_absences(stored)
    if record is None:
        log.warning("the record of absences is damaged; starting a new one", extra={"event": "absences.damaged"})
    merged = merge_absences(record or {}, found, settings, accept_loss=accept_loss)
    selected, entries = _entries(merged.selection(settings), settings, custom)
    events = record_events(record or {}, merged, entries, settings, time)
    notices, told = retirement_notices(entries, merged.record, time)
    absent = tuple(sorted(merged.kept))
    return Built(entries, dump_absences(told), selected, absent, merged.loss, (*events, *notices), time)


def now() -> datetime:
    """The time of a change."""
    return datetime.now(UTC)
