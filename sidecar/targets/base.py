"""What a sync and its target agree on.

A target keeps two things together: the entries, and the record of absences. It hands out the record that it has, and
is given both back.
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
    """What a sync has made of the catalog: the entries, and the record of absences that belongs to them.

    ``absent`` are the ids of models that stay although the catalog does not list them at the moment.
    """

    entries: Sequence[Entry]
    absences: bytes
    selection: Selection = Selection((), ())
    absent: tuple[str, ...] = ()


Make = Callable[[bytes | None], Built]
"""From the stored record of absences (None: there is none) to what the target is to contain."""


@dataclass(frozen=True)
class Synced:
    """What became of the target called ``target``; ``change`` is None when it was up to date.

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
    """A place for entries and the record of absences; ``name`` is what people call it."""

    name: str

    def update(self, make: Make, stop: threading.Event) -> Synced:
        """Bring it up to date. Raises SidecarError; then nothing has changed."""
