"""The catalog as typed models: parsed from Copilot's ``/models``, trusting nothing in it.

A field of the wrong type counts as missing, and so does text that LiteLLM would take for an instruction. An item
without a valid id is omitted with a reason; only a response that is not a catalog at all, or beyond all measure, is an
error. Pure; the order of the items does not matter.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, NamedTuple

from sidecar.errors import BadAnswer
from sidecar.litellm_hot_reload.allowed import MAX_ENTRIES, is_instruction
from sidecar.models import prices
from sidecar.models.prices import Prices, Promo
from sidecar.parsers import ID_CHARACTERS
from sidecar.secret import redacted_in
from sidecar.text import printable

_PART = rf"[A-Za-z0-9][{ID_CHARACTERS}]*"
_ID = re.compile(rf"{_PART}(?:/{_PART})*")
MAX_ID_LENGTH = 128
MAX_ITEMS = MAX_ENTRIES
"""More items than LiteLLM's hook reads entries are no catalog: the largest that is known has some forty."""
MAX_TEXT = 2000
"""What of a text is read, in characters; the rest is not remembered either."""
MAX_DEPTH = 32
"""Deepest nesting of an item; that of a real one is six."""
_MAX_EFFORTS = 16
# In a key's or a team's list of models these mean something else than a model (1.110: SpecialModelNames).
_RESERVED_IDS = {"all-proxy-models", "all-team-models", "no-default-models"}
Item = Mapping[str, Any]
CATALOG_HINT = (
    "What is published stays, and the service retries by itself. If it lasts: does the account have models at "
    "https://github.com/settings/copilot, and does Copilot answer there, not a proxy or another address "
    "(GITHUB_COPILOT_API_BASE)? `doctor` shows it."
)
"""What helps where Copilot's answer is no catalog, or one without models."""


class Limits(NamedTuple):
    """Token limits; None where the catalog does not state one."""

    window: int | None = None
    prompt: int | None = None
    output: int | None = None


class Supports(NamedTuple):
    """What a model supports: True or False as the catalog states it, None where it states nothing."""

    vision: bool | None = None
    tool_calls: bool | None = None
    parallel_tool_calls: bool | None = None
    structured_outputs: bool | None = None
    streaming: bool | None = None
    adaptive_thinking: bool | None = None
    efforts: tuple[str, ...] | None = None
    min_thinking_budget: int | None = None
    max_thinking_budget: int | None = None


class Model(NamedTuple):
    """One model of the catalog."""

    id: str
    type: str
    endpoints: tuple[str, ...] | None
    picker: bool
    policy: str
    preview: bool
    name: str
    vendor: str
    category: str
    family: str
    version: str
    deprecation_date: str
    limits: Limits
    supports: Supports
    prices: Prices | None
    promo: Promo | None = None


class Omitted(NamedTuple):
    """A catalog item that LiteLLM is not given, and why; ``label`` is safe to display."""

    label: str
    reason: str


def catalog_items(payload: object, shown: dict[str, str] | None = None) -> list[Item]:
    """The items of a catalog response; ``shown`` is as in ``redacted_in``.

    Raises BadAnswer when it is empty, too large or not a catalog.
    """
    data = payload.get("data") if isinstance(payload, Mapping) else None
    if not isinstance(data, list):
        raise BadAnswer("the catalog has no list of models in `data`", hint=CATALOG_HINT)
    if len(data) > MAX_ITEMS:
        text = f"the catalog contains {len(data)} items, which is implausible (more than {MAX_ITEMS})"
        raise BadAnswer(text, hint=CATALOG_HINT)
    found = [item for item in data if isinstance(item, Mapping)]
    if any(map(is_too_deep, found)):
        raise BadAnswer(f"the catalog contains an item nested more than {MAX_DEPTH} levels deep", hint=CATALOG_HINT)
    found = [*redacted_in(found, MAX_TEXT, shown)]
    if not any(id_problem(item.get("id")) is None for item in found):
        raise BadAnswer("the catalog contains no models", hint=CATALOG_HINT)
    return found


def is_too_deep(item: Item) -> bool:
    """Whether an item is nested deeper than any real one, so that a function which recurses might fail."""
    level: list[Any] = [item]
    for _ in range(MAX_DEPTH):
        inner = (value.values() if isinstance(value, dict) else value for value in level)
        level = [value for values in inner for value in values if isinstance(value, (dict, list))]
        if not level:
            return False
    return True


def parse_models(found: Iterable[Item]) -> tuple[list[Model], list[Omitted]]:
    """Typed models in the order of their ids, and what was omitted.

    Among items with the same id, one in the picker wins, then the highest ``version``, then the one whose
    JSON sorts first.
    """
    chosen, omitted = distinct(found)
    return typed_models(chosen), omitted


def distinct(found: Iterable[Item]) -> tuple[dict[str, Item], list[Omitted]]:
    """One item for each valid id, in their order, and what was omitted; see ``parse_models``."""
    same, omitted = dict[str, list[Item]](), list[tuple[str, Omitted]]()
    for item in found:
        problem = id_problem(item.get("id"))
        if problem is None:
            same.setdefault(item["id"], []).append(item)
        else:
            omitted.append((_canonical(item), Omitted(printable(item.get("id"), 40), problem)))
    chosen = {
        key: items[0] if len(items) == 1 else max(sorted(items, key=_canonical), key=_rank)
        for key, items in sorted(same.items())
    }
    return chosen, [one for _, one in sorted(omitted, key=lambda pair: pair[0])]


def typed_models(chosen: Mapping[str, Item]) -> list[Model]:
    """Typed models of items by their ids, in the order of these."""
    return [_model(chosen[key]) for key in sorted(chosen)]


def id_problem(value: object) -> str | None:
    """Why ``value`` is not a valid model id; None if it is.

    An id must be safe in YAML, shells and terminals, and mean nothing but a model to LiteLLM.
    """
    if not isinstance(value, str) or not value:
        return "has no id"
    if len(value) > MAX_ID_LENGTH:
        return f"its id is longer than {MAX_ID_LENGTH} characters"
    if not _ID.fullmatch(value):
        return "its id contains invalid characters"
    if is_instruction(value):
        return "LiteLLM would take its id for a reference to a secret"
    if value.lower() in _RESERVED_IDS:
        return "its id has a meaning of its own in LiteLLM"
    return None


def _model(item: Item) -> Model:
    capabilities = _mapping(item, "capabilities")
    limits = _mapping(capabilities, "limits")
    endpoints = item.get("supported_endpoints")
    return Model(
        id=item["id"],
        type=_text(capabilities, "type") or "chat",
        endpoints=tuple(text for text in endpoints if isinstance(text, str)) if isinstance(endpoints, list) else None,
        picker=item.get("model_picker_enabled") is True,
        policy=_text(_mapping(item, "policy"), "state") or "enabled",
        preview=item.get("preview") is True,
        name=_text(item, "name"),
        vendor=_text(item, "vendor"),
        category=_text(item, "model_picker_category"),
        family=_text(capabilities, "family"),
        version=_text(item, "version"),
        deprecation_date=_deprecation(item.get("warning_messages")),
        limits=Limits(
            _count(limits, "max_context_window_tokens"),
            _count(limits, "max_prompt_tokens"),
            _count(limits, "max_output_tokens"),
        ),
        supports=_supports(capabilities.get("supports")),
        prices=prices.parse_prices(item.get("billing")),
        promo=prices.parse_promo(item.get("billing")),
    )


def _supports(value: object) -> Supports:
    """A flag missing from ``supports`` means no: Copilot lists only what a model supports.

    Older catalogs call structured outputs ``response_schema``, and tool calls as LiteLLM's flags are called.
    """
    if not isinstance(value, Mapping):
        return Supports()
    efforts = value.get("reasoning_effort")
    streaming = value.get("streaming")
    return Supports(
        vision=value.get("vision") is True,
        tool_calls=any(value.get(key) is True for key in ("tool_calls", "supports_tool_calls")),
        parallel_tool_calls=value.get("parallel_tool_calls") is True,
        structured_outputs=any(value.get(key) is True for key in ("structured_outputs", "response_schema")),
        streaming=streaming if isinstance(streaming, bool) else None,
        adaptive_thinking=value.get("adaptive_thinking") is True,
        efforts=_effort_names(efforts) if isinstance(efforts, list) else (),
        min_thinking_budget=_count(value, "min_thinking_budget"),
        max_thinking_budget=_count(value, "max_thinking_budget"),
    )


_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def _effort_names(efforts: list[Any]) -> tuple[str, ...]:
    names = {_clean(text) for text in efforts if isinstance(text, str)} - {""}
    return tuple(sorted(names, key=_effort_rank)[:_MAX_EFFORTS])


def _effort_rank(effort: str) -> tuple[int, str]:
    return (_EFFORTS.index(effort) if effort in _EFFORTS else len(_EFFORTS)), effort


_MONTHS = [
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
]
_LONG_DATE = rf"\b({'|'.join(_MONTHS)}) (\d{{1,2}}),? (20\d\d)\b"


def _deprecation(messages: object) -> str:
    """The date (YYYY-MM-DD) in a deprecation warning's text; empty if there is none."""
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, Mapping) and message.get("code") in {"model_pending_deprecation", "model_deprecated"}:
            text = _text(message, "message", MAX_TEXT)
            for year, month, day in [
                *re.findall(r"\b(20\d\d)-(\d\d)-(\d\d)\b", text, re.ASCII),
                *((y, _MONTHS.index(m) + 1, d) for m, d, y in re.findall(_LONG_DATE, text, re.ASCII)),
            ]:
                with contextlib.suppress(ValueError):  # such as February 30
                    return date(int(year), int(month), int(day)).isoformat()
    return ""


def _mapping(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _text(parent: Mapping[str, Any], key: str, limit: int = 120) -> str:
    value = parent.get(key)
    return _clean(value, limit) if isinstance(value, str) else ""


def _clean(text: str, limit: int = 120) -> str:
    """``text`` on one printable line of at most ``limit`` characters; empty if it could be an instruction."""
    cleaned = printable(" ".join(text.split()), limit)[:limit]  # again, because escapes are longer
    return "" if is_instruction(cleaned) else cleaned


def _count(parent: Mapping[str, Any], key: str) -> int | None:
    value = parent.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**12 else None


def _rank(item: Item) -> tuple[bool, str]:
    return item.get("model_picker_enabled") is True, _text(item, "version")


def _canonical(item: Item) -> str:
    return json.dumps(item, sort_keys=True, default=str)
