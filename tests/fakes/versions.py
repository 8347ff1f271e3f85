"""What each ``X-GitHub-Api-Version`` makes of the catalog."""

from __future__ import annotations

import copy
from typing import Any

from .catalog import warning

FLAT, TIERED, RENAMED = "2025-04-01", "2026-06-01", "2026-08-01"


def as_seen_by(version: str | None, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Copies of ``items`` in the shape of ``version``; without a version the oldest shape."""
    view = copy.deepcopy(items)
    for item in view:
        if not version or version < TIERED:
            _flatten(item)
        else:
            _spell_cache_price(item, "cache_read_price" if version >= RENAMED else "cache_price")
    return view


def _flatten(item: dict[str, Any]) -> None:
    """No token prices, no large context, and a warning on every model."""
    item.setdefault("warning_messages", []).append(
        warning("client_version_deprecated", "Update your client to a supported version.")
    )
    billing = item.get("billing")
    if not isinstance(billing, dict) or "token_prices" not in billing:
        return
    prices = billing.pop("token_prices")
    billing.update(is_premium=True, multiplier=1)
    if isinstance(prices, dict) and "long_context" in prices:
        _cap(item["capabilities"]["limits"], prices["default"])


def _cap(limits: dict[str, Any], default: dict[str, Any]) -> None:
    """The limits of the default tier alone."""
    output = limits["max_output_tokens"]
    context = default.get("context_max") or default["max_prompt_tokens"] + output
    limits["max_context_window_tokens"] = min(limits["max_context_window_tokens"], context)
    limits["max_prompt_tokens"] = limits["max_context_window_tokens"] - output


def _spell_cache_price(item: dict[str, Any], spelling: str) -> None:
    prices = (item.get("billing") or {}).get("token_prices")
    for tier in prices.values() if isinstance(prices, dict) else ():
        if isinstance(tier, dict):
            for other in {"cache_price", "cache_read_price"} & tier.keys():
                tier[spelling] = tier.pop(other)
