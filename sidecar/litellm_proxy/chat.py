"""A notification as a message for Slack or Discord. Pure.

What comes from outside stands in code spans, in which neither service finds mentions, links or emphasis; what could end
such a span, or mean anything to Slack within it, is replaced. Mentions and links are broken up besides: a preview on a
phone, or another program that takes Slack's form, may know no code spans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sidecar.models.history import event_from_json
from sidecar.models.history_text import describe
from sidecar.text import printable

SLACK_LIMIT, DISCORD_LIMIT = 4000, 2000
"""Longest message, in UTF-16 units: Slack asks for no more, Discord refuses it."""
_LONGEST_VALUE = 200
_BREAK = "\N{ZERO WIDTH SPACE}"
_PLAIN = str.maketrans({"`": "'", "@": f"@{_BREAK}"})
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def message(form: str, change: Mapping[str, Any]) -> dict[str, Any]:
    """The body to post for a notification in this ``form``: ``json`` (as it is), ``slack`` or ``discord``."""
    match form:
        case "slack":
            return {"text": _text(change, _in_slack, SLACK_LIMIT)}
        case "discord":
            return {"content": _text(change, _in_discord, DISCORD_LIMIT), "allowed_mentions": {"parse": []}}
        case _:
            return dict(change)


def _in_slack(text: str) -> str:
    return _in_discord(text).translate(_ESCAPES)


def _in_discord(text: str) -> str:
    shown = printable(text, _LONGEST_VALUE)[:_LONGEST_VALUE].strip() or "-"  # an empty span is none
    return f"`{shown.translate(_PLAIN).replace('://', f':{_BREAK}//')}`"


def _text(change: Mapping[str, Any], quote: Callable[[str], str], limit: int) -> str:
    """A headline and a line for each event, as many as there is room for."""
    lines = [_headline(change, quote), *_lines(change, quote)]
    left, kept = limit - _length("… and 1,000,000 more"), list[str]()
    for line in lines:
        left -= _length(line) + 1
        if left < 0:
            break
        kept.append(line)
    omitted = len(lines) - len(kept) + _count(change.get("events_omitted"))
    return "\n".join([*kept, f"… and {omitted:,} more"] if omitted else kept)


def _headline(change: Mapping[str, Any], quote: Callable[[str], str]) -> str:
    file = quote(str(change.get("file")))
    match change.get("event"):
        case "config_restored":
            return f"{file} was restored from {quote(str(change.get('backup')))}."
        case "retirement_near":
            return f"A model in {file} retires soon:"
        case "credit_used":
            return quote(str(change.get("text")))
        case _:
            return f"Copilot's models have changed, {_count(change.get('models')):,} are in {file}:"


def _lines(change: Mapping[str, Any], quote: Callable[[str], str]) -> list[str]:
    events = [event for event in map(event_from_json, change.get("events") or ()) if event is not None]
    if events:
        events.sort(key=lambda event: not event.is_notice())  # others may be left out
        return [f"• {quote(event.model)} {describe(event, quote)}" for event in events]
    return [f"• {quote(name)} {kind}" for kind in ("added", "removed", "changed") for name in change.get(kind) or ()]


def _count(value: object) -> int:
    return min(value, 999_999) if isinstance(value, int) and value > 0 else 0


def _length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
