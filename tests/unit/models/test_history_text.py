"""Events in plain words, and the moments that ``--since`` names."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sidecar.errors import UsageError
from sidecar.models.history import Event
from sidecar.models.history_text import changes_table, describe, since

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
TIME = "2026-11-26T03:17:22Z"
WORDS = [
    (("added",), "added as github_copilot/m"),
    (("removed",), "removed"),
    (("absent", "absences", None, "1 of 3"), "absent from the catalog (1 of 3 times in a row)"),
    (("absent", "absences", "1 of 3", None), "listed by the catalog again"),
    (("limits", "model_info.max_input_tokens", 128_000, None), "input limit: 128,000 tokens → nothing"),
    (
        ("price", "model_info.input_cost_per_token", 1e-06, 1.25e-06),
        "input price: $1.00 per million tokens → $1.25 per million tokens",
    ),
    (
        ("price", "model_info.output_cost_per_token_above_200k_tokens", None, 1e-05),
        "output price above 200k tokens: nothing → $10.00 per million tokens",
    ),
    (("price", "model_info.promo_discount_percent", None, 50), "promotion in percent: nothing → 50"),
    (
        ("endpoint", "model_info.supported_endpoints", ["/v1/messages"], []),
        "endpoints: /v1/messages → nothing",
    ),
    (("abilities", "model_info.supports_vision", False, True), "vision: no → yes"),
    (("policy", "policy", "enabled", "disabled"), "policy: enabled → disabled"),
    (
        ("retirement", "model_info.deprecation_date", None, "2027-02-01"),
        "its retirement is announced for 2027-02-01",
    ),
    (
        ("retirement", "model_info.deprecation_date", "2027-02-01", "2027-03-01"),
        "its retirement moves from 2027-02-01 to 2027-03-01",
    ),
    (("retirement", "model_info.deprecation_date", "2027-02-01", None), "its retirement is no longer announced"),
    (("retirement", "notice.30", None, "2026-12-16"), "retires in 20 days, on 2026-12-16"),
    (("retirement", "notice.1", None, "2026-11-27"), "retires tomorrow, on 2026-11-27"),
    (("retirement", "notice.1", None, "2026-11-26"), "retires today, on 2026-11-26"),
    (("retirement", "notice.1", None, "a lie"), "retires today, on a lie"),
    (("other", "model_info.own_key", "a", "b"), "own key: a → b"),
    (("limits", "model_info.max_tokens", "\x1b[31m", True), "limit: \\x1b[31m → yes"),
]


@pytest.mark.parametrize(("parts", "words"), WORDS, ids=lambda value: str(value)[:30])
def test_plain_words(parts, words):
    """Each kind of event is said in words that a reader needs no manual for."""
    kind, *more = parts
    assert describe(Event(TIME, kind, "m", *more, names=("github_copilot/m",))) == words


def test_many_names():
    """Of many names a few are shown."""
    names = tuple(f"n{number}" for number in range(20))
    assert describe(Event(TIME, "added", "m", names=names)) == "added as n0, n1, n2 and 17 more names"


def test_all_that_comes_from_outside_is_quoted():
    """Whoever shows the words elsewhere gets every piece that GitHub or a file has written."""
    quoted = []
    describe(Event(TIME, "other", "m", "model_info.<b>", "<old>", "<new>"), lambda text: quoted.append(text) or "")
    describe(Event(TIME, "added", "m", names=("<name>",)), lambda text: quoted.append(text) or "")
    describe(Event(TIME, "price", "m", "model_info.x_cost_above_<y>", 1, 2), lambda text: quoted.append(text) or "")
    assert [text for text in quoted if "<" in text] == ["<b>", "<old>", "<new>", "<name>", "x cost above <y>"]


def test_table():
    """A line for each event: when, which model, and what."""
    events = [Event(TIME, "removed", "a-long-one"), Event(TIME, "added", "b")]
    assert changes_table(events).splitlines() == [
        "2026-11-26 03:17  a-long-one  removed",
        "2026-11-26 03:17  b           added",
    ]
    assert changes_table([]) == ""


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("7d", "2026-11-19T12:00:00+00:00"),
        (" 12h ", "2026-11-26T00:00:00+00:00"),
        ("0d", "2026-11-26T12:00:00+00:00"),
        ("2026-11-20", "2026-11-20T00:00:00+00:00"),
        ("2026-11-20T05:00", "2026-11-20T05:00:00+00:00"),
        ("2026-11-20T05:00:00Z", "2026-11-20T05:00:00+00:00"),
        ("2026-11-20T05:00+02:00", "2026-11-20T03:00:00+00:00"),
    ],
)
def test_since(text, moment):
    """A date, a time with or without a zone, or how long ago."""
    assert since(text, NOW).isoformat() == moment


@pytest.mark.parametrize(
    "text", ["x", "7", "7w", "-7d", "99999999d", "٧d", "2026-13-01", "9999-12-31T23:59-20:00", "\x1b", "d" * 999]
)
def test_since_when(text):
    """What is no time is refused with an example, and shown without its escapes."""
    with pytest.raises(UsageError, match="--since") as caught:
        since(text, NOW)
    assert "7d" in caught.value.hint and len(str(caught.value)) < 100 and str(caught.value).isprintable()
