"""The interface between a sync and its target.

A target stores two things: the entries and the record of absences. It passes the stored record to the sync and gets
both back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

from sidecar.models.absences import Loss
from sidecar.models.changes import Change
from sidecar.models.entries import Entry, models_file_bytes
from sidecar.models.events import entry_events
from sidecar.models.history import Event
from sidecar.models.selection import Selection


@dataclass
class Built:
    """What a sync has built from the catalog: the entries, and the matching record of absences.

    ``absent`` are the ids of models that are kept although the catalog does not currently list them, or not as usable;
    ``loss`` is set where they are so many that it is implausible. ``events`` are those that do not show in the entries,
    ``time`` is that of all, and changes where the same is built again.
    """

    entries: Sequence[Entry]
    absences: bytes
    selection: Selection = Selection((), ())
    absent: tuple[str, ...] = ()
    loss: Loss | None = None
    events: tuple[Event, ...] = ()
    time: str = "1970-01-01T00:00:00Z"

    @cached_property
    def models_file(self) -> bytes:
        """The models file of the entries."""
        return models_file_bytes(self.entries)

    def all_events(self, change: Change | None) -> tuple[Event, ...]:
        """What happened by publishing this, which was ``change``."""
        return (*entry_events(change or Change(), self.time), *self.events)


Make = Callable[[bytes | None], Built]
"""Builds what the target should contain from the stored record of absences (None: there is none)."""


class Synced(NamedTuple):
    """The result for the target named ``target``; ``change`` is None if it was up to date.

    ``diff`` is for dry runs, which have no ``events``. ``created`` is set if there was no such file before. ``skipped``
    are the names of generated entries that a config's own have.
    """

    target: str
    built: Built
    change: Change | None
    diff: str = ""
    events: tuple[Event, ...] = ()
    created: bool = False
    skipped: tuple[str, ...] = ()

    @property
    def models(self) -> int:
        return len(self.built.selection.models)


class Target(Protocol):
    """A place for entries and the record of absences; ``name`` is for messages."""

    name: str

    def update(self, make: Make, stop: threading.Event) -> Synced:
        """Bring it up to date. Raises SidecarError; then it is unchanged."""
