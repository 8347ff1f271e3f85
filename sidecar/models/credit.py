"""What is left of an account's Copilot credit, by the answer of GitHub's ``copilot_internal/user``, and when to say so.

The answer is documented nowhere: any field may be missing, of another type, or negative. What is unknown is None. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from sidecar.text import printable

LEVELS = (80, 95, 100)
"""Percent of a quota in use at which a notice is due."""
MAX_QUOTAS = 8
_FIRST = ("premium_interactions", "chat", "completions")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LARGEST = 10**12
_SMALLEST = 0.01
_LONGEST_PERIOD = timedelta(62)


class Quota(NamedTuple):
    """One quota: ``left`` of ``entitlement``, of which ``left`` is negative where more has been used.

    ``remaining`` is the ratio, from 0 to 1 whatever is left; None for what is ``unlimited`` or unknown. ``overage`` is
    what has been used beyond, and ``overage_permitted`` whether that goes on, at a price.
    """

    name: str
    remaining: float | None = None
    entitlement: float | None = None
    left: float | None = None
    unlimited: bool = False
    overage: float | None = None
    overage_permitted: bool = False

    @property
    def used(self) -> float | None:
        """Percent that has been used, more than 100 where ``left`` is negative."""
        if self.remaining is None:
            return None
        exact = self.left / self.entitlement if self.left is not None and self.entitlement else self.remaining
        return round(100 * (1 - exact), 6)

    def text(self) -> str:
        """Such as ``premium_interactions 300 of 1500 left (80 % used)``."""
        if self.unlimited:
            return f"{self.name} unlimited"
        if self.left is not None and self.entitlement:
            shown = f"{self.name} {_number_text(self.left)} of {_number_text(self.entitlement)} left"
        elif self.left is not None:
            shown = f"{self.name} {_number_text(self.left)} left"
        else:
            shown = self.name
        return shown if self.used is None else f"{shown} ({_number_text(self.used)} % used)"


class Credit(NamedTuple):
    """An account's plan and quotas; a text is empty where it is unknown. ``resets_at`` is a date, YYYY-MM-DD in UTC."""

    login: str = ""
    plan: str = ""
    sku: str = ""
    quotas: tuple[Quota, ...] = ()
    resets_at: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As ``models --json`` shows it."""
        return {**self._asdict(), "quotas": [{**quota._asdict(), "used_percent": quota.used} for quota in self.quotas]}

    def text(self) -> str:
        """All of it in one line."""
        parts = [quota.text() for quota in self.quotas] or ["unknown"]
        until = f"; resets on {self.resets_at}" if self.resets_at else ""
        return f"credit: {', '.join(parts)}{until}"


def parse_credit(answer: object) -> Credit:
    """The credit in the answer; what cannot be read is left out."""
    found = _mapping(answer)
    quotas = {**_monthly(found), **_snapshots(found)}
    order = [name for name in _FIRST if name in quotas] + sorted(quotas.keys() - {*_FIRST})
    dates = (found.get(key) for key in ("quota_reset_date_utc", "quota_reset_date", "limited_user_reset_date"))
    return Credit(
        _text(found.get("login")),
        _text(found.get("copilot_plan")),
        _text(found.get("access_type_sku")),
        tuple(quotas[name] for name in order[:MAX_QUOTAS]),
        next((day for day in map(_day, dates) if day), None),
    )


def _snapshots(found: Mapping[str, Any]) -> dict[str, Quota]:
    quotas = {}
    for name, value in _named(found.get("quota_snapshots")):
        given = _mapping(value)
        left = _number(given.get("quota_remaining"))
        left = _number(given.get("remaining")) if left is None else left
        quota = _quota(name, _number(given.get("entitlement")), left, _number(given.get("percent_remaining")))
        unlimited = given.get("unlimited") is True
        if unlimited or quota != Quota(name):
            quotas[name] = (Quota(name, unlimited=True) if unlimited else quota)._replace(
                overage=_number(given.get("overage_count")),
                overage_permitted=given.get("overage_permitted") is True,
            )
    return quotas


def _monthly(found: Mapping[str, Any]) -> dict[str, Quota]:
    """The quotas of a free plan: what there is a month, and what is left of it."""
    left = _mapping(found.get("limited_user_quotas"))
    quotas = (
        _quota(name, _number(value), _number(left.get(name)), None)
        for name, value in _named(found.get("monthly_quotas"))
    )
    return {quota.name: quota for quota in quotas if quota != Quota(quota.name)}


def _quota(name: str, entitlement: float | None, left: float | None, percent: float | None) -> Quota:
    """Nothing is a share of an entitlement to nothing."""
    if entitlement is not None and entitlement < _SMALLEST:
        return Quota(name, None, None, left)
    ratio = left / entitlement if left is not None and entitlement else percent / 100 if percent is not None else None
    return Quota(name, None if ratio is None else min(max(ratio, 0.0), 1.0), entitlement, left)


class Notice(NamedTuple):
    """So much of a quota has been used: ``level`` is one of LEVELS."""

    level: int
    quota: Quota
    resets_at: str | None

    def as_json(self) -> dict[str, Any]:
        """As it is sent and logged."""
        return {
            "event": "credit_used",
            "quota": self.quota.name,
            "level": self.level,
            "used_percent": self.quota.used,
            "left": self.quota.left,
            "entitlement": self.quota.entitlement,
            "resets_at": self.resets_at,
            "text": self.text(),
        }

    def text(self) -> str:
        """What has been used, and what that means."""
        until = f" until {self.resets_at}" if self.resets_at else ""
        if self.level < 100:
            meaning = f"it has to last{until}"
        elif self.quota.overage_permitted:
            meaning = f"more is billed on top{until}"
        else:
            meaning = f"Copilot refuses what counts towards it{until}"
        return f"{self.level} % of Copilot's credit is used: {self.quota.text()}; {meaning}"


@dataclass(frozen=True)
class Told:
    """What has been told of one account's period, which ends on the day ``until``: quota → level."""

    login: str = ""
    until: str = ""
    levels: Mapping[str, int] = field(default_factory=dict)


def due_notices(credit: Credit, told: Told, today: date) -> tuple[Told, list[Notice]]:
    """The notices that are due, and what will have been told then.

    Each level of each quota comes once a period, the highest one only. A period ends on the day that GitHub named when
    it began, or else with the month: a date that changes, or is missing now and then, begins none.
    """
    login, day = credit.login or told.login, today.isoformat()
    over = day > told.until or (day == told.until and (credit.resets_at or "") > told.until)
    if over or told.until > (today + _LONGEST_PERIOD).isoformat() or (told.login and login != told.login):
        told = Told(login, _period_end(credit.resets_at, today))
    notices = []
    for quota in credit.quotas:
        level = max((level for level in LEVELS if quota.used is not None and quota.used >= level), default=0)
        if level > told.levels.get(quota.name, 0):
            notices.append(Notice(level, quota, credit.resets_at))
    return Told(login, told.until, {**told.levels, **{each.quota.name: each.level for each in notices}}), notices


def _period_end(resets_at: str | None, today: date) -> str:
    if resets_at and today.isoformat() < resets_at <= (today + _LONGEST_PERIOD).isoformat():
        return resets_at
    return (today.replace(day=1) + timedelta(31)).replace(day=1).isoformat()


def load_told(data: bytes | None) -> Told:
    """What ``dump_told`` has stored; nothing for anything else."""
    try:
        content = _mapping(json.loads(data or b"null"))
    except (ValueError, RecursionError):
        return Told()
    levels = {name: level for name, level in _named(content.get("levels")) if level in LEVELS}
    return Told(_text(content.get("login")), _day(content.get("until")) or "", levels)


def dump_told(told: Told) -> bytes:
    """``told`` as one line of JSON."""
    return json.dumps(asdict(told), sort_keys=True).encode("ascii") + b"\n"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _named(value: object) -> Iterable[tuple[str, Any]]:
    """The items whose names may be shown, and be labels."""
    return [(name, item) for name, item in _mapping(value).items() if _NAME.fullmatch(printable(name, 60))]


def _text(value: object) -> str:
    return printable(value, 60) if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST:
        return float(value)
    return None


def _day(value: object) -> str | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is not None and moment.tzinfo is not None:
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return None if moment is None else moment.date().isoformat()


def _number_text(number: float) -> str:
    """At most two decimals, and only those that say something."""
    return f"{number:.2f}".rstrip("0").rstrip(".")
