"""Claude models by family and version, and the names that Claude Code asks for by itself. Pure.

Claude Code writes a version with a dash and often with a date (``claude-sonnet-4-5-20250929``), Copilot with a dot and
without one (``claude-sonnet-4.5``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from sidecar.models.catalog import Model
from sidecar.models.selection import MESSAGES, reachable_endpoints

PREFIX = "claude-"
"""What Claude Code, and Claude Desktop, take for a model's name begins with this."""
_FAMILY = re.compile(rf"{PREFIX}(?:\d[\d.-]*-)?([a-z]+)")
ASKED = (
    *("claude-3-5-haiku-20241022", "claude-3-5-haiku-latest", "claude-haiku-4-5", "claude-haiku-4-5-20251001"),
    *("claude-haiku-5-5", "claude-fable-5", "claude-fable-5-1", "claude-fable-5-2"),
    *("claude-opus-4", "claude-opus-4-0", "claude-opus-4-20250514", "claude-opus-4-1", "claude-opus-4-1-20250805"),
    *("claude-opus-4-5", "claude-opus-4-5-20251101", "claude-opus-4-6", "claude-opus-4-7", "claude-opus-4-8"),
    *("claude-opus-5", "claude-opus-5-5"),
    *("claude-3-5-sonnet-20241022", "claude-3-5-sonnet-latest", "claude-3-7-sonnet-20250219"),
    *("claude-3-7-sonnet-latest", "claude-sonnet-4", "claude-sonnet-4-0", "claude-sonnet-4-20250514"),
    *("claude-sonnet-4-5", "claude-sonnet-4-5-20250929", "claude-sonnet-4-6", "claude-sonnet-5", "claude-sonnet-5-5"),
)
"""The names that releases of Claude Code up to 2.1.328 ask for if nobody tells them which."""


def family(name: str) -> str:
    """``opus``, ``sonnet``, ``haiku`` and so on; empty if this is no Claude model's name."""
    match = _FAMILY.match(name)
    return match[1] if match else ""


def version(name: str) -> tuple[int, ...]:
    """The version in a Claude model's name, without a date: ``(4, 5)``."""
    numbers = [int(digits) for digits in re.findall(r"\d+", name) if len(digits) < 6]
    # Copilot has called 4.1 `claude-opus-41`.
    return tuple(part for number in numbers for part in (divmod(number, 10) if number > 9 else (number,)))


def claude_aliases(models: Sequence[Model], taken: Collection[str]) -> dict[str, str]:
    """The model id behind each name that Claude Code uses, but for those in ``taken``.

    Each Claude model has its own id with dashes. What Claude Code asks for beyond that is the newest of the family that
    can be called at ``/v1/messages``, which is where LiteLLM sends Claude Code's requests.
    """
    found: dict[str, str] = {}
    newest: dict[str, Model] = {}
    for model in sorted((model for model in models if family(model.id)), key=_rank):
        newest[family(model.id)] = model
        found[model.id.replace(".", "-")] = model.id
    for name in ASKED:
        if family(name) in newest:
            found.setdefault(name, newest[family(name)].id)
    return {name: found[name] for name in sorted(found) if name not in taken}


def _rank(model: Model) -> tuple[bool, tuple[int, ...], bool, int, str]:
    return MESSAGES in reachable_endpoints(model), version(model.id), not model.preview, -len(model.id), model.id
