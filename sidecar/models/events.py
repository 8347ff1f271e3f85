"""What has changed, as events: from the entries before and after, which is what LiteLLM is given; from the record of
absences before and after, which is what the catalog says besides; and from retirement dates that come near. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from sidecar.litellm_hot_reload.exchange import EDITOR_HEADERS
from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX, id_of
from sidecar.models.absences import Absences, LastSeen, Merged
from sidecar.models.catalog import Item, id_problem, parse_models
from sidecar.models.changes import Change, field_changes
from sidecar.models.history import MAX_NAMES, NOTICE, Event, bounded_value
from sidecar.settings import Settings
from sidecar.text import printable

NOTICES = (30, 7, 1)
"""So many days before a model retires there is a notice, once each."""
_KINDS = (
    ("price", re.compile(r"model_info\.(?:\w*cost\w*|tiered_pricing.*|promo_\w+)")),
    ("limits", re.compile(r"model_info\.(?:max|min)_\w+")),
    ("endpoint", re.compile(r"model_info\.(?:mode|supported_endpoints)")),
    ("abilities", re.compile(r"model_info\.(?:supports_\w+|reasoning_effort_levels)")),
    ("retirement", re.compile(r"model_info\.deprecation_date")),
)
_HEADER, _VISION = "litellm_params.extra_headers.", "copilot-vision-request"
_SAME = (
    (r"(model_info\.\w+)_above_1hr(\w*)", r"\1\2"),
    (r"(model_info\.\w+)_above_\w+_tokens", r"\1"),
    (r"model_info\.cache_(?:read|creation)_input_token_cost(_above_\w+_tokens)?", r"model_info.input_cost_per_token\1"),
    (r"model_info\.max_tokens", "model_info.max_output_tokens"),
    (r"model_info\.max_tokens", "model_info.max_input_tokens"),
    (r"model_info\.supports_tool_choice", "model_info.supports_function_calling"),
    (r"model_info\.supports_native_structured_output", "model_info.supports_response_schema"),
)
"""A field that only repeats another one, as ``sidecar.models.entries`` writes them, where both change alike."""
_IMPLIED = (
    (r"model_info\.supports_(?:\w+_)?reasoning(?:_effort)?", "model_info.reasoning_effort_levels"),
    (re.escape(_HEADER + _VISION), "model_info.supports_vision"),
)
"""A field that follows from another one, where that one changes."""

Entries = Iterable[Mapping[str, Any]]


def entry_events(change: Change, time: str) -> list[Event]:
    """What changed in the entries, by model: added, removed, or one event for each field."""
    before, after, events = _by_model(change.before.values()), _by_model(change.after.values()), list[Event]()
    for model in sorted(before.keys() | after.keys()):
        old, new = before.get(model, {}), after.get(model, {})
        if old and new:
            events += _model_events(model, old, new, time)
        else:
            events.append(Event(time, "added" if new else "removed", model, names=_names({**old, **new}.values())))
    return events


def record_events(before: Absences, merged: Merged, entries: Entries, settings: Settings, time: str) -> list[Event]:
    """What the record of absences before and the catalog say besides: absences of the models that are served, policies.

    Absences beyond ``settings.remove_after``, while a loss is not believed, are no events, nor are policies meanwhile.
    """
    remove_after, after, events = settings.remove_after, merged.record, list[Event]()
    names = {model: _names(own.values()) for model, own in _by_model(entries).items()}
    of = settings.accept_after() if merged.loss else remove_after
    for model in sorted(names.keys() & before.keys() & after.keys()):
        old, new = before[model], after[model]
        if old.absences < new.absences <= remove_after or (new.absences == 0 < old.absences and not old.gone):
            was, now = (f"{seen.absences} of {of}" if seen.absences else None for seen in (old, new))
            events.append(Event(time, "absent", model, "absences", was, now, names[model]))
    known = {model: seen.item for model, seen in before.items() if not seen.gone and model not in merged.kept}
    changed = [model for model, item in known.items() if model in merged.listed and merged.listed[model] != item]
    was_allowed, is_allowed = _policies(known, changed), _policies(merged.listed, changed)
    for model in sorted(was_allowed):
        if was_allowed[model] != is_allowed[model]:
            pair = bounded_value(was_allowed[model]), bounded_value(is_allowed[model])
            events.append(Event(time, "policy", model, "policy", *pair, names.get(model, ())))
    return events


def retirement_notices(entries: Entries, record: Absences, time: str) -> tuple[list[Event], dict[str, LastSeen]]:
    """A notice for each model whose retirement has come near, and the record that remembers it."""
    events, told = [], dict(record)
    for model, own in sorted(_by_model(entries).items()):
        retires, seen = _date(next(iter(own.values()))["model_info"].get("deprecation_date")), record.get(model)
        days = (retires - date.fromisoformat(time[:10])).days if retires else -1
        near = min((notice for notice in NOTICES if 0 <= days <= notice), default=None)
        if retires is None or near is None or seen is None:
            continue
        day = retires.isoformat()
        if seen.told is None or seen.told[0] != day or seen.told[1] > near:
            events.append(Event(time, "retirement", model, f"{NOTICE}{near}", None, day, _names(own.values())))
            told[model] = seen._replace(told=(day, near))
    return events, told


def _model_events(model: str, old: Mapping[str, Any], new: Mapping[str, Any], time: str) -> list[Event]:
    """From one model's entries before and after, by id."""
    was, names = _names(old.values()), _names(new.values())
    events = [] if was == names else [Event(time, "other", model, "model_name", list(was), list(names), names)]
    # All entries of a model are alike but for their names.
    shared = next((key for key in new if key in old), None)
    one, other = old[shared or next(iter(old))], new[shared or next(iter(new))]
    fields = {item.path: (bounded_value(item.old), bounded_value(item.new)) for item in field_changes(one, other)}
    for path, values in fields.items():
        if path not in {"model_name", "model_info.id"} and not _is_repeated(path, fields):
            kind = next((kind for kind, pattern in _KINDS if pattern.fullmatch(path)), "other")
            shown = [_shown(path, value) for value in values]
            events.append(Event(time, kind, model, printable(path), shown[0], shown[1], names))
    return events


def _by_model(entries: Entries) -> dict[str, dict[str, Any]]:
    """The entries by the id of their model, and their own; without any that cannot be ours."""
    found = dict[str, dict[str, Any]]()
    for entry in entries:
        key = id_of(entry)
        model = str(key).removeprefix(MANAGED_PREFIX).partition("@")[0]
        if id_problem(model) is None:
            found.setdefault(model, {})[str(key)] = entry
    return found


def _names(entries: Entries) -> tuple[str, ...]:
    return tuple(dict.fromkeys(printable(entry.get("model_name"), 200) for entry in entries))[:MAX_NAMES]


def _policies(items: Mapping[str, Item], ids: Iterable[str]) -> dict[str, str]:
    return {model.id: model.policy for model in parse_models(items[key] for key in ids)[0]}


def _is_repeated(path: str, fields: Mapping[str, tuple[object, object]]) -> bool:
    same, implied = (
        [fields.get(match.expand(twin)) for pattern, twin in rules if (match := re.fullmatch(pattern, path))]
        for rules in (_SAME, _IMPLIED)
    )
    return fields[path] in same or any(implied)


def _shown(path: str, value: object) -> object:
    """A value for the history; that of a header of the user's own may be a key, and is not shown."""
    header = path.removeprefix(_HEADER).lower()
    is_own = path.startswith(_HEADER) and header not in EDITOR_HEADERS and header != _VISION
    return "***" if is_own and value is not None else value


def _date(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
