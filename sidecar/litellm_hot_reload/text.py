"""Makes external text safe to display: in logs, on a terminal, in a YAML comment. Pure, but that it knows the secrets
in force: they are told to ``remember``, and never shown, whoever echoes them in whatever form.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from typing import NamedTuple
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
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})
_BLOCK = PART // 2


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


class _Known(NamedTuple):
    """``forms`` are all spellings of the secrets' parts, one a line, in lower case, and ``blocks`` those of that text
    that begin at every second character; ``wholes`` are secrets that these do not cover.
    """

    forms: str = ""
    blocks: frozenset[int] = frozenset()
    wholes: tuple[str, ...] = ()


_lock = threading.Lock()
_remembered: dict[bool, dict[str, str]] = {False: {}, True: {}}
"""Each secret's forms, one a line, by whether it is passing."""
_known: _Known | None = _Known()


def remember(secret: str, *, passing: bool = False) -> None:
    """Never show this secret from now on; of the ``passing`` ones, which are replaced soon, only the latest few."""
    global _known
    if len(secret) < SHORTEST:
        return
    kept = _remembered[passing]
    with _lock:
        forms = kept.pop(secret, None)
        kept[secret] = "\n".join(dict.fromkeys(_forms(secret))) if forms is None else forms
        if forms is None:
            _known = None
            while len(kept) > _MOST[passing]:
                kept.pop(next(iter(kept)))


def redacted(text: str) -> str:
    """``text`` with ``***`` for each part of a secret that is remembered: as it is, in another case, URL-encoded, as
    base64, hexadecimal, or with the escapes of JSON or HTML.
    """
    known = _current()
    if len(text) < SHORTEST or not (known.forms or known.wholes):
        return text
    low = text.translate(_LOWER)
    spans = [(at, at + PART) for at in _suspects(low, known.blocks) if low[at : at + PART] in known.forms]
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
            forms = "\n".join(forms for kept in _remembered.values() for forms in kept.values() if forms)
            blocks = frozenset[int]().union(*(_blocks(forms, start) for start in (0, 2) if forms))
            wholes = [secret for secret in secrets if len(secret) < PART or _parts(secret) != [secret]]
            spelled = [form.translate(_LOWER) for whole in wholes for form in (whole, quote(whole, safe=""))]
            known = _known = _Known(forms, blocks, tuple(dict.fromkeys(spelled)))
    return known


def _suspects(low: str, known: frozenset[int]) -> Iterator[int]:
    """Each place at which PART characters in a row may be from the forms of which the blocks are ``known``.

    Two blocks in such a row are known. In the text, one of these begins at a multiple of _BLOCK, or one later.
    """
    for start in (0, 1) if known and len(low) >= PART else ():
        blocks = _blocks(low, start)
        if not known.isdisjoint(blocks):
            for place, block in enumerate(blocks):
                if block in known:
                    end = start + _BLOCK * place + 1
                    yield from range(max(end - _BLOCK, 0), min(end, len(low) - PART + 1))


def _blocks(text: str, start: int) -> memoryview:
    """Each _BLOCK characters from ``start`` on, as a number: comparing these takes no loop in Python. Characters beyond
    Latin-1 count as the same.
    """
    data = text.encode("latin-1", "replace")
    return memoryview(data)[start : len(data) - (len(data) - start) % _BLOCK].cast("I")


def _parts(secret: str) -> list[str]:
    """What is secret in a secret: of a Copilot token, ``tid=…;exp=…;proxy-ep=…:…``, not the hosts and words in it."""
    if not re.search("[;=]", secret):
        return [secret]
    parts = [part for part in re.findall(r"[\w+/-]{16,}", secret, re.ASCII) if re.search(r"\d", part)]
    return parts or [secret]


def _forms(secret: str) -> Iterator[str]:
    for part in _parts(secret):
        raw = part.encode("utf-8", "replace")
        found = [part, json.dumps(part)[1:-1], quote(part, safe=""), part.translate(_HTML)]
        for before in range(3):  # base64 depends on where in the encoded text the part begins
            encoded = base64.b64encode(bytes(before) + raw).decode()[-(-8 * before // 6) : 8 * (before + len(raw)) // 6]
            found += [encoded, encoded.replace("+", "-").replace("/", "_")]
        if len(raw) <= _LONGEST_SPELLED:
            found += [raw.hex(), "".join(f"%{byte:02x}" for byte in raw), "".join(f"\\u{byte:04x}" for byte in raw)]
        yield from (form.translate(_LOWER) for form in found if len(form) >= PART)
