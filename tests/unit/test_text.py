"""Text from outside is safe to show."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.text import printable

ANY = st.text(st.characters(categories=None), max_size=300)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gpt-4o", "gpt-4o"),
        ("a\nb", "a\\nb"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("x\u202egnp.exe", "x\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
        ("bell\x9b", "bell\\x9b"),
        ("Grüße 🤖", "Grüße 🤖"),
        (None, "None"),
        ("x" * 200, "x" * 119 + "…"),
    ],
)
def test_printable(text, shown):
    """Line breaks, terminal escapes, direction marks and half characters are shown as escapes."""
    assert printable(text) == shown


@settings(max_examples=300, deadline=None, derandomize=True)
@given(ANY)
def test_no_control_character_gets_through(text):
    """Whatever comes in, what goes out is one line without control characters that can be encoded."""
    shown = printable(text, 10_000)
    assert not any(unicodedata.category(char).startswith("C") for char in shown)
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")


@settings(max_examples=100, deadline=None, derandomize=True)
@given(ANY.filter(str.isprintable))
def test_printable_text_stays(text):
    """Text that is printable already is not changed."""
    assert printable(text, 300) == text
