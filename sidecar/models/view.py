"""The models as people see them: one row a model, from the entries that LiteLLM is given. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from sidecar.text import printable

Row = dict[str, Any]
"""``id``, ``names``, ``display_name``, ``vendor``, ``mode``, ``endpoints``, ``context`` and ``output`` (tokens),
``abilities``, ``prices`` and ``long_context`` (USD per million tokens), ``preview``, ``retires`` (YYYY-MM-DD)."""

ABILITIES = (
    ("vision", "supports_vision"),
    ("tools", "supports_function_calling"),
    ("json", "supports_response_schema"),
    ("reasoning", "supports_reasoning"),
    ("caching", "supports_prompt_caching"),
)
"""What a row calls an ability, and LiteLLM's name of it."""
_PRICES = (
    ("input", "input_cost_per_token"),
    ("output", "output_cost_per_token"),
    ("cached", "cache_read_input_token_cost"),
    ("cache_write", "cache_creation_input_token_cost"),
)
_ABOVE = re.compile(r"input_cost_per_token_above_(\d{1,9})(k?)_tokens")


def rows(entries: Iterable[Mapping[str, Any]]) -> list[Row]:
    """One row for each model, in the order of the entries; a further entry of the same model is another name of it."""
    found: dict[str, Row] = {}
    for entry in entries:
        try:
            key = printable(entry["litellm_params"]["model"]).split("/", 1)[-1]
            info, name = dict(entry["model_info"]), printable(entry["model_name"])
        except (KeyError, TypeError, ValueError):  # of a config that somebody has edited
            continue
        row = found.get(key) or found.setdefault(key, _row(key, info))
        row["names"].append(name)
    return list(found.values())


def _row(key: str, info: Mapping[str, Any]) -> Row:
    endpoints = info.get("supported_endpoints")
    return {
        "id": key,
        "names": [],
        "display_name": _text(info, "display_name"),
        "vendor": _text(info, "vendor"),
        "mode": _text(info, "mode"),
        "endpoints": [printable(item) for item in endpoints] if isinstance(endpoints, list) else [],
        "context": _tokens(info, "max_input_tokens"),
        "output": _tokens(info, "max_output_tokens"),
        "abilities": [word for word, flag in ABILITIES if info.get(flag) is True],
        "prices": _prices(info, ""),
        "long_context": _long_context(info),
        "preview": info.get("preview") is True,
        "retires": _text(info, "deprecation_date") or None,
    }


def _long_context(info: Mapping[str, Any]) -> dict[str, float] | None:
    """The prices above the boundary at which they change; None if they do not."""
    for name in info:
        if match := _ABOVE.fullmatch(str(name)):
            above = int(match[1]) * (1000 if match[2] else 1)
            return {"above": above, **_prices(info, f"_above_{match[1]}{match[2]}_tokens")}
    return None


def _prices(info: Mapping[str, Any], suffix: str) -> dict[str, float]:
    found = {}
    for word, name in _PRICES:
        value = info.get(name + suffix)
        if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) and 0 <= value < 1:
            found[word] = float(Decimal(str(value)) * 1_000_000)
    return found


def _text(info: Mapping[str, Any], name: str) -> str:
    value = info.get(name)
    return printable(value) if isinstance(value, str) else ""


def _tokens(info: Mapping[str, Any], name: str) -> int | None:
    value = info.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
