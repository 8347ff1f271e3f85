"""Which models LiteLLM shall serve, and one reason for each that it shall not. Pure.

The picker filter never leaves nothing: some plans have no model in the picker at all, and then policy and
endpoints decide. User's own patterns may leave nothing; that is reported as the user's mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sidecar.errors import BadAnswer, UsageError
from sidecar.models.catalog import Model, Refused
from sidecar.settings import Settings
from sidecar.text import printable

CHAT, RESPONSES, MESSAGES, EMBEDDINGS = "/chat/completions", "/responses", "/v1/messages", "/embeddings"


@dataclass(frozen=True)
class Selection:
    """The chosen models in the order of their ids, the others with a reason each, and what is worth saying."""

    models: tuple[Model, ...]
    left_out: tuple[Refused, ...]
    notes: tuple[str, ...] = ()


def reachable_endpoints(model: Model) -> tuple[str, ...]:
    """The Copilot endpoints of the model that LiteLLM can reach; empty when there is none.

    Where the catalog does not list endpoints, the model's type decides. ``ws:/responses`` and plain
    completions are out of LiteLLM's reach.
    """
    if model.type == "embeddings":
        reachable: tuple[str, ...] = (EMBEDDINGS,)
    elif model.type == "chat":
        reachable = (CHAT,) if model.endpoints is None else (CHAT, RESPONSES, MESSAGES)
    else:
        reachable = ()
    return reachable if model.endpoints is None else tuple(item for item in reachable if item in model.endpoints)


def select_models(models: Sequence[Model], refused: Iterable[Refused], settings: Settings) -> Selection:
    """Apply the filters of ``settings``.

    Raises BadAnswer when the catalog has no model that could be called, UsageError when the user's own
    filters leave none.
    """
    reasons = {model.id: _unusable(model) for model in models}
    usable = [model for model in models if reasons[model.id] is None]
    if not usable:
        raise BadAnswer("the catalog holds no model that LiteLLM can call with this account")
    notes = []
    for model in usable:
        reasons[model.id] = _unwanted(model, settings)
    wanted = [model for model in usable if reasons[model.id] is None]
    if not wanted:
        counted = sorted({reasons[model.id] or "" for model in usable})
        raise UsageError(
            f"the filters leave none of {len(usable)} models: {'; '.join(counted)}",
            hint="Widen COPILOT_MODELS_INCLUDE, COPILOT_MODELS_EXCLUDE or the other filters.",
        )
    if settings.picker_only:
        picked = [model for model in wanted if model.picker or model.type == "embeddings"]
        if any(model.picker for model in picked):
            for model in wanted:
                if model not in picked:
                    reasons[model.id] = "not in Copilot's model picker (COPILOT_PICKER_ONLY)"
            wanted = picked
        elif not any(model.picker for model in models):
            notes.append("Copilot has no model in its picker for this plan; policy and endpoints decide instead")
    left_out = [Refused(key, reason) for key, reason in reasons.items() if reason is not None]
    return Selection(tuple(wanted), tuple(sorted([*refused, *left_out], key=lambda item: item.label)), tuple(notes))


def _unusable(model: Model) -> str | None:
    if model.policy == "disabled":
        return "disabled by policy"
    if not reachable_endpoints(model):
        listed = "none" if not model.endpoints else printable(", ".join(model.endpoints), 80)
        return f"callable nowhere LiteLLM can reach (type {model.type}, endpoints: {listed})"
    return None


def _unwanted(model: Model, settings: Settings) -> str | None:
    if "/" in model.id and not settings.slashed_ids:
        return "its id has a slash (COPILOT_SLASHED_IDS)"
    if model.type == "embeddings" and not settings.embeddings:
        return "an embedding model (COPILOT_EMBEDDINGS)"
    if model.preview and not settings.previews:
        return "a preview (COPILOT_PREVIEWS)"
    if settings.include and not any(fnmatchcase(model.id, pattern) for pattern in settings.include):
        return "matches no pattern of COPILOT_MODELS_INCLUDE"
    if any(fnmatchcase(model.id, pattern) for pattern in settings.exclude):
        return "matches a pattern of COPILOT_MODELS_EXCLUDE"
    return None
