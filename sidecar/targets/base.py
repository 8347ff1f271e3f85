"""The interface between a sync and its target.

A target stores two things: the entries and the record of absences. It passes the stored record to the sync and gets
both back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sidecar.models.changes import Change
from sidecar.models.entries import Entry
from sidecar.models.selection import Selection


@dataclass(frozen=True)
class Built:
    """What a sync has built from the catalog: the entries, and the matching record of absences.

    ``absent`` are the ids of models that are kept although the catalog does not currently list them.
    """

    entries: Sequence[Entry]
    absences: bytes
    selection: Selection = Selection((), ())
    absent: tuple[str, ...] = ()


Make = Callable[[bytes | None], Built]
"""Builds what the target should contain from the stored record of absences (None: there is none)."""


@dataclass(frozen=True)
class Synced:
    """The result for the target named ``target``; ``change`` is None if it was up to date.

    ``diff`` is for dry runs.
    """

    target: str
    built: Built
    change: Change | None
    diff: str = ""

    @property
    def models(self) -> int:
        return len(self.built.selection.models)


class Target(Protocol):
    """A place for entries and the record of absences; ``name`` is for messages."""

    name: str

    def update(self, make: Make, stop: threading.Event) -> Synced:
        """Bring it up to date. Raises SidecarError; then it is unchanged."""
