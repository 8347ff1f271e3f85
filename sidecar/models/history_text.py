"""Events in plain words, and as the ``changes`` command's table; and what its ``--since`` means. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from sidecar.errors import UsageError
from sidecar.models.history import Event
from sidecar.models.table import per_million
from sidecar.text import printable

_INFO = "model_info."
_WORDS = {
    "max_input_tokens": "input limit",
    "max_output_tokens": "output limit",
    "max_tokens": "limit",
    "input_cost_per_token": "input price",
    "output_cost_per_token": "output price",
    "cache_read_input_token_cost": "price of cached input",
    "cache_creation_input_token_cost": "price of a cache write",
    "promo_discount_percent": "promotion in percent",
    "promo_ends_at": "end of the promotion",
    "supported_endpoints": "endpoints",
    "supports_function_calling": "tools",
    "supports_parallel_function_calling": "parallel tools",
    "supports_response_schema": "structured output",
    "reasoning_effort_levels": "reasoning efforts",
    "model_name": "names",
}
_MOST_NAMES = 3
_UNITS = {"d": "days", "h": "hours"}


def describe(event: Event, quote: Callable[[str], str] = str) -> str:
    """What has happened to the model, in words that follow its id.

    ``quote`` is applied to all that comes from outside: values, and names of fields.
    """
    match event.kind:
        case "added":
            more = f" and {len(event.names) - _MOST_NAMES} more names" if len(event.names) > _MOST_NAMES else ""
            shown = ", ".join(map(quote, event.names[:_MOST_NAMES]))
            return f"added as {shown}{more}" if shown else "added"
        case "removed":
            return "removed"
        case "absent" if event.new is None:
            return "listed by the catalog again"
        case "absent":
            return f"absent from the catalog ({quote(_plain(event.new))} times in a row)"
        case "retirement":
            return _retirement(event, quote)
    return f"{_field(event.path, quote)}: {_value(event, event.old, quote)} → {_value(event, event.new, quote)}"


def days_left(event: Event) -> int:
    """From the day of a notice of retirement to the day it names; 0 if that is none."""
    try:
        return (date.fromisoformat(str(event.new)) - date.fromisoformat(event.time[:10])).days
    except ValueError:
        return 0


def changes_table(events: Sequence[Event]) -> str:
    """One line for each event, in their order; times are UTC."""
    longest = max([len(event.model) for event in events], default=0)
    lines = [f"{event.time[:10]} {event.time[11:16]}  {event.model:<{longest}}  {describe(event)}" for event in events]
    return "\n".join(lines)


def since(text: str, now: datetime) -> datetime:
    """The moment that ``text`` names: an ISO date or time (UTC if it names no zone), or how long ago, such as ``7d``.

    Raises UsageError.
    """
    try:
        if match := re.fullmatch(r"(\d{1,5})([dh])", text.strip(), re.ASCII):
            return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--since={printable(repr(text), 60)} is no time",
            hint="Give a date or a time, such as 2026-11-26 or 2026-11-26T03:00, or how long ago: 7d, 12h.",
        ) from None


def _retirement(event: Event, quote: Callable[[str], str]) -> str:
    if event.is_notice():
        days = days_left(event)
        when = "today" if days == 0 else "tomorrow" if days == 1 else f"in {days} days"
        return f"retires {when}, on {quote(_plain(event.new))}"
    if event.new is None:
        return "its retirement is no longer announced"
    if event.old is None:
        return f"its retirement is announced for {quote(_plain(event.new))}"
    return f"its retirement moves from {quote(_plain(event.old))} to {quote(_plain(event.new))}"


def _field(path: str, quote: Callable[[str], str]) -> str:
    base, _, above = path.removeprefix(_INFO).partition("_above_")
    if base in _WORDS:
        return _WORDS[base] + (f" above {quote(above.replace('_', ' '))}" if above else "")
    return quote(path.removeprefix(_INFO).removeprefix("supports_").replace("_", " "))


def _value(event: Event, value: object, quote: Callable[[str], str]) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and event.kind == "price" and "cost" in event.path:
        return f"${per_million(Decimal(str(value)))} per million tokens"
    if number and event.kind == "limits":
        return f"{value:,} tokens"
    return quote(_plain(value))


def _plain(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "nothing"}[value]
    if isinstance(value, list):
        return printable(", ".join(map(str, value)) or "nothing", 300)
    return printable(value, 300)
