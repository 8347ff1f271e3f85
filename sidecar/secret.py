"""Values that are never displayed, and what is left of a text when the secrets in it are not."""

from __future__ import annotations

import re
from operator import is_
from typing import Any

from sidecar.litellm_hot_reload.exchange import TOKEN_KINDS, token_prefix
from sidecar.litellm_hot_reload.text import PART, redacted, remember

_TOKEN = re.compile(rf"({'|'.join(TOKEN_KINDS)}|\bsk-|\btid=)[\w.=;:-]{{8,}}")
"""Whatever begins like a token of GitHub's, a key of LiteLLM's or a Copilot token."""


class Secret:
    """A value that is never displayed, nor shown where others echo it; deliberately not a string, so that nothing
    formats or serializes it. A ``passing`` one is replaced soon.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str, *, passing: bool = False) -> None:
        self._value = value
        remember(value, passing=passing)

    def __repr__(self) -> str:
        return "Secret('***')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def reveal(self) -> str:
        """The actual value, for the one request header or file that needs it."""
        return self._value

    def masked(self) -> str:
        """The most that may ever be shown of a GitHub token: its prefix and its last four characters."""
        return f"{token_prefix(self._value)}…{self._value[-4:]}" if len(self._value) >= 20 else "…"


def without_tokens(text: str) -> str:
    """``text`` without the secrets that are known, and with what looks like a token or a key masked."""
    return _TOKEN.sub(r"\1***", redacted(text))


def redacted_in(content: Any, limit: int | None = None, shown: dict[str, str] | None = None) -> Any:
    """Parsed JSON without the secrets that are known, in its keys and texts, all of at most ``limit`` characters.

    ``shown`` is filled with these, each once: most keys, and many texts, are there again and again.
    """
    shown = {} if shown is None else shown

    def clean(content: Any) -> Any:
        if isinstance(content, str):
            if content not in shown:
                text = redacted(content if limit is None else content[: limit + PART])
                shown[content] = text if limit is None or len(text) <= limit else text[:limit]
            return shown[content]
        if isinstance(content, list):
            items = [clean(item) for item in content]
            return content if all(map(is_, items, content)) else items
        if isinstance(content, dict):
            pairs = {clean(key): clean(value) for key, value in content.items()}
            same = [*pairs] == [*content] and all(map(is_, pairs.values(), content.values()))
            return content if same else pairs
        return content

    return clean(content)


def without_secrets(text: str) -> str:
    """As ``without_tokens``; also without the user name, password, query and fragment of an address in it."""
    start = text.find("://") + 3 if "://" in text else 0
    head, rest = text[:start], text[start:]
    if "@" in rest:
        rest = "***@" + rest.rpartition("@")[2]
    if start:
        rest = re.sub(r"(?s)[?#].+", "?***", rest)
    return without_tokens(head + rest)
