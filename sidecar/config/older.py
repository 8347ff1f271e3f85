"""Recognises the entries of a config that the older tool with the same script names has made. Pure.

It wrote ``cache_models_for``, which LiteLLM sends to Copilot, which refuses each such request; and a ``model_info`` one
level too deep, where LiteLLM ignores it, with two prices of zero. Nothing else counts: bare names, editor headers and
prices of zero in their place are in hand-written configs too, and work.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any

from sidecar.errors import UsageError
from sidecar.litellm_hot_reload.managed import PROVIDER, is_managed
from sidecar.text import printable

_MARK, _INFO = "cache_models_for", "model_info"
_PRICES = ("input_cost_per_token", "output_cost_per_token")
_SHOWN = 40  # entries in a message


def is_older(value: Any) -> bool:
    """Whether an entry of a ``model_list`` is one of the older tool's."""
    if not isinstance(value, dict) or is_managed(value) or not model_of(value).startswith(PROVIDER):
        return False
    params, info = value["litellm_params"], value.get(_INFO)
    parts = [params, info] if isinstance(info, dict) else [params]
    return any(_MARK in part for part in (value, *parts)) or any(_is_free(part.get(_INFO)) for part in parts)


def model_of(value: Any) -> str:
    """``litellm_params.model`` of an entry; empty if it has none."""
    params = value.get("litellm_params") if isinstance(value, dict) else None
    model = params.get("model") if isinstance(params, dict) else None
    return model if isinstance(model, str) else ""


def older_error(found: Iterable[tuple[int, Any]], config: str) -> UsageError:
    """The refusal of a config with such entries, each with its line, and the one command that takes them over.

    Clients go on calling the models by the names that these entries have, bare or prefixed: the command says so.
    """
    entries = [(line, str(value.get("model_name")) if _is_named(value) else "?", value) for line, value in found]
    shown = [f"{printable(name, 100)} (line {line})" for line, name, _ in entries[:_SHOWN]]
    more = f" and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else ""
    ids = [(name, model_of(value).removeprefix(PROVIDER)) for _, name, value in entries]
    bare, prefixed = (any(name == prefix + key for name, key in ids) for prefix in ("", PROVIDER))
    names = f"COPILOT_MODEL_NAMES={'both' if prefixed else 'bare'}" if bare else ""
    command = f"{names} python -m sidecar sync --config {shlex.quote(config)} --adopt".lstrip()
    keep = f" Then keep {names} set: your clients use names without a prefix." if names else ""
    what = "entry" if len(entries) == 1 else "entries"
    return UsageError(
        f"it has {len(entries)} {what} of an older tool, which LiteLLM cannot use: "
        f"{', '.join(shown)}{more}; nothing was changed",
        hint=f"Take them over, which makes a backup first: `{command}`.{keep} docs/coming-from.md says what changes.",
    )


def _is_named(value: Any) -> bool:
    return isinstance(value.get("model_name"), str)


def _is_free(info: Any) -> bool:
    return isinstance(info, dict) and all(isinstance(info.get(key), (int, float)) and info[key] == 0 for key in _PRICES)
