"""Makes external text safe to display: in logs, on a terminal, in a YAML comment. Pure."""

from __future__ import annotations


def printable(value: object, limit: int = 120) -> str:
    """``value`` as one line of printable characters, truncated to ``limit`` characters.

    Line breaks, terminal escapes and other unprintable characters are shown as escapes.
    """
    text = str(value)
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
