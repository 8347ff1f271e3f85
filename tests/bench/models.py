"""The models that are measured with."""

from __future__ import annotations

from typing import Any

from tests.fakes.catalog import model, tier, tiered

USUAL = 42
"""Models of a catalog of the usual size."""


def models(count: int, price: float = 300) -> list[dict[str, Any]]:
    """Catalog items with all that a real one has: prices with a boundary, limits, images, efforts."""
    prices = tiered(
        tier(price, 5 * price, price / 10, cache_write_price=1.25 * price, max_prompt_tokens=200_000),
        tier(2 * price, 7.5 * price, price / 5, max_prompt_tokens=936_000),
    )
    return [model(f"m-{n}", billing=prices, reasoning=["low", "high"], vision=True) for n in range(count)]
