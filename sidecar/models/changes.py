"""The differences between two sets of entries, for logs, notifications and dry runs. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

from sidecar.litellm_hot_reload.managed import PROVIDER
from sidecar.text import printable

_MAX_FIELDS = 1000


class FieldChange(NamedTuple):
    """One field of an entry: ``path`` like ``model_info.mode``; None means that the value is missing."""

    model_name: str
    path: str
    old: object
    new: object


@dataclass(frozen=True)
class Change:
    """What changed, by ``model_name``; ``before`` and ``after`` are the entries by id.

    Of entries that were not ours before: ``adopted`` were replaced, those in ``renamed`` under other names, and those
    in ``gone`` were removed, with the name of the model that they were for, of which there is no entry.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    fields: tuple[FieldChange, ...] = ()
    adopted: tuple[str, ...] = ()
    renamed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gone: Mapping[str, str] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    after: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def lines(self, omitted: Mapping[str, str] = MappingProxyType({})) -> list[str]:
        """What was taken over, then a line per model and per field; ``omitted`` says why models are left out, by id."""
        taken = {**self.renamed, **self.gone}
        lines = self._takeover(omitted)
        lines += [f"added {name}" for name in self.added]
        lines += [f"removed {name}" for name in self.removed if name not in taken]
        return lines + [
            f"changed {item.model_name}: {item.path} from {_display(item.old)} to {_display(item.new)}"
            for item in self.fields
        ]

    def _takeover(self, omitted: Mapping[str, str]) -> list[str]:
        taken = (*self.adopted, *self.renamed)
        lost = [name for name, model in self.gone.items() if model not in omitted]
        left = [f"{name} ({omitted[model]})" for name, model in self.gone.items() if model in omitted]
        renamed = [f"{name} is now {' and '.join(names)}" for name, names in self.renamed.items()]
        lines = (
            ("taken over", taken),
            ("of them have another name, which clients have to use", renamed),
            ("removed because Copilot no longer has them", lost),
            ("removed because they are left out", left),
        )
        return [f"{len(found)} {what}: {', '.join(map(printable, found))}" for what, found in lines if found]


def compare(old: Mapping[str, Any], new: Mapping[str, Any], taken: Sequence[tuple[str, str]] = ()) -> Change:
    """What changed from one set of entries (by id) to another, names in the order of ``new``.

    ``taken`` are ``model_name`` and ``litellm_params.model`` of entries that were not in ``old`` and are no more.
    """
    served = {_name(entry) for entry in new.values()}
    adopted = dict.fromkeys(name for name, _ in taken if name in served)
    others = {name: model for name, model in taken if name not in served}
    renamed = {name: tuple(_names_of(model, new)) for name, model in others.items()}
    gone = {name: model.removeprefix(PROVIDER) for name, model in others.items() if not renamed[name]}
    both = [key for key in new if key in old and not is_same(old[key], new[key])]
    fields = [item for key in both for item in field_changes(old[key], new[key])]
    return Change(
        added=tuple(_name(entry) for key, entry in new.items() if key not in old and _name(entry) not in adopted),
        removed=(*(_name(entry) for key, entry in old.items() if key not in new), *others),
        changed=tuple(dict.fromkeys([*(item.model_name for item in fields), *adopted])),
        fields=tuple(sorted(fields, key=lambda item: (item.model_name, item.path))),
        adopted=tuple(adopted),
        renamed={name: names for name, names in renamed.items() if names},
        gone=gone,
        before=old,
        after=new,
    )


def _names_of(model: str, entries: Mapping[str, Any]) -> Iterator[str]:
    for entry in entries.values():
        if entry["litellm_params"]["model"] == model:
            yield _name(entry)


def is_same(one: Any, other: Any) -> bool:
    """Equal as YAML: a Decimal equals the float it is read back as, a bool never equals a number."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(map(is_same, one.values(), map(other.__getitem__, one)))
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float, Decimal)) and isinstance(other, (int, float, Decimal)):
        return _float(one) == _float(other)
    return type(one) is type(other) and bool(one == other)


def _float(number: float | Decimal) -> float:
    try:
        return float(number)
    except OverflowError:  # an integer, and larger than any that we write
        return math.inf


def field_changes(old: Any, new: Any) -> Iterator[FieldChange]:
    """The fields that two entries differ in."""
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
