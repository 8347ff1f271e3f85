"""Tells which entries of a ``model_list`` are managed, that is, generated from the catalog. Pure."""

from __future__ import annotations

from typing import Any

PROVIDER = "github_copilot/"
"""Prefix of LiteLLM's names for Copilot's models."""
MANAGED_PREFIX = PROVIDER + "managed/"
"""Prefix of every managed entry's ``model_info.id``. It begins with LiteLLM's provider name, so that LiteLLM
stores it in its cost map under exactly this key instead of guessing a known model from it."""


def id_of(entry: Any) -> Any:
    """``model_info.id`` of an entry, either a dictionary or one of LiteLLM's own types; None if it has none."""
    info = entry.get("model_info") if hasattr(entry, "get") else None
    return info.get("id") if isinstance(info, dict) else getattr(info, "id", None)


def is_managed_id(key: object) -> bool:
    """Whether this is the id of a managed entry."""
    return isinstance(key, str) and key.startswith(MANAGED_PREFIX)


def is_managed(entry: Any) -> bool:
    """Whether this is a managed entry."""
    return is_managed_id(id_of(entry))
