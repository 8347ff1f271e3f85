"""The differences between two sets of entries, for logs, notifications and dry runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any

from sidecar.text import printable

_MAX_FIELDS = 1000


@dataclass(frozen=True)
class FieldChange:
    """One field of an entry: ``path`` like ``model_info.mode``; None means that the value is missing."""

    model_name: str
    path: str
    old: object
    new: object


@dataclass(frozen=True)
class Change:
    """What changed, by ``model_name``; ``adopted`` are hand-written entries that were replaced."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    fields: tuple[FieldChange, ...] = ()
    adopted: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """One human-readable line per model and per field."""
        lines = [f"added {name}" for name in self.added] + [f"removed {name}" for name in self.removed]
        lines += [f"adopted {name}" for name in self.adopted]
        return lines + [
            f"changed {item.model_name}: {item.path} from {_display(item.old)} to {_display(item.new)}"
            for item in self.fields
        ]


def compare(old: Mapping[str, Any], new: Mapping[str, Any], adopted: Iterable[str] = ()) -> Change:
    """What changed from one set of entries (by id) to another, names in the order of ``new``."""
    adopted = tuple(adopted)
    fields = [item for key in new if key in old for item in _fields(old[key], new[key])]
    return Change(
        added=tuple(_name(entry) for key, entry in new.items() if key not in old and _name(entry) not in adopted),
        removed=tuple(_name(entry) for key, entry in old.items() if key not in new),
        changed=tuple(dict.fromkeys([*(item.model_name for item in fields), *adopted])),
        fields=tuple(sorted(fields, key=lambda item: (item.model_name, item.path))),
        adopted=adopted,
    )


def is_same(one: Any, other: Any) -> bool:
    """Equal as YAML: a Decimal equals the float it is read back as, a bool never equals a number."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float, Decimal)) and isinstance(other, (int, float, Decimal)):
        return one == other or float(one) == float(other)
    return type(one) is type(other) and bool(one == other)


def _fields(old: Any, new: Any) -> Iterator[FieldChange]:
    # Bounded: an entry that somebody else wrote may expand to more than any memory holds.
    before, after = (dict(islice(_leaves(entry), _MAX_FIELDS)) for entry in (old, new))
    for path in sorted(before.keys() | after.keys()):
        if not is_same(before.get(path), after.get(path)):
            yield FieldChange(_name(new), path, before.get(path), after.get(path))


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping) and (value or not prefix):
        for key, item in value.items():
            yield from _leaves(item, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def _name(entry: Any) -> str:
    return str(entry.get("model_name"))


def _display(value: object) -> str:
    return "nothing" if value is None else printable(value)
