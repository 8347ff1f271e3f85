"""The reference page and the code say the same."""

from __future__ import annotations

import re

from scripts import reference
from sidecar.models.catalog import parse_models
from sidecar.models.entries import build_entries
from sidecar.settings import Settings
from tests.fakes.catalog import model, tier, tiered, warning


def test_the_page_is_up_to_date() -> None:
    """docs/reference.md is what scripts/reference.py makes of the code."""
    assert reference.PAGE.read_text("utf-8") == reference.page()


def test_every_model_info_key_is_explained() -> None:
    """The mapping table names every key that a model can get, and none that it cannot."""
    tiers = tiered(tier(1, 2, 3, cache_write_price=4, context_max=128_000), tier(2, 3, 4, cache_write_price=5))
    full = model(
        "full",
        vision=True,
        reasoning=["low"],
        billing={**tiers, "promo": {"discount_percent": 50, "ends_at": "2027-01-31T00:00:00Z"}},
        supports={"adaptive_thinking": True, "min_thinking_budget": 1, "max_thinking_budget": 2},
        warnings=[warning("model_deprecated", "It goes on 2027-01-31.")],
    )
    models, _ = parse_models([full])
    found, _ = build_entries(models, Settings())
    keys = {re.sub(r"_above_128k_tokens$", "_above_Nk_tokens", key) for key in found[0]["model_info"]}
    others = {key for key in keys if key.endswith("_above_Nk_tokens") and not key.startswith("input")}
    assert len(others) == 4
    assert keys - others == set(reference.MAPPING)
