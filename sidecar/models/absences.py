"""The record of absences: a model is removed only after it was absent from several catalogs in a row.

Copilot's list varies from call to call, by single models. To lose half of them or more, and at least two, is
implausible: that must repeat for far longer (``Settings.accept_after``), whether it comes at once or in portions, and
whether the models are no longer listed or no longer usable. What counts is what the current settings select, so that a
changed filter is no loss.

The record is a small JSON file next to the models file, so it survives restarts. Everything here is pure. If the record
cannot be read, the sync logs that and starts a new one; at worst, models are then removed early.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from sidecar.errors import SidecarError
from sidecar.jsontext import parse_json
from sidecar.models.catalog import (
    MAX_ITEMS,
    Item,
    Omitted,
    distinct,
    id_problem,
    is_too_deep,
    parse_models,
    typed_models,
)
from sidecar.models.selection import Selection, select_models
from sidecar.settings import Settings

SCHEMA = 1
MAX_RECORD = 4 * 1024 * 1024
"""Twice a catalog's limit, in bytes: what is listed, and what is kept besides."""
_MAX_ABSENCES = 10**6
_DATE_LENGTH = len("2026-12-31")


class LastSeen(NamedTuple):
    """A catalog item as last seen usable, and how many syncs in a row it has been missing since.

    ``gone``: it was removed, and is only remembered as part of a loss that comes in portions. ``told``: the retirement
    date (YYYY-MM-DD) of which there was a notice, and the least number of days ahead for which there was one.
    """

    item: Item
    absences: int = 0
    gone: bool = False
    told: tuple[str, int] | None = None


Absences = Mapping[str, LastSeen]


class Loss(NamedTuple):
    """An implausible loss: ``lost`` of ``known`` models, of which ``kept`` go if it repeats for ``syncs`` more."""

    lost: int
    known: int
    kept: int
    syncs: int

    def __str__(self) -> str:
        return (
            f"the catalog has lost {self.lost} of {self.known} models, which is implausible: {self.kept} of them are "
            f"kept until that has repeated for {self.syncs} more sync{'s' * (self.syncs != 1)}"
        )


class Merged(NamedTuple):
    """The items to use, the ids of those among them that are ``kept`` as they were, and the updated record.

    ``listed`` is what the catalog has now, by id; ``selected`` what the settings select of that.
    """

    items: list[Item]
    kept: frozenset[str]
    record: dict[str, LastSeen]
    listed: Mapping[str, Item]
    loss: Loss | None = None
    selected: Selection | None = None

    def selection(self, settings: Settings) -> Selection:
        """What the settings select of ``items``. Raises BadAnswer, UsageError."""
        if self.selected is not None and not self.kept:
            return self.selected
        return select_models(*parse_models(self.items), settings, self.kept)


def absences_file(file: Path) -> Path:
    """Where the record for a models file or a config is kept."""
    return file.with_name(f".{file.name}.memory.json")


def merge_absences(record: Absences, found: list[Item], settings: Settings, *, accept_loss: bool = False) -> Merged:
    """Combine what the catalog lists with what it listed before.

    A model that is not listed stays for ``settings.remove_after`` syncs; one that is listed but unusable goes at once;
    an implausible loss stays for ``settings.accept_after``. With ``accept_loss`` whatever is missing goes at once.
    """
    listed, invalid = distinct(found)
    selected = _selected(listed, invalid, (), settings)
    here = _ids(selected)
    missing = [key for key, last in record.items() if last.absences]
    known = {key: last.item for key, last in record.items()}
    before = here if not missing and known == listed else _ids(_selected(known, (), missing, settings))
    lost = before - here
    implausible = len(lost) >= 2 and 2 * len(lost) >= len(before)
    told, kept = {key: last.told for key, last in record.items()}, dict[str, Item]()
    updated = {key: LastSeen(item, told=told.get(key)) for key, item in listed.items()}
    for key, last in record.items() if not accept_loss else ():
        count = last.absences + 1
        if key in lost:
            over = last.gone or not (implausible or (key not in listed and count < settings.remove_after))
            forgotten = count >= settings.accept_after()
        else:
            over, forgotten = last.gone, key in listed or count >= settings.remove_after
        if forgotten or (key not in updated and len(updated) >= MAX_ITEMS):
            continue
        updated[key] = LastSeen(last.item, count, over, last.told)
        if not over:
            kept[key] = last.item
    doubted = [updated[key].absences for key in lost & kept.keys()] if implausible else []
    loss = Loss(len(lost), len(before), len(doubted), settings.accept_after() - max(doubted)) if doubted else None
    items = [item for item in found if not (isinstance(item.get("id"), str) and item["id"] in kept)]
    return Merged([*items, *kept.values()], frozenset(kept), updated, listed, loss, selected)


def _selected(
    items: Mapping[str, Item], invalid: Iterable[Omitted], kept: Collection[str], settings: Settings
) -> Selection | None:
    try:
        return select_models(typed_models(items), invalid, settings, kept)
    except SidecarError:  # none at all
        return None


def _ids(selected: Selection | None) -> set[str]:
    return {model.id for model in selected.models} if selected else set()


def dump_absences(record: Absences) -> bytes:
    """The record as JSON bytes; equal records give equal bytes."""
    models = {
        key: {
            "absences": value.absences,
            "item": value.item,
            **({"gone": True} if value.gone else {}),
            **({"told": value.told} if value.told else {}),
        }
        for key, value in record.items()
    }
    text = json.dumps({"schema": SCHEMA, "models": models}, sort_keys=True, default=_number, separators=(",", ":"))
    return text.encode("ascii") + b"\n"


def load_absences(data: bytes | None) -> dict[str, LastSeen] | None:
    """The record in ``data``: empty if there is no data, None if the data is not a plausible record."""
    if data is None:
        return {}
    try:
        content = parse_json(data, MAX_RECORD)
        models = content["models"]
        if content["schema"] != SCHEMA or len(models) > MAX_ITEMS:
            return None
        record = {
            key: LastSeen(value["item"], value["absences"], value.get("gone") is True, _told(value.get("told")))
            for key, value in models.items()
        }
        if not all(map(_is_plausible, record.values())):
            return None
        return {key: seen for key, seen in record.items() if id_problem(key) is None and seen.item["id"] == key}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _told(value: object) -> tuple[str, int] | None:
    if isinstance(value, list) and [*map(type, value)] == [str, int] and len(value[0]) <= _DATE_LENGTH:
        return value[0], value[1]
    return None


def _is_plausible(seen: LastSeen) -> bool:
    # `type`, because True is an int: a count that is none could keep a model for ever.
    count_ok = type(seen.absences) is int and 0 <= seen.absences <= _MAX_ABSENCES
    return count_ok and isinstance(seen.item, dict) and not is_too_deep(seen.item)


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} is not from JSON")
