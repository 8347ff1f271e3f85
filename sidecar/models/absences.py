"""The record of absences: a model is removed only after it was absent from several catalogs in a row.

Copilot's list varies from call to call. The record is a small JSON file next to the models file, so it
survives restarts. Everything here is pure. If the record cannot be read, the sync logs that and starts a
new one; at worst, a model is then removed early.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from sidecar.models.catalog import MAX_ITEMS, Item, id_problem, is_too_deep

SCHEMA = 1
_MAX_ABSENCES = 10**6


@dataclass(frozen=True)
class LastSeen:
    """A catalog item as last seen, and how many syncs in a row it has been absent since."""

    item: Item
    absences: int = 0


Absences = Mapping[str, LastSeen]


def absences_file(models_file: Path) -> Path:
    """Where the record for ``models_file`` is kept."""
    return models_file.with_name(f".{models_file.stem}.memory.json")


def merge_absences(
    record: Absences, found: Iterable[Item], remove_after: int
) -> tuple[list[Item], dict[str, LastSeen]]:
    """The items to use (those found, and absent ones that are kept for now) and the updated record.

    ``remove_after`` is the number of absences in a row after which an item is removed.
    """
    found = list(found)
    updated = {item["id"]: LastSeen(item) for item in found if id_problem(item.get("id")) is None}
    absent: list[Item] = []
    for key, last in record.items():
        if key not in updated and last.absences + 1 < remove_after and len(updated) < MAX_ITEMS:
            updated[key] = LastSeen(last.item, last.absences + 1)
            absent.append(last.item)
    return [*found, *absent], updated


def dump_absences(record: Absences) -> bytes:
    """The record as JSON bytes; equal records give equal bytes."""
    models = {key: {"absences": value.absences, "item": value.item} for key, value in record.items()}
    text = json.dumps({"schema": SCHEMA, "models": models}, sort_keys=True, default=_number, separators=(",", ":"))
    return text.encode("ascii") + b"\n"


def load_absences(data: bytes | None) -> dict[str, LastSeen] | None:
    """The record in ``data``: empty if there is no data, None if the data is not a plausible record."""
    if data is None:
        return {}
    try:
        content: Any = json.loads(data, parse_float=Decimal, parse_constant=lambda _: None)
        models = content["models"]
        if content["schema"] != SCHEMA or len(models) > MAX_ITEMS:
            return None
        record = {key: LastSeen(value["item"], value["absences"]) for key, value in models.items()}
        if not all(map(_is_plausible, record.values())):
            return None
        return {key: seen for key, seen in record.items() if id_problem(key) is None and seen.item["id"] == key}
    except (ValueError, ArithmeticError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _is_plausible(seen: LastSeen) -> bool:
    # `type`, because True is an int: a count that is none could keep a model for ever.
    count_ok = type(seen.absences) is int and 0 <= seen.absences <= _MAX_ABSENCES
    return count_ok and isinstance(seen.item, dict) and not is_too_deep(seen.item)


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} is not from JSON")
