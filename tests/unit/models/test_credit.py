"""What is left of an account's credit: read from any answer, shown in one line, and told once a period."""

from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.jsontext import parse_json
from sidecar.models.credit import (
    MAX_QUOTAS,
    Credit,
    Quota,
    Told,
    due_notices,
    dump_told,
    load_told,
    parse_credit,
)
from sidecar.secret import Secret
from tests.support import canary
from tests.support.hostile import json_bytes

SNAPSHOT = {
    "quota_id": "premium_interactions",
    "entitlement": 1500,
    "remaining": 1230,
    "quota_remaining": 1230.5,
    "percent_remaining": 82.0,
    "unlimited": False,
    "overage_count": 0,
    "overage_permitted": False,
}
ANSWER = {
    "login": "octocat",
    "copilot_plan": "individual",
    "access_type_sku": "monthly_subscriber",
    "quota_reset_date": "2026-12-01",
    "quota_reset_date_utc": "2026-12-01T00:00:00.000Z",
    "quota_snapshots": {
        "chat": {"entitlement": 0, "percent_remaining": 100.0, "remaining": 0, "unlimited": True},
        "premium_interactions": SNAPSHOT,
    },
}
FREE = {
    "monthly_quotas": {"chat": 50, "completions": 2000},
    "limited_user_quotas": {"chat": 41},
    "limited_user_reset_date": "2026-12-03",
}


def parsed(answer):
    """As it comes from the network."""
    return parse_credit(parse_json(json.dumps(answer).encode(), 65536))


def quota(**changes):
    """The quota in an answer with some fields changed; those that are None are missing."""
    fields = {key: value for key, value in {**SNAPSHOT, **changes}.items() if value is not None}
    return next(iter(parsed({"quota_snapshots": {"premium_interactions": fields}}).quotas), None)


def test_paid_plan():
    """Plan, quotas and reset date, the quota that is paid for first."""
    credit = parsed(ANSWER)
    assert (credit.login, credit.plan, credit.sku) == ("octocat", "individual", "monthly_subscriber")
    premium, chat = credit.quotas
    assert premium == Quota("premium_interactions", 1230.5 / 1500, 1500, 1230.5, overage=0)
    assert chat == Quota("chat", unlimited=True) and credit.resets_at == "2026-12-01"
    assert credit.text() == (
        "credit: premium_interactions 1230.5 of 1500 left (17.97 % used), chat unlimited; resets on 2026-12-01"
    )
    assert credit.as_json()["quotas"][0]["used_percent"] == 17.966667 and json.dumps(credit.as_json(), allow_nan=False)


def test_free_plan():
    """A free plan's monthly quotas; of one nothing is known but its size."""
    credit = parsed(FREE)
    assert credit.quotas == (Quota("chat", 0.82, 50, 41), Quota("completions", None, 2000, None))
    assert credit.text() == "credit: chat 41 of 50 left (18 % used), completions; resets on 2026-12-03"


@pytest.mark.parametrize(
    ("changes", "remaining", "left", "used"),
    [
        ({"quota_remaining": None}, 0.82, 1230, 18),
        ({"quota_remaining": "1230.5", "remaining": True}, 0.82, None, 18),
        ({"entitlement": None}, 0.82, 1230.5, 18),
        ({"quota_remaining": -30}, 0.0, -30, 102),
        ({"quota_remaining": 3000}, 1.0, 3000, -100),
        ({"quota_remaining": None, "remaining": None, "percent_remaining": -20}, 0.0, None, 100),
        ({"quota_remaining": None, "remaining": None, "percent_remaining": 1e9}, 1.0, None, 0),
        ({"percent_remaining": None}, 1230.5 / 1500, 1230.5, 17.966667),
        ({"entitlement": 0}, None, 1230.5, None),
        ({"entitlement": -1}, None, 1230.5, None),
        ({"entitlement": 1e-300}, None, 1230.5, None),
        ({"entitlement": 10**30, "percent_remaining": None}, None, 1230.5, None),
    ],
)
def test_ratio_is_for_show_and_the_numbers_are_real(changes, remaining, left, used):
    """The ratio stays between 0 and 1, what is left is as GitHub says, and what cannot be is unknown."""
    found = quota(**changes)
    assert (found.remaining, found.left, found.used) == (remaining, left, used)


@pytest.mark.parametrize("answer", [None, [], "x", 1, {}, {"quota_snapshots": []}, {"quota_snapshots": {"chat": None}}])
def test_nothing_is_nothing(answer):
    """An answer in which nothing can be read is an account of which nothing is known."""
    assert parsed(answer) == Credit() and Credit().text() == "credit: unknown"


def test_names_are_labels():
    """A quota's name is a word, there are few of them, and none shows a secret or breaks a line."""
    token = Secret(canary.new("a"))
    names = [f"quota_{number}" for number in range(99)] + ["", "a b", "x\n", 'q"}', "é", "A", token.reveal().lower()]
    credit = parsed({"quota_snapshots": {**dict.fromkeys(names, SNAPSHOT), "chat": SNAPSHOT}})
    assert [each.name for each in credit.quotas] == ["chat", *sorted(names[:99])[: MAX_QUOTAS - 1]]
    hostile = parsed({"login": f"{token.reveal()}\x1b[31m", "copilot_plan": "x" * 999, "access_type_sku": ["x"]})
    canary.search("the login", hostile.text() + hostile.login)
    assert "\x1b" not in hostile.login and len(hostile.plan) <= 60 and hostile.sku == ""


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2026-12-01T00:00:00.000Z", "2026-12-01"),
        ("2026-11-30T23:00:00-05:00", "2026-12-01"),
        ("2026-12-01", "2026-12-01"),
        ("0001-01-01T00:00:00+14:00", None),
        ("soon", None),
        (1764547200, None),
    ],
)
def test_reset_date(value, day):
    """The day in UTC; anything else is no date, and the next field counts."""
    assert parsed({"quota_reset_date_utc": value}).resets_at == day
    assert parsed({"quota_reset_date_utc": value, "quota_reset_date": "2027-01-01"}).resets_at == (day or "2027-01-01")


FIELDS = (
    *(
        "login",
        "copilot_plan",
        "access_type_sku",
        "quota_reset_date_utc",
        "quota_reset_date",
        "quota_snapshots",
        "chat",
    ),
    *("premium_interactions", "entitlement", "remaining", "quota_remaining", "percent_remaining", "unlimited"),
    *("overage_count", "monthly_quotas", "limited_user_quotas", "limited_user_reset_date"),
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(json_bytes(*FIELDS), st.dates(date(2020, 1, 1), date(2100, 1, 1)))
def test_any_answer(body, today):
    """Whatever comes, there is a credit whose ratios are ratios, a line, JSON, and notices that can be sent."""
    try:
        credit = parse_credit(parse_json(body, 65536))
    except ValueError:
        return
    assert all(each.remaining is None or 0 <= each.remaining <= 1 for each in credit.quotas)
    assert len(credit.quotas) <= MAX_QUOTAS and credit.text().isprintable()
    told, notices = due_notices(credit, Told(), today)
    json.dumps([credit.as_json(), *(notice.as_json() for notice in notices)], allow_nan=False)
    assert load_told(dump_told(told)) == told and due_notices(credit, told, today) == (told, [])


class Month:
    """An account whose credit is looked at day by day."""

    def __init__(self):
        self.told = Told()

    def look(self, day, left, *, login="octocat", resets="2026-12-01"):
        """The levels of the notices of a look in November (or later) 2026."""
        snapshots = {"premium_interactions": {**SNAPSHOT, "quota_remaining": left}}
        credit = parsed({"login": login, "quota_reset_date": resets, "quota_snapshots": snapshots})
        self.told, notices = due_notices(credit, load_told(dump_told(self.told)), date.fromisoformat(day))
        return [notice.level for notice in notices]


def test_each_level_once_a_period():
    """80, 95 and 100 % are told once each, the highest one of several, and again in the next period."""
    month = Month()
    looks = [("2026-11-02", 301), ("2026-11-09", 300), ("2026-11-09", 290), ("2026-11-12", 75), ("2026-11-12", 400)]
    assert [month.look(*look) for look in looks] == [[], [80], [], [95], []]
    assert [month.look("2026-11-13", 0), month.look("2026-11-14", -30), month.look("2026-12-01", -30)] == [
        [100],
        [],
        [],
    ]
    assert month.look("2026-12-01", 10, resets="2027-01-01") == [95]
    assert Month().look("2026-11-30", 0) == [100]


def test_a_date_that_is_not_at_rest_begins_no_period():
    """Missing now and then, moving with each day, or far away: nothing is told twice before the period is over."""
    month, days = Month(), [f"2026-11-{day:02}" for day in range(2, 30)]
    dates = ["2026-12-01", None, "9999-12-31", "2020-01-01", "x", *(f"2026-12-{day:02}" for day in range(2, 25))]
    assert [month.look(day, 0, resets=when) for day, when in zip(days, dates, strict=False)] == [[100]] + [[]] * 27
    month = Month()
    assert [month.look(day, 0, resets=None) for day in ("2026-11-02", "2026-11-30", "2026-12-02")] == [[100], [], [100]]


def test_another_login_is_told_anew():
    """Another account's notices are its own; a name that is missing once is no other account."""
    month = Month()
    looks = [month.look("2026-11-02", 0, login=login) for login in (None, "octocat", None, "octocat", "hubot")]
    assert looks == [[100], [], [], [], [100]]


def test_what_a_notice_says():
    """What is used, what is left of it, until when, and what that means."""
    credit = parsed({**ANSWER, "quota_snapshots": {"premium_interactions": {**SNAPSHOT, "quota_remaining": -12}}})
    _, (notice,) = due_notices(credit, Told(), date(2026, 11, 26))
    assert notice.as_json() == {
        "event": "credit_used",
        "quota": "premium_interactions",
        "level": 100,
        "used_percent": 100.8,
        "left": -12,
        "entitlement": 1500,
        "resets_at": "2026-12-01",
        "text": notice.text(),
    }
    shown = "100 % of Copilot's credit is used: premium_interactions -12 of 1500 left (100.8 % used); "
    assert notice.text() == f"{shown}Copilot refuses what counts towards it until 2026-12-01"
    for field, text in (
        ({"overage_permitted": True}, "more is billed on top"),
        ({"quota_remaining": 100}, "has to last"),
    ):
        premium = {**SNAPSHOT, "quota_remaining": -12, **field}
        _, (notice,) = due_notices(parsed({"quota_snapshots": {"premium_interactions": premium}}), Told(), date.today())
        assert text in notice.text()


@pytest.mark.parametrize("data", [None, b"", b"[]", b"{", b"[" * 9999, b'{"until": 1, "levels": [1], "login": 2}'])
def test_a_damaged_record_is_none(data):
    """What was not stored by us counts as nothing told."""
    assert load_told(data) == Told()


def test_a_record_from_the_future_silences_nothing():
    """A period that no account has is not believed."""
    stored = load_told(b'{"until": "9999-01-01", "levels": {"premium_interactions": 100, "chat": 17, "x y": 80}}')
    assert stored.levels == {"premium_interactions": 100}
    month = Month()
    month.told = stored
    assert month.look("2026-11-02", 0) == [100]
