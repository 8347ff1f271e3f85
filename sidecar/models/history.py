"""The history of changes: one event for each change of one model, one JSON line each. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sidecar.jsontext import parse_json
from sidecar.models.catalog import id_problem
from sidecar.text import printable

KINDS = (
    *("added", "removed", "absent", "limits", "price", "endpoint"),
    *("abilities", "policy", "retirement", "other"),
)
NOTICE = "notice."
"""The path of a notice of retirement begins with this; how many days ahead it is due follows."""
MAX_LINES, MAX_BYTES = 5000, 2**20
"""What a history may hold; the oldest lines go first."""
MAX_LINE = 16 * 1024
"""Longest line that is read, in bytes; one of ours has some 250."""
MAX_NAMES = 20
_MAX_VALUE = 600
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


class Event(NamedTuple):
    """One change of ``model``, which clients call by ``names``, at ``time`` (UTC, like 2026-11-26T03:17:22Z).

    ``path`` is the field of the entry, such as ``model_info.mode``, or ``absences``, ``policy``, ``notice.30``; empty
    for a model that was added or removed. ``old`` and ``new`` are JSON values, None where there is none.
    """

    time: str
    kind: str
    model: str
    path: str = ""
    old: object = None
    new: object = None
    names: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """What a line of the history holds."""
        return {**self._asdict(), "names": list(self.names)}

    def is_notice(self) -> bool:
        """Whether it says that a retirement comes near."""
        return self.kind == "retirement" and self.path.startswith(NOTICE)


def utc_text(now: datetime) -> str:
    """A moment as events have it."""
    return now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def bounded_value(value: object) -> object:
    """``value`` as JSON of a bounded length, without any secret."""
    if isinstance(value, (float, Decimal)):
        number = float(value)
        return number if math.isfinite(number) else None
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    if isinstance(value, int):
        return "a number beyond all measure"
    if isinstance(value, (list, tuple)) and len(value) <= MAX_NAMES and all(isinstance(item, str) for item in value):
        texts = [printable(item) for item in value]
        if len(json.dumps(texts)) <= _MAX_VALUE:
            return texts
    return printable(value, 200)[:200]


def event_from_json(content: object) -> Event | None:
    """The event in a parsed line; None if it is not one of ours."""
    if not isinstance(content, dict) or not {"time", "kind", "model", "path", "old", "new", "names"} <= content.keys():
        return None
    time, kind, model, path, names = (content[key] for key in ("time", "kind", "model", "path", "names"))
    if not (isinstance(time, str) and _TIME.fullmatch(time) and kind in KINDS and id_problem(model) is None):
        return None
    if not (isinstance(path, str) and isinstance(names, list) and all(isinstance(name, str) for name in names)):
        return None
    values = bounded_value(content["old"]), bounded_value(content["new"])
    return Event(time, kind, model, printable(path), *values, tuple(printable(name, 200) for name in names[:MAX_NAMES]))


def dump_events(events: Iterable[Event]) -> bytes:
    """One JSON line each."""
    return b"".join(json.dumps(event.as_json()).encode("ascii") + b"\n" for event in events)


def load_events(data: bytes) -> list[Event]:
    """The events in a history's last MAX_LINES lines, in its order; what is not a line of ours is left out."""
    found = []
    for line in data.splitlines()[-MAX_LINES:]:
        try:
            event = event_from_json(parse_json(line, MAX_LINE))
        except ValueError:
            continue
        if event is not None:
            found.append(event)
    return found


def with_events(data: bytes, events: Iterable[Event], lines: int = MAX_LINES, size: int = MAX_BYTES) -> bytes:
    """The history with these events at its end, of at most ``lines`` lines and ``size`` bytes.

    What it says already of the present state of a model's field is not repeated: a sync that was killed after it had
    recorded its events, or that could not finish, comes to the same ones again.
    """
    known = load_events(data)
    kept, total = list[bytes](), 0
    for event in reversed([*known, *_new(known, events)][-lines:]):
        line = dump_events([event])
        total += len(line)
        if total > size:
            break
        kept.append(line)
    return b"".join(reversed(kept))


def _new(known: Sequence[Event], events: Iterable[Event]) -> list[Event]:
    latest = dict[str, dict[str, Event]]()
    for event in known:
        if event.kind in {"added", "removed"}:
            latest[event.model] = {}
        latest.setdefault(event.model, {})[event.path] = event
    return [event for event in events if not _repeats(event, latest.get(event.model, {}).get(event.path))]


def _repeats(event: Event, last: Event | None) -> bool:
    return last is not None and (last.kind, last.old, last.new) == (event.kind, event.old, event.new)
