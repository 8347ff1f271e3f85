"""Token prices of a catalog item, as exact decimals in USD per token.

The catalog states them in AI credits (1 credit = 0.01 USD) per ``batch_size`` tokens, in one or two
tiers, or in an older flat form in nano-credits (1e-9 credit). Anything else counts as no price, not as
zero, which would override LiteLLM's own price. A current promotion is reported separately; it never changes
the prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import lru_cache
from typing import NamedTuple

USD_PER_CREDIT = Decimal("0.01")
NANO = Decimal("1e-9")
_MAX_PRICE = Decimal(1)
_MIN_PRICE = Decimal("1e-18")


class Rates(NamedTuple):
    """USD per token; None where the catalog states no price."""

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None

    def known(self) -> bool:
        """Whether requests can be priced. Without an input price, LiteLLM before 1.106 uses its own."""
        return self.input is not None

    def over(self, other: Rates) -> Rates:
        """These rates, falling back to those of ``other``."""
        return Rates(
            other.input if self.input is None else self.input,
            other.output if self.output is None else self.output,
            other.cache_read if self.cache_read is None else self.cache_read,
            other.cache_write if self.cache_write is None else self.cache_write,
        )

    def complete(self) -> Rates:
        """These rates; cache reads and writes without a rate of their own cost as much as input tokens.

        GitHub's rate card calls a cache write "not applicable" for models that do not charge for it
        (github/docs, data/tables/copilot/models-and-pricing.yml): such tokens are input tokens.
        """
        return self.over(Rates(cache_read=self.input, cache_write=self.input))


class Prices(NamedTuple):
    """Rates for prompts of up to ``boundary`` tokens and for longer ones; a single tier has no boundary."""

    default: Rates
    boundary: int | None = None
    long_context: Rates | None = None

    def tiers(self) -> tuple[Rates, Rates | None]:
        """The complete rates up to the boundary and above it; the second tier falls back to the first."""
        longer = self.long_context
        return self.default.complete(), None if longer is None else longer.over(self.default).complete()


class Promo(NamedTuple):
    """A promotion that the catalog announces: percent off, and the moment (UTC) at which it ends."""

    percent: Decimal
    ends: datetime | None = None


def parse_prices(billing: object) -> Prices | None:
    """The prices in a catalog item's ``billing``; None if there are none."""
    table = billing.get("token_prices") if isinstance(billing, Mapping) else None
    if not isinstance(table, Mapping):
        return None
    batch = _number(table.get("batch_size"))
    if batch is None or batch <= 0:
        return None
    tier = table.get("default")
    if not isinstance(tier, Mapping):
        flat = _rates(table, USD_PER_CREDIT * NANO, batch)
        return Prices(flat) if flat.known() else None
    default = _rates(tier, USD_PER_CREDIT, batch)
    if not default.known():
        return None
    longer = table.get("long_context")
    if isinstance(longer, Mapping):
        boundary = _boundary(tier)
        rates = _rates(longer, USD_PER_CREDIT, batch)
        if boundary is not None and _differs(rates, default):
            return Prices(default, boundary, rates)
    return Prices(default)


def parse_promo(billing: object) -> Promo | None:
    """The promotion in a catalog item's ``billing``; None if there is none with a discount."""
    promo = billing.get("promo") if isinstance(billing, Mapping) else None
    percent = _number(promo.get("discount_percent")) if isinstance(promo, Mapping) else None
    if not isinstance(promo, Mapping) or percent is None or not 0 < percent <= 100:
        return None
    try:
        ends = datetime.fromisoformat(promo["ends_at"])
        return Promo(percent, (ends if ends.tzinfo else ends.replace(tzinfo=UTC)).astimezone(UTC))
    except (KeyError, TypeError, ValueError, OverflowError):
        return Promo(percent)


def _rates(tier: Mapping[str, object], unit: Decimal, batch: Decimal) -> Rates:
    def usd(*names: str) -> Decimal | None:
        for name in names:
            price = _number(tier.get(name))
            if price is not None and price >= 0:
                return _per_token(price, unit, batch)
        return None

    return Rates(
        usd("input_price"),
        usd("output_price"),
        usd("cache_read_price", "cache_price"),
        usd("cache_write_price"),
    )


@lru_cache(256)  # many models cost the same
def _per_token(price: Decimal, unit: Decimal, batch: Decimal) -> Decimal | None:
    """price × unit / batch to 17 significant digits (all that a float can hold); None if implausible."""
    with localcontext(Context(prec=17, rounding=ROUND_HALF_EVEN)):
        usd = price * unit / batch
    return usd if usd == 0 or _MIN_PRICE <= usd <= _MAX_PRICE else None


def _differs(longer: Rates, default: Rates) -> bool:
    pairs = zip(
        (longer.input, longer.output, longer.cache_read, longer.cache_write),
        (default.input, default.output, default.cache_read, default.cache_write),
        strict=True,
    )
    return any(above is not None and above != below for above, below in pairs)


def _boundary(tier: Mapping[str, object]) -> int | None:
    for name in ("context_max", "max_prompt_tokens"):
        value = tier.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**12:
            return value
    return None


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    number = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
    return number if number.is_finite() and abs(number.adjusted()) < 30 else None
