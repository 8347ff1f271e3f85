"""Chooses among the published models, by ability and price. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from sidecar.errors import UsageError
from sidecar.models.claude import PREFIX, family, version
from sidecar.models.view import Row, rows

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
_POWER = {"powerful": 2, "lightweight": 0}
"""Copilot's categories; ``versatile``, and what it says nothing of, are in between."""


class Models:
    """The published models. Every choice has the row's best name for the client under ``name``."""

    def __init__(self, entries: Iterable[Mapping[str, Any]]) -> None:
        entries = list(entries)
        self._rows = rows(entries)
        self._power = {
            str(entry["litellm_params"]["model"]).split("/", 1)[-1]: _POWER.get(
                str(entry["model_info"].get("category")), 1
            )
            for entry in entries
        }

    def chat(self) -> list[Row]:
        """Those that chat clients can call. Raises UsageError if there are none."""
        found = [_named(row) for row in self._rows if {CHAT, RESPONSES} & set(row["endpoints"])]
        if not found:
            raise UsageError(
                f"none of the {len(self._rows)} published models can chat",
                hint="`python -m sidecar models --all` shows what is left out, and why.",
            )
        return found

    def strong(self, endpoint: str = CHAT) -> Row:
        """The most able, among equals the cheapest; ``endpoint`` is where the client calls it, if there is a choice."""
        return min(self.chat(), key=lambda row: (endpoint not in row["endpoints"], *self._strength(row)))

    def fast(self, endpoint: str = CHAT) -> Row:
        """The cheapest of the smallest, for small jobs."""
        return min(self.chat(), key=lambda row: (endpoint not in row["endpoints"], *self._economy(row)))

    def embedding(self) -> Row | None:
        """The cheapest embedding model, if any is published (COPILOT_EMBEDDINGS)."""
        found = [_named(row) for row in self._rows if row["mode"] == "embedding"]
        return min(found, key=lambda row: (_price(row), row["id"]), default=None)

    def claude(self, *families: str) -> Row:
        """The newest of the first of these families that there is, for a client that takes only Claude's names.

        Else the most able of what has such a name. Raises UsageError if nothing has.
        """
        found = [row for row in map(_claude_named, self._rows) if row["name"].startswith(PREFIX) or family(row["id"])]
        if not found:
            raise UsageError(
                f"none of the {len(self._rows)} published models is one of Claude's",
                hint="Allow Claude models at https://github.com/settings/copilot/features, or give another model an "
                "additional name that begins with claude- (COPILOT_ALIASES_FILE).",
            )
        callable_there = [row for row in found if MESSAGES in row["endpoints"]] or found
        for wanted in families:
            if fitting := [row for row in callable_there if family(row["id"]) == wanted]:
                return max(
                    fitting, key=lambda row: (version(row["id"]), not row["preview"], -len(row["id"]), row["id"])
                )
        return min(callable_there, key=self._strength)

    def _strength(self, row: Row) -> tuple[Any, ...]:
        unable = "tools" not in row["abilities"], -self._power[row["id"]]
        return *unable, *_uncertain(row), "reasoning" not in row["abilities"], _price(row), row["id"]

    def _economy(self, row: Row) -> tuple[Any, ...]:
        unable = "tools" not in row["abilities"], self._power[row["id"]]
        return *unable, *_uncertain(row), _price(row), row["id"]


def _uncertain(row: Row) -> tuple[bool, bool]:
    return row["preview"], bool(row["retires"])


def _price(row: Row) -> float:
    """USD per million tokens, input and output together; infinite if unknown."""
    prices = row["prices"]
    return float(sum(prices.get(kind, math.inf) for kind in ("input", "output")))


def _named(row: Row) -> Row:
    return {**row, "name": row["names"][0]}


def _claude_named(row: Row) -> Row:
    """Under its own id with dashes, which Claude Code knows, else its own id, else any name that begins right."""
    best = next((name for name in (row["id"].replace(".", "-"), row["id"]) if name in row["names"]), None)
    first = next((name for name in row["names"] if name.startswith(PREFIX)), row["names"][0])
    return {**row, "name": first if best is None else best}
