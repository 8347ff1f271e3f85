"""What differs in LiteLLM from one line of releases to another, as far as the hook or a promise depends on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

EXCHANGE = "http://127.0.0.1:9/exchange"
GITHUB = "https://api.github.com/copilot_internal"


@dataclass(frozen=True)
class Facts:
    """What differs from version to version."""

    removed_names: bool = False
    """Whether a removed model stays in model_names."""
    keeps_without_token: bool = False
    """Whether the router keeps a model that there is no token for."""
    exchange: str | None = EXCHANGE
    """What LiteLLM asks when api-key.json has expired; None if it never reads that file and sends the access token."""
    unwritable_file: str = "GetAPIKeyError"
    """What becomes of a token whose api-key.json cannot be written."""
    asks_for_address: str | None = None
    """What LiteLLM asks to learn Copilot's address; None if it takes what the environment or api-key.json says."""
    own_messages: bool = True
    """Whether Claude models are called at Copilot's /v1/messages."""
    entry_points: bool = False
    """Whether the router has apply() and registry(), and announces the end of all else that a hook could use."""


WITH_EXCHANGE = Facts()
FACTS = {
    "1.90": replace(WITH_EXCHANGE, removed_names=True, own_messages=False),
    "1.99": WITH_EXCHANGE,
    "1.106": WITH_EXCHANGE,
    "1.108": WITH_EXCHANGE,
    "1.109": replace(WITH_EXCHANGE, keeps_without_token=True, unwritable_file="exchanged", entry_points=True),
    "1.110": Facts(
        keeps_without_token=True,
        exchange=None,
        unwritable_file="the access token",
        asks_for_address=f"{GITHUB}/user",
        entry_points=True,
    ),
}


def line_of(version: str) -> str:
    """The line of releases that a version belongs to: its first two numbers."""
    return ".".join(version.split(".")[:2])


def expected_of(version: str) -> Facts:
    """The facts of a version's line, or of the newest one in the table."""
    return FACTS.get(line_of(version)) or list(FACTS.values())[-1]
