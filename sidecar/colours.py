"""Colours on a terminal, few of them; none in a file or a pipe, and none with NO_COLOR."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from sidecar.settings import Settings

_CODES = {"good": 32, "bad": 31, "head": 1, "aside": 2}

Paint = Callable[[str, str], str]
"""Gives a text, on one or more lines, the colour of its sort: good, bad, head or aside; "" leaves it as it is."""


def painter(stream: TextIO, settings: Settings) -> Paint:
    """What colours the text for ``stream``."""
    plain = settings.no_color or not stream.isatty()

    def paint(text: str, sort: str) -> str:
        if plain or not sort:
            return text
        return "\n".join(f"\x1b[{_CODES[sort]}m{line}\x1b[0m" if line else line for line in text.split("\n"))

    return paint


def paint_diff(diff: str, paint: Paint) -> str:
    """A unified diff, in colours."""
    sorts = {"+": "good", "-": "bad", "@": "aside"}
    return "\n".join(paint(line, sorts.get(line[:1], "")) for line in diff.split("\n"))
