"""Selects the models that LiteLLM serves, with a reason for each one omitted. Pure.

The picker filter never excludes every model: on plans without any model in the picker, policy and endpoints
decide. The user's own filters may; that is reported as a usage error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from sidecar.errors import BadAnswer, UsageError
from sidecar.models.catalog import CATALOG_HINT, Model, Omitted
from sidecar.settings import Settings
from sidecar.text import printable

CHAT, RESPONSES, MESSAGES, EMBEDDINGS = "/chat/completions", "/responses", "/v1/messages", "/embeddings"


class Selection(NamedTuple):
    """The selected models in the order of their ids, the omitted ones with their reasons, and notes to log."""

    models: tuple[Model, ...]
    omitted: tuple[Omitted, ...]
    notes: tuple[str, ...] = ()


def reachable_endpoints(model: Model) -> tuple[str, ...]:
    """The model's Copilot endpoints that LiteLLM can call; empty if there are none.

    If the catalog does not list endpoints, the model's type decides. LiteLLM cannot call ``ws:/responses``
    or plain completions.
    """
    if model.type == "embeddings":
        reachable: tuple[str, ...] = (EMBEDDINGS,)
    elif model.type == "chat":
        reachable = (CHAT,) if model.endpoints is None else (CHAT, RESPONSES, MESSAGES)
    else:
        reachable = ()
    return reachable if model.endpoints is None else tuple(item for item in reachable if item in model.endpoints)


def select_models(
    models: Sequence[Model], invalid: Iterable[Omitted], settings: Settings, kept: Collection[str] = ()
) -> Selection:
    """Apply the filters of ``settings``.

    ``kept`` are the ids of models as an earlier catalog had them: they stay in the picker or out of it as they were,
    and whether the plan has a picker is for the others to say.

    Raises BadAnswer when none of the catalog's models can be called, UsageError when the user's own filters
    exclude them all.
    """
    reasons = {model.id: _unusable(model) for model in models}
    usable = [model for model in models if reasons[model.id] is None]
    if not usable:
        raise BadAnswer("the catalog contains no models that LiteLLM can call with this account", hint=CATALOG_HINT)
    notes = []
    for model in usable:
        reasons[model.id] = _unwanted(model, settings)
    wanted = [model for model in usable if reasons[model.id] is None]
    if not wanted:
        counted = sorted({reasons[model.id] or "" for model in usable})
        raise UsageError(
            f"the filters exclude all {len(usable)} models: {'; '.join(counted)}",
            hint="Widen COPILOT_MODELS_INCLUDE, COPILOT_MODELS_EXCLUDE or the other filters.",
        )
    if settings.picker_only:
        picked = [model for model in wanted if model.picker or model.type == "embeddings" or model.id in kept]
        if any(model.picker and model.id not in kept for model in picked):
            for model in wanted:
                if not (model.picker or model.type == "embeddings" or model.id in kept):
                    reasons[model.id] = "not in Copilot's model picker (COPILOT_PICKER_ONLY)"
            wanted = picked
        elif not any(model.picker for model in models):
            notes.append("Copilot's picker has no models for this plan; policy and endpoints decide instead")
    omitted = [Omitted(key, reason) for key, reason in reasons.items() if reason is not None]
    return Selection(tuple(wanted), tuple(sorted([*invalid, *omitted], key=lambda item: item.label)), tuple(notes))


def _unusable(model: Model) -> str | None:
    if model.policy == "disabled":
        return "disabled by policy"
    if not reachable_endpoints(model):
        listed = "none" if not model.endpoints else printable(", ".join(model.endpoints), 80)
        return f"has no endpoint that LiteLLM can call (type {model.type}, endpoints: {listed})"
    return None


def _unwanted(model: Model, settings: Settings) -> str | None:
    if "/" in model.id and not settings.slashed_ids:
        return "its id contains a slash (COPILOT_SLASHED_IDS)"
    if model.type == "embeddings" and not settings.embeddings:
        return "an embedding model (COPILOT_EMBEDDINGS)"
    if model.preview and not settings.previews:
        return "a preview (COPILOT_PREVIEWS)"
    if settings.include and not any(fnmatchcase(model.id, pattern) for pattern in settings.include):
        return "matches no pattern in COPILOT_MODELS_INCLUDE"
    if any(fnmatchcase(model.id, pattern) for pattern in settings.exclude):
        return "matches a pattern in COPILOT_MODELS_EXCLUDE"
    return None
