"""Reads what a LiteLLM worker says of itself (``litellm_hot_reload.reported``), and believes nothing of it. Pure.

Whoever reaches the port may send a report: so it is bounded in size, each field is checked for its type and range, and
each text is made printable.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sidecar.jsontext import parse_json
from sidecar.litellm_hot_reload.allowed import MAX_ENTRIES
from sidecar.litellm_hot_reload.reported import MAX_LISTED, MAX_MODELS, MAX_NAME, MAX_SIZE, MAX_TEXT
from sidecar.text import printable

MOST_USD = 1e6
LATEST = 1e11
"""The latest Unix time that is believed."""
_WORKER = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"(?:[0-9a-f]{64})?")


@dataclass(frozen=True)
class Said:
    """What a worker says of itself; ``token_end`` is in Unix time, ``refused`` has the first of ``refusals``."""

    version: str
    follows: str
    guarded: tuple[str, ...]
    unguarded: tuple[str, ...]
    unknown: tuple[str, ...]
    digest: str
    entries: int
    refused: tuple[tuple[str, str], ...]
    refusals: int
    token_end: float | None
    problem: str


@dataclass(frozen=True)
class Report(Said):
    """One report; ``spend`` is (USD billed, USD computed) by model."""

    worker: str
    spend: dict[str, tuple[float, float]]


def parse_report(body: bytes) -> Report:
    """Raises ValueError, which says what is wrong, and quotes nothing of it."""
    try:
        content = parse_json(body, MAX_SIZE)
    except ValueError:
        raise ValueError("the report is not JSON, or too large") from None
    if not isinstance(content, dict):
        raise ValueError("the report is not an object")

    def checked(name: str, is_valid: Callable[[Any], bool]) -> Any:
        if not is_valid(content.get(name, Report)):
            raise ValueError(f"the report's {name} is missing or invalid")
        return content[name]

    def text(name: str) -> str:
        return printable(checked(name, _is_text), MAX_TEXT)

    def texts(name: str) -> tuple[str, ...]:
        return tuple(printable(item, MAX_NAME) for item in checked(name, lambda value: _is_list(value, _is_text)))

    end = checked("token_end", lambda value: value is None or _is_number(value, LATEST))
    refused = checked("refused", lambda value: _is_list(value, _is_refusal))
    spend = checked("spend", _is_spend)
    return Report(
        worker=checked("worker", lambda value: _is_text(value) and _WORKER.fullmatch(value) is not None),
        version=text("litellm"),
        follows=text("follows"),
        guarded=texts("guarded"),
        unguarded=texts("unguarded"),
        unknown=texts("unknown"),
        digest=checked("digest", lambda value: _is_text(value) and _DIGEST.fullmatch(value) is not None),
        entries=checked("entries", _is_count),
        refused=tuple((printable(name, MAX_NAME), printable(reason, MAX_TEXT)) for name, reason in refused),
        refusals=checked("refusals", _is_count),
        token_end=None if end is None else float(end),
        problem=text("problem"),
        spend={printable(model, MAX_NAME): (float(usd[0]), float(usd[1])) for model, usd in spend.items()},
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any, most: float) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool) and 0 <= value <= most


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and _is_number(value, 2 * MAX_ENTRIES)


def _is_list(value: Any, is_item: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and len(value) <= MAX_LISTED and all(map(is_item, value))


def _is_refusal(value: Any) -> bool:
    return _is_list(value, _is_text) and len(value) == 2


def _is_spend(value: Any) -> bool:
    def is_pair(usd: Any) -> bool:
        return isinstance(usd, list) and len(usd) == 2 and all(_is_number(each, MOST_USD) for each in usd)

    return isinstance(value, dict) and len(value) <= MAX_MODELS and all(map(is_pair, value.values()))
