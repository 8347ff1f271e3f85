"""Token prices: exact decimals in USD per token from every form that a catalog has, and nothing from any other."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.models.prices import Prices, Rates, parse_prices
from tests.fakes.catalog import multiplier, nano, tier, tiered


def usd(*prices):
    return Rates(*(None if price is None else Decimal(price) for price in prices))


@pytest.mark.parametrize(
    ("billing", "expected"),
    [
        (tiered(tier(1000, 5000, 100, cache_write_price=1250)), usd("0.00001", "0.00005", "0.000001", "0.0000125")),
        (tiered(tier(0.175, 1.4, 0.0175), batch_size=1000), usd("0.00000175", "0.000014", "0.000000175", None)),
        (tiered(tier(300, 1500)), usd("0.000003", "0.000015", None, None)),
        (tiered({"input_price": 7}), usd("0.00000007", None, None, None)),
        (tiered({"input_price": 7, "output_price": 7, "cache_price": 3}), usd("7e-8", "7e-8", "3e-8", None)),
        (tiered({"input_price": 7, "cache_price": 3, "cache_read_price": 2}), usd("7e-8", None, "2e-8", None)),
        (tiered({"input_price": 7, "cache_price": 3, "cache_read_price": "x"}), usd("7e-8", None, "3e-8", None)),
        (tiered(tier(0, 0)), usd("0", "0", None, None)),
        (
            tiered(tier(Decimal("0.1"), 1), batch_size=3),
            usd("0.00033333333333333333", "0.0033333333333333333", None, None),
        ),
        (nano(110, 440, 55), usd("0.0000011", "0.0000044", "0.00000055", None)),
    ],
)
def test_one_tier(billing, expected):
    """Credits per batch become USD per token, to the last digit, in every spelling."""
    assert parse_prices(billing) == Prices(expected)


@pytest.mark.parametrize(("name", "boundary"), [("context_max", 272_000), ("max_prompt_tokens", 200_000)])
def test_two_tiers(name, boundary):
    """The second tier holds above the boundary, whichever way that is spelt."""
    longer = tier(500, 2250, 50, context_max=1_050_000)
    found = parse_prices(tiered(tier(250, 1500, 25, **{name: boundary}), longer))
    assert found == Prices(usd("2.5e-6", "15e-6", "2.5e-7", None), boundary, usd("5e-6", "22.5e-6", "5e-7", None))


@pytest.mark.parametrize(
    "longer",
    [
        pytest.param(tier(250, 1500, 25), id="costs the same"),
        pytest.param({"input_price": 250}, id="says the same of what it says"),
        pytest.param({}, id="empty"),
        pytest.param({"input_price": "500"}, id="no prices"),
        pytest.param([500], id="no mapping"),
    ],
)
def test_a_second_tier_that_changes_nothing(longer):
    """A second tier without a price of its own is omitted."""
    found = parse_prices(tiered(tier(250, 1500, 25, context_max=272_000), longer))
    assert found.boundary is None and found.long_context is None


@pytest.mark.parametrize("boundary", [None, 0, -1, 1.5, True, "200000", 10**12])
def test_no_boundary_no_second_tier(boundary):
    """Without a number of tokens from which on it holds, a second tier cannot be used."""
    assert parse_prices(tiered(tier(250, 1500, context_max=boundary), tier(500, 3000))).long_context is None


def test_cache_write_may_be_missing_above():
    """The second tier may lack a cache price; that is not a price of zero."""
    billing = tiered(tier(300, 1500, 30, cache_write_price=375, context_max=200_000), tier(600, 2250, 60))
    assert parse_prices(billing).long_context == usd("6e-6", "22.5e-6", "6e-7", None)


NO_NUMBER = [None, "1000", -1, True, float("nan"), float("inf"), Decimal("NaN"), [], {}, 10**40]


@pytest.mark.parametrize("batch", [*NO_NUMBER, 0, 0.0])
@pytest.mark.parametrize("make", [lambda batch: tiered(tier(100, 200), batch_size=batch), lambda b: nano(1, 2, 1, b)])
def test_batch_that_is_none(make, batch):
    """Without a positive batch size there is no price."""
    assert parse_prices(make(batch)) is None


@pytest.mark.parametrize("price", NO_NUMBER)
def test_price_that_is_none(price):
    """What is not a price is unknown, not zero; without a price for input there are no prices at all."""
    assert parse_prices(tiered(tier(200, price, price))) == Prices(usd("0.000002", None, None, None))
    assert parse_prices(tiered(tier(price, 200, 100))) is None
    assert parse_prices(tiered(tier(100, 200, context_max=9), {"output_price": 300, "input_price": price})) == Prices(
        usd("0.000001", "0.000002", None, None), 9, usd(None, "0.000003", None, None)
    )


@pytest.mark.parametrize("billing", [None, [], "x", {}, multiplier(1), {"token_prices": None}, {"token_prices": []}])
def test_no_prices(billing):
    """Billing without token prices gives none."""
    assert parse_prices(billing) is None


@pytest.mark.parametrize("price", [10**9, Decimal("1e-25")])
def test_beyond_all_reason(price):
    """A price above a dollar a token, or below anything that could be billed, is a mistake."""
    assert parse_prices(tiered(tier(200, price))).default.output is None
    assert parse_prices(tiered(tier(price, 200))) is None


NUMBERS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.decimals(), st.text(max_size=5), st.integers(0, 10**4)
)
NAMES = ["input_price", "output_price", "cache_price", "cache_read_price", "cache_write_price", "context_max"]
TIERS = st.one_of(NUMBERS, st.dictionaries(st.sampled_from(NAMES), NUMBERS))
TABLES = st.dictionaries(st.sampled_from([*NAMES, "batch_size", "default", "long_context"]), NUMBERS | TIERS)
# Without a batch size and a price for input there are no prices to look at, and chance hardly ever brings both.
PRICED = st.builds(
    lambda first, longer: tiered({"input_price": 300, **first}, longer)["token_prices"],
    st.dictionaries(st.sampled_from(NAMES[1:]), NUMBERS),
    st.dictionaries(st.sampled_from(NAMES), NUMBERS),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(TABLES | PRICED)
def test_any_table(table):
    """Whatever the table holds, a price is a finite number from 0 to a dollar."""
    found = parse_prices({"token_prices": table})
    for rates in [found.default, found.long_context] if found else []:
        for price in rates if rates else []:
            assert price is None or (price.is_finite() and 0 <= price <= 1)
