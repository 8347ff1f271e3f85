"""Values that are never displayed, and what is left of a text when the secrets in it are not."""

from __future__ import annotations

import re

from sidecar.litellm_hot_reload.exchange import TOKEN_KINDS, token_prefix

_TOKEN = re.compile(rf"({'|'.join(TOKEN_KINDS)}|\bsk-|\btid=)[\w.=;:-]{{8,}}")
"""Whatever begins like a token of GitHub's, a key of LiteLLM's or a Copilot token."""


class Secret:
    """A value that is never displayed; deliberately not a string, so that nothing formats or serializes it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

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
    """``text`` with what looks like a token or a key masked; a last resort, where none should be."""
    return _TOKEN.sub(r"\1***", text)


def without_secrets(text: str) -> str:
    """As ``without_tokens``; also without the user name, password, query and fragment of an address in it."""
    start = text.find("://") + 3 if "://" in text else 0
    head, rest = text[:start], text[start:]
    if "@" in rest:
        rest = "***@" + rest.rpartition("@")[2]
    if start:
        rest = re.sub(r"(?s)[?#].+", "?***", rest)
    return without_tokens(head + rest)
