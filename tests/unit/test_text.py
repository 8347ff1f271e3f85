"""Text from outside is safe to show."""

from __future__ import annotations

import base64
import html
import json
import unicodedata
from secrets import token_hex
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.litellm_hot_reload.text import PART, remember
from sidecar.secret import Secret, redacted_in
from sidecar.text import printable, redacted
from tests.support import canary

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


FORMS = {
    "plain": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "URL-encoded": lambda secret: quote(secret, safe=""),
    "URL-encoded as a whole": lambda secret: "".join(f"%{ord(char):02X}" for char in secret),
    "hexadecimal": lambda secret: secret.encode().hex(),
    "JSON": lambda secret: json.dumps(secret)[1:-1],
    "JSON as a whole": lambda secret: "".join(f"\\u{ord(char):04x}" for char in secret),
    "HTML": html.escape,
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64 within": lambda secret: base64.b64encode(f"xxx{secret}".encode()).decode(),
    "base64 for URLs": lambda secret: base64.urlsafe_b64encode(f"x{secret}".encode()).decode(),
}
ODD = 'sk-a"b\\c/d+e%f&g<h>' + "0123456789"


def shared(one: str, other: str) -> int:
    """The length of the longest text that is in both, whatever the case."""
    one, other = one.lower(), other.lower()
    return max(
        (size for at in range(len(one)) for size in range(1, len(one) - at + 1) if one[at : at + size] in other),
        default=0,
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_shown_in_no_form(form):
    """Wherever a secret stands, and where a text begins or ends in its midst, no part of it is shown."""
    for secret in (canary.new("a"), ODD):
        Secret(secret)
        echo = FORMS[form](secret)
        most = PART * len(echo) / len(secret)
        assert shared(echo, redacted(f"you sent {echo}, thanks")) < most
        assert redacted(f"you sent {echo}, thanks").startswith("you sent ")
        for at in range(0, len(echo), 7):
            assert shared(echo, redacted(f"you sent {echo[:at]}")) < most
            assert shared(echo, redacted(f"{echo[at:]} is wrong")) < most
    assert redacted("nothing of the kind") == "nothing of the kind"


def test_no_part_is_left_where_a_text_is_cut_off():
    """A secret is hidden before a text is made shorter, wherever the cut would be."""
    secret = canary.new("a")
    Secret(secret)
    for before in range(100):
        shown = printable("." * before + secret + "x" * 100 + secret * 3, 80)
        assert shared(secret, shown) <= 2 and len(shown) <= 80


def test_what_is_no_secret_in_a_copilot_token():
    """The host and the plan that a Copilot token names may be shown; it itself, its id and its signature may not."""
    one, other = canary.new("c", ""), canary.new("c", "")
    token = f"tid={one};exp=1799999999;sku=copilot_for_business_seat;proxy-ep=proxy.business.githubcopilot.com:{other}"
    Secret(token)
    harmless = "https://api.business.githubcopilot.com/models of copilot_for_business_seat"
    assert redacted(harmless) == harmless and redacted(f"<{token}>") == "<***>"
    assert redacted(one) == redacted(other) == "***"


def test_short_secrets():
    """A short key is hidden as a whole; what is shorter still would be found everywhere, and is not looked for."""
    Secret("sk-1234"), Secret("a"), Secret("")
    assert redacted("A key: SK-1234!") == "A key: ***!"


def test_the_memory_is_bounded():
    """Of tokens that are replaced only the latest are looked for, and they do not push out what lasts."""
    lasting = [token_hex(20) for _ in range(3)]
    passing = [token_hex(20) for _ in range(200)]
    for secret in lasting:
        remember(secret)
    for secret in passing:
        remember(secret, passing=True)
    for _ in range(60):
        remember(token_hex(20))
    assert all(redacted(secret) == "***" for secret in lasting + passing[-8:])
    assert redacted(passing[0]) == passing[0]
    for _ in range(100):
        remember(token_hex(20))
    assert redacted(lasting[0]) == lasting[0]


def test_within_json():
    """Keys and texts at any depth, and what has no secret stays the very same."""
    secret = canary.new("a")
    Secret(secret)
    clean = {"a": ["b", {"c": 1}], "d": None}
    assert redacted_in({secret: [{"x": f"<{secret}>", "y": 1}]}) == {"***": [{"x": "<***>", "y": 1}]}
    assert redacted_in(clean) is clean and redacted_in(["x" * 50, secret], 40) == ["x" * 40, "***"]
