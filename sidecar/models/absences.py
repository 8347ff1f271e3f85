"""Remembers the catalog from sync to sync, so that a model leaves only after several absences in a row.

Copilot's list is not stable from call to call. The memory is a small JSON file beside the models file,
which survives restarts. ``recall`` and ``merge`` are pure; a memory that cannot be read is started
afresh, which is said in the log and costs no more than one removal that comes early.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from sidecar.models.catalog import Item, id_problem

SCHEMA = 1


@dataclass(frozen=True)
class LastSeen:
    """A catalog item as last seen, and how many syncs in a row it has been absent since."""

    item: Item
    absences: int = 0


Absences = Mapping[str, LastSeen]


def absences_file(models_file: Path) -> Path:
    """Where the memory for ``models_file`` is kept."""
    return models_file.with_name(f".{models_file.stem}.memory.json")


def merge_absences(
    memory: Absences, found: Iterable[Item], remove_after: int
) -> tuple[list[Item], dict[str, LastSeen]]:
    """The items to work with (found ones, and absent ones that stay for now) and the new memory.

    ``remove_after`` is the number of absences in a row after which an item is gone.
    """
    found = list(found)
    new = {item["id"]: LastSeen(item) for item in found if id_problem(item.get("id")) is None}
    kept: list[Item] = []
    for key, remembered in memory.items():
        if key not in new and remembered.absences + 1 < remove_after:
            new[key] = LastSeen(remembered.item, remembered.absences + 1)
            kept.append(remembered.item)
    return [*found, *kept], new


def dump_absences(memory: Absences) -> bytes:
    """The memory as JSON bytes; equal memories give equal bytes."""
    models = {key: {"absences": value.absences, "item": value.item} for key, value in memory.items()}
    text = json.dumps({"schema": SCHEMA, "models": models}, sort_keys=True, default=_number, separators=(",", ":"))
    return text.encode("ascii") + b"\n"


def load_absences(data: bytes | None) -> dict[str, LastSeen] | None:
    """The memory in ``data``: empty for no data, None when the data is no memory."""
    if data is None:
        return {}
    try:
        content: Any = json.loads(data, parse_float=Decimal, parse_constant=lambda _: None)
        if content["schema"] != SCHEMA:
            return None
        return {
            key: LastSeen(dict(value["item"]), int(value["absences"]))
            for key, value in content["models"].items()
            if id_problem(key) is None and value["item"]["id"] == key
        }
    except (ValueError, ArithmeticError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} is not from JSON")
