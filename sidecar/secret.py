"""Values that are never displayed."""

from __future__ import annotations

from sidecar.litellm_hot_reload.exchange import token_prefix


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
