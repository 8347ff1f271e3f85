"""What requests cost: as Copilot bills them, beside what LiteLLM computed. Pure, but that it keeps the sums.

Copilot's answers say ``copilot_usage.total_nano_aiu``: 1e9 nano-AIU are one credit, and a credit is 0.01 USD.
"""

from __future__ import annotations

import json
import threading
from typing import Any

from .reported import MAX_MODELS, MAX_NAME, OTHER
from .text import printable

NANO_AIU_PER_USD = 1e11
MOST_USD = 1e5
"""That one request may cost; what is more is no bill."""
_FIELD = "copilot_usage"
_MAX_PARSED = 2**20


class Spend:
    """USD by model, billed and computed, of the same requests. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[str, tuple[float, float]] = {}

    def add(self, model: str, billed: float, computed: float) -> None:
        name = printable(model, MAX_NAME)
        with self._lock:
            # A wildcard in LiteLLM's config lets clients invent names.
            if not name.isascii() or (name not in self._sums and len(self._sums) >= MAX_MODELS - 1):
                name = OTHER
            before = self._sums.get(name, (0.0, 0.0))
            self._sums[name] = (before[0] + billed, before[1] + computed)

    def sums(self) -> dict[str, tuple[float, float]]:
        """All of it since the worker started."""
        with self._lock:
            return dict(self._sums)


def billed_in(answer: Any) -> float | None:
    """USD, of an answer or a part of one: JSON's types, LiteLLM's, or the text; None if it does not say."""
    if isinstance(answer, str):
        answer = _parsed(answer)
    usage = answer.get(_FIELD) if isinstance(answer, dict) else getattr(answer, _FIELD, None)
    amount = usage.get("total_nano_aiu") if isinstance(usage, dict) else None
    return usd(amount, NANO_AIU_PER_USD)


def usd(value: Any, per_usd: float = 1.0) -> float | None:
    """An amount in USD; None for what is no number, negative, or beyond measure."""
    amount = value / per_usd if type(value) in (int, float) and 0 <= value <= MOST_USD * per_usd else None
    return None if amount is None else float(amount)


def _parsed(text: str) -> Any:
    if len(text) <= _MAX_PARSED and f'"{_FIELD}"' in text:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    return None
