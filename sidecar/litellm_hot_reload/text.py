"""Makes external text safe to display: in logs, on a terminal, in a YAML comment. Pure, but that it knows the secrets
in force: they are told to ``remember``, and never shown, whoever echoes them in whatever form.
"""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

PART = 8
"""So many characters of a secret in a row are not shown, in any form; fewer may be, where a text is cut off."""
SHORTEST = 6
"""Shorter secrets are not looked for: they would be found everywhere, and can be guessed anyway."""
_REDACTED = "***"
_MARGIN = 64
_MOST = {False: 64, True: 8}
_LONGEST_SPELLED = 512
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_GRAM, _STEP = 4, PART - 4 + 1


def printable(value: object, limit: int = 120) -> str:
    """``value`` as one line of printable characters without any secret, truncated to ``limit`` characters.

    Line breaks, terminal escapes and other unprintable characters are shown as escapes.
    """
    whole = str(value)
    # What is cut off may be the rest of a secret, by which alone it is recognized.
    text = redacted(whole[: limit + _MARGIN])
    if len(whole) > limit + _MARGIN and not text.endswith(_REDACTED):
        text = text[:-PART]
    if len(whole) > limit:
        text = text[: limit - 1] + "…"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


@dataclass(frozen=True)
class _Known:
    """``forms`` are all spellings of the secrets' parts, one a line, in lower case, and ``grams`` all that is in them
    of the length _GRAM; ``wholes`` are secrets that these do not cover.
    """

    forms: str = ""
    grams: frozenset[str] = frozenset()
    wholes: tuple[str, ...] = ()


_lock = threading.Lock()
_remembered: dict[bool, dict[str, None]] = {False: {}, True: {}}
_known: _Known | None = _Known()


def remember(secret: str, *, passing: bool = False) -> None:
    """Never show this secret from now on; of the ``passing`` ones, which are replaced soon, only the latest few."""
    global _known
    if len(secret) < SHORTEST:
        return
    kept = _remembered[passing]
    with _lock:
        is_new = kept.pop(secret, secret) is not None
        kept[secret] = None
        if is_new:
            _known = None
            while len(kept) > _MOST[passing]:
                kept.pop(next(iter(kept)))


def redacted(text: str) -> str:
    """``text`` with ``***`` for each part of a secret that is remembered: as it is, in another case, URL-encoded, as
    base64, hexadecimal, or with the escapes of JSON or HTML.
    """
    known = _current()
    if not (known.grams or known.wholes):
        return text
    low, spans = text.translate(_LOWER), []
    # Whatever has PART characters in a row has one of the grams at one of these places.
    if any(low[at : at + _GRAM] in known.grams for at in range(0, len(low) - _GRAM + 1, _STEP)):
        ends = range(len(low) - PART + 1)
        spans = [
            (at, at + PART) for at in ends if low[at : at + _GRAM] in known.grams and low[at : at + PART] in known.forms
        ]
    for whole in known.wholes:
        spans += [match.span() for match in re.finditer(re.escape(whole), low)] if whole in low else []
    if not spans:
        return text
    result, shown = list[str](), 0
    for start, end in sorted(spans):
        if start > shown or not result:
            result += [text[shown:start], _REDACTED]
        shown = max(shown, end)
    return "".join([*result, text[shown:]])


def _current() -> _Known:
    global _known
    known = _known
    if known is None:
        with _lock:
            secrets = [secret for kept in _remembered.values() for secret in kept]
            forms = "\n".join(dict.fromkeys(form for secret in secrets for form in _forms(secret)))
            grams = frozenset(forms[at : at + _GRAM] for at in range(len(forms) - _GRAM + 1))
            wholes = [secret for secret in secrets if len(secret) < PART or _parts(secret) != [secret]]
            spelled = [form.translate(_LOWER) for whole in wholes for form in (whole, quote(whole, safe=""))]
            known = _known = _Known(forms, grams, tuple(dict.fromkeys(spelled)))
    return known


def _parts(secret: str) -> list[str]:
    """What is secret in a secret: of a Copilot token, ``tid=…;exp=…;proxy-ep=…:…``, not the hosts and words in it."""
    if not re.search("[;=]", secret):
        return [secret]
    parts = [part for part in re.findall(r"[\w+/-]{16,}", secret, re.ASCII) if re.search(r"\d", part)]
    return parts or [secret]


def _forms(secret: str) -> Iterator[str]:
    for part in _parts(secret):
        raw = part.encode("utf-8", "replace")
        found = [part, json.dumps(part)[1:-1], quote(part, safe=""), html.escape(part)]
        for before in range(3):  # base64 depends on where in the encoded text the part begins
            encoded = base64.b64encode(bytes(before) + raw).decode()[-(-8 * before // 6) : 8 * (before + len(raw)) // 6]
            found += [encoded, encoded.replace("+", "-").replace("/", "_")]
        if len(raw) <= _LONGEST_SPELLED:
            found += [raw.hex(), "".join(f"%{byte:02x}" for byte in raw), "".join(f"\\u{byte:04x}" for byte in raw)]
        yield from (form.translate(_LOWER) for form in found if len(form) >= PART)
