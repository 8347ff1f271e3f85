"""The LiteLLM proxy around the router: its version, callbacks and secrets, and an endpoint for the hook's state."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .provider import Guard

log = logging.getLogger("copilot_hook")

STATE_PATH = "/copilot_hook"
OLDEST = "1.90.7"
"""The oldest supported LiteLLM, on which the tests pass; see requirements-litellm/versions.txt."""


class Knowledge:
    """What the hook found in LiteLLM and what it could not protect, for the log and for ``doctor``."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.version = litellm_version()
        self.follows = ""
        self.refusals = False
        self.user_agent = "as LiteLLM sends it"
        self.notes: list[str] = []
        if is_older(self.version, OLDEST):
            self.notes.append(f"older than {OLDEST}, the oldest supported version")

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON types, without secrets."""
        return {
            "litellm": self.version,
            "follows": self.follows,
            "guarded": self.guard.guarded,
            "unguarded": self.guard.unguarded,
            "unknown": self.guard.unknown,
            "refusals_noticed": self.refusals,
            "user_agent": self.user_agent,
            "notes": self.notes,
        }

    def line(self) -> str:
        """One line for the log."""
        follows = f"models by {self.follows}" if self.follows else "models are NOT followed: unknown router"
        parts = [f"LiteLLM {self.version}: {follows}", f"guarded: {', '.join(self.guard.guarded) or 'nothing'}"]
        if self.guard.unguarded:
            parts.append(f"NOT guarded: {', '.join(self.guard.unguarded)}; LiteLLM handles these itself")
        if self.guard.unknown:
            parts.append(f"unknown: {', '.join(self.guard.unknown)}")
        parts.append("refused tokens are noticed" if self.refusals else "refused tokens are NOT noticed")
        return "; ".join([*parts, f"user-agent: {self.user_agent}", *self.notes])


def litellm_version() -> str:
    """The installed version, or "unknown" if it cannot be determined."""
    try:
        return version("litellm")
    except PackageNotFoundError:
        return "unknown"


def is_older(version: str, other: str) -> bool:
    """Whether one LiteLLM version is older than another; False for one that is not numeric."""
    numbers = [re.findall(r"\d+", text)[:3] for text in (version, other)]
    return len(numbers[0]) == 3 and [int(n) for n in numbers[0]] < [int(n) for n in numbers[1]]


def listen(
    knowledge: Knowledge,
    refused: Callable[[str | None, float], None],
    bill: Callable[[str, float, float], None] | None = None,
) -> None:
    """Register the callbacks after LiteLLM has set its own; requests are added up only for a ``bill``. Never raises."""
    try:
        import litellm

        from .callbacks import Bills, Refusals, UserAgent, openai_doubles_user_agent

        litellm.callbacks.append(Bills(refused, bill) if bill else Refusals(refused))
        knowledge.refusals = True
        if openai_doubles_user_agent():
            litellm.callbacks.append(UserAgent())
            knowledge.user_agent = "spelled so that it replaces the OpenAI client's own"
    except Exception as error:
        knowledge.notes.append(f"callbacks: {type(error).__name__}")
        log.exception("LiteLLM's callbacks are not as expected")


def show(proxy: Any, state: Callable[[], dict[str, Any]], knowledge: Knowledge) -> None:
    """Serve ``state()`` at STATE_PATH to anyone with LiteLLM's key. Never raises."""
    try:
        from fastapi import Depends

        proxy.app.add_api_route(
            STATE_PATH, state, methods=["GET"], include_in_schema=False, dependencies=[Depends(proxy.user_api_key_auth)]
        )
        # Ahead of anything LiteLLM may have mounted as a catch-all.
        proxy.app.router.routes.insert(0, proxy.app.router.routes.pop())
    except Exception as error:
        knowledge.notes.append(f"{STATE_PATH}: {type(error).__name__}")
        log.exception("%s cannot be served", STATE_PATH)


def resolved(proxy: Any, config: dict[str, Any]) -> dict[str, Any]:
    """``config`` with every ``os.environ/…`` resolved as LiteLLM does it. Blocks if that queries a secret manager.
    Raises whatever that raises.
    """
    look_up = getattr(getattr(proxy, "proxy_config", None), "_check_for_os_environ_vars", None)
    if not callable(look_up):
        raise LookupError("this LiteLLM does not resolve os.environ/… in a known way")
    found = look_up(config=config)
    return found if isinstance(found, dict) else config
