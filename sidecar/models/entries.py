"""Turns models into LiteLLM ``model_list`` entries, and entries into YAML. Pure and deterministic.

One entry per model and name. ``litellm_params`` contains nothing that LiteLLM would pass on to Copilot as
a parameter; everything known about the model goes into ``model_info``. What the catalog does not state is
omitted, so that LiteLLM's own data applies.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import yaml

from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX, PROVIDER
from sidecar.models.catalog import Model
from sidecar.models.claude import claude_aliases
from sidecar.models.customize import Custom, resolve_aliases, unused_overrides, with_overrides
from sidecar.models.prices import Prices, Promo, Rates
from sidecar.models.selection import CHAT, EMBEDDINGS, MESSAGES, RESPONSES, reachable_endpoints
from sidecar.settings import Settings

HEADER = """\
# The models of GitHub Copilot, written by copilot-model-sync. Do not edit: every change of the catalog
# replaces this file. Settings and overrides: docs/reference.md.
"""

MODEL_LIST = "model_list:\n"
Entry = dict[str, Any]
NO_CUSTOMIZATION = Custom()
_LITELLM_PATHS = {
    CHAT: "/v1/chat/completions",
    RESPONSES: "/v1/responses",
    MESSAGES: "/v1/messages",
    EMBEDDINGS: "/v1/embeddings",
}
_MAPPING, _MAPPING_END = yaml.MappingStartEvent(None, None, True, flow_style=False), yaml.MappingEndEvent()
_SEQUENCE, _SEQUENCE_END = yaml.SequenceStartEvent(None, None, True, flow_style=False), yaml.SequenceEndEvent()
_EFFORTS = {effort: f"supports_{effort}_reasoning_effort" for effort in ("none", "minimal", "low", "xhigh", "max")}


def build_entries(
    models: Sequence[Model], settings: Settings, custom: Custom = NO_CUSTOMIZATION
) -> tuple[list[Entry], list[str]]:
    """The entries for ``models`` under all their names, overrides merged in, and notes to log."""
    names = [(name, _key(model, name), model) for model in models for name in model_names(model, settings)]
    by_id = {model.id: model for model in models}
    taken = [name for name, _, _ in names]
    aliases, notes = resolve_aliases(custom.aliases, models, taken)
    if settings.claude_names:
        aliases = {**claude_aliases(models, taken), **aliases}
    names += [(alias, f"{MANAGED_PREFIX}{target}@alias:{alias}", by_id[target]) for alias, target in aliases.items()]
    found = [
        with_overrides(_entry(name, key, model, settings), model.id, custom.overrides)
        for name, key, model in sorted(names, key=lambda item: item[1])
    ]
    return found, notes + unused_overrides(custom.overrides, models)


def model_names(model: Model, settings: Settings) -> list[str]:
    """What clients call the model, by COPILOT_MODEL_NAMES; no two models share a name.

    An id with a slash is always prefixed: to LiteLLM what stands before a slash is a provider, and the model
    ``openai/x`` would get the requests that an ``openai/*`` of the user's own is meant for.
    """
    prefixed, bare = PROVIDER + model.id, model.id
    if "/" in model.id:
        return [prefixed]
    return {"prefixed": [prefixed], "bare": [bare], "both": [prefixed, bare]}[settings.names]


def _key(model: Model, name: str) -> str:
    return MANAGED_PREFIX + model.id + ("" if name == PROVIDER + model.id else "@bare")


def _entry(name: str, key: str, model: Model, settings: Settings) -> Entry:
    return {
        "model_name": name,
        "litellm_params": {
            "model": PROVIDER + model.id,
            "extra_headers": headers(model, settings),
            **_seat(settings),
        },
        "model_info": {"id": key, **model_info(model, settings)},
    }


def _seat(settings: Settings) -> dict[str, str]:
    """Whose seat pays: nothing for the shared login, else the credential under which each user has their own.

    The name alone is not enough: LiteLLM falls back to the shared login as long as it has no credential of
    that name (``github_copilot_auth_mode`` in its llms/github_copilot/per_user_auth.py). With the type added,
    LiteLLM 1.108 and newer reject such a request; older ones send the type to Copilot, which rejects it.
    """
    if settings.credential is None:
        return {}
    return {"litellm_credential_name": settings.credential, "github_copilot_auth_type": "per_user_oauth"}


def headers(model: Model, settings: Settings) -> dict[str, str]:
    """The request headers for a model, in lower case (LiteLLM duplicates others).

    Copilot rejects images without ``copilot-vision-request``, which LiteLLM does not send by itself.
    """
    vision = {"copilot-vision-request": "true"} if model.supports.vision else {}
    return {**settings.editor_headers(), **vision}


def model_info(model: Model, settings: Settings) -> dict[str, Any]:
    """The ``model_info`` of a model: mode, endpoints, limits, capabilities, prices, descriptive fields.

    Token limits in tokens, prices in USD per token.
    """
    info: dict[str, Any] = {
        "litellm_provider": PROVIDER.rstrip("/"),
        "mode": mode(model),
        "supported_endpoints": [_LITELLM_PATHS[item] for item in reachable_endpoints(model)],
        **_limits(model, settings),
        **_capabilities(model),
        **_costs(model.prices, settings.prices),
        "display_name": model.name,
        "vendor": model.vendor,
        "category": model.category,
        "family": model.family,
        "preview": model.preview,
        "deprecation_date": model.deprecation_date,
        **_promo(model.promo),
    }
    return {key: value for key, value in info.items() if value is not None and value != ""}


def mode(model: Model) -> str:
    """LiteLLM's ``mode``: ``responses`` only if there is no alternative, because it reroutes chat requests."""
    reachable = reachable_endpoints(model)
    if EMBEDDINGS in reachable:
        return "embedding"
    return "responses" if RESPONSES in reachable and CHAT not in reachable else "chat"


def _limits(model: Model, settings: Settings) -> dict[str, int | None]:
    """Without COPILOT_LONG_CONTEXT, a prompt ends where the cheaper prices do."""
    limits = model.limits
    prompt = limits.prompt
    if prompt is None and limits.window is not None and limits.output is not None and limits.window > limits.output:
        prompt = limits.window - limits.output
    boundary = None if settings.long_context or model.prices is None else model.prices.boundary
    if boundary is not None:
        prompt = boundary if prompt is None else min(prompt, boundary)
    if model.type == "embeddings":
        prompt = prompt or limits.window
        return {"max_tokens": prompt, "max_input_tokens": prompt}
    return {"max_tokens": limits.output, "max_input_tokens": prompt, "max_output_tokens": limits.output}


def _capabilities(model: Model) -> dict[str, Any]:
    supports = model.supports
    if model.type == "embeddings":
        return {}
    flags: dict[str, Any] = {
        "supports_system_messages": True,
        "supports_vision": supports.vision,
        "supports_function_calling": supports.tool_calls,
        "supports_tool_choice": supports.tool_calls,
        "supports_parallel_function_calling": supports.parallel_tool_calls,
        "supports_response_schema": supports.structured_outputs,
        "supports_native_structured_output": supports.structured_outputs,
        "supports_native_streaming": supports.streaming,
        "supports_adaptive_thinking": supports.adaptive_thinking,
        "min_thinking_budget": supports.min_thinking_budget,
        "max_thinking_budget": supports.max_thinking_budget,
    }
    if supports.efforts is not None:
        flags["supports_reasoning"] = bool(
            supports.efforts or supports.adaptive_thinking or supports.max_thinking_budget
        )
        if supports.efforts:
            flags["reasoning_effort_levels"] = list(supports.efforts)
            flags |= {key: effort in supports.efforts for effort, key in _EFFORTS.items()}
    if model.prices is not None:
        flags["supports_prompt_caching"] = model.prices.default.cache_read is not None
    return flags


def _costs(prices: Prices | None, source: str) -> dict[str, Decimal]:
    """Every price key of LiteLLM's that it would otherwise fill in from its own map for a known id."""
    if source == "litellm" or (prices is None and source == "live"):
        return {}
    if prices is None or source == "zero":
        zero = Decimal(0)
        prices = Prices(Rates(zero, zero, zero, zero))
    default, longer = prices.tiers()
    boundary = prices.boundary
    costs = _rate_keys(default)
    at_200k = longer if longer is not None and boundary is not None and boundary < 200_000 else default
    costs |= _rate_keys(Rates(cache_read=at_200k.cache_read, cache_write=at_200k.cache_write), "_above_200k_tokens")
    if boundary is not None and longer is not None:
        thousands, rest = divmod(boundary, 1000)
        costs |= _rate_keys(longer, f"_above_{boundary}_tokens" if rest else f"_above_{thousands}k_tokens")
    return costs


def _rate_keys(rates: Rates, above: str = "") -> dict[str, Decimal]:
    """The keys for the tokens ``above`` a boundary. Cache writes cost the same however long they are kept."""
    keys = {
        "input_cost_per_token": rates.input,
        "output_cost_per_token": rates.output,
        "cache_read_input_token_cost": rates.cache_read,
        "cache_creation_input_token_cost": rates.cache_write,
        "cache_creation_input_token_cost_above_1hr": rates.cache_write,
    }
    return {sys.intern(key + above): value for key, value in keys.items() if value is not None}


def _promo(promo: Promo | None) -> dict[str, Any]:
    if promo is None:
        return {}
    percent = int(promo.percent) if promo.percent == int(promo.percent) else float(promo.percent)
    return {
        "promo_discount_percent": percent,
        "promo_ends_at": promo.ends and promo.ends.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Block style, no aliases, decimals in fixed point; libyaml, where PyYAML has it, writes the same bytes."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _decimal(dumper: _Dumper, value: Decimal) -> yaml.ScalarNode:
    text = f"{value.normalize():f}"
    node: yaml.ScalarNode = dumper.represent_scalar("tag:yaml.org,2002:float", text if "." in text else text + ".0")
    return node


_Dumper.add_representer(Decimal, _decimal)


def dump_entries(items: Sequence[Mapping[str, Any]]) -> str:
    """YAML of a block sequence at indent 0, ASCII only; equal entries give equal text."""
    return _dumped("", items).decode("ascii")


def models_file_bytes(items: Sequence[Mapping[str, Any]]) -> bytes:
    """The models file: the header and ``{model_list: [...]}``."""
    return _dumped(HEADER + (MODEL_LIST if items else "model_list: []\n"), items)


def _dumped(head: str, items: Sequence[Mapping[str, Any]]) -> bytes:
    """``head``, and what ``yaml.dump`` makes of the entries. Its nodes, which take twenty times the memory of the text
    and most of the time, are only made of scalars, of each once: they are there again and again.
    """
    out = io.BytesIO()
    out.write(head.encode("ascii"))
    if items:
        dumper = _Dumper(out, encoding="ascii", width=10_000, allow_unicode=False)

        @lru_cache(1024)
        def scalar(kind: type, text: str, value: Any) -> yaml.ScalarEvent:  # 1, 1.0 and True are equal, and 0 and -0
            node = dumper.represent_data(value)
            plain, quoted = (dumper.resolve(yaml.ScalarNode, node.value, (way, not way)) for way in (True, False))
            return yaml.ScalarEvent(None, node.tag, (plain == node.tag, quoted == node.tag), node.value)

        dumper.emit(yaml.StreamStartEvent(encoding="ascii"))
        dumper.emit(yaml.DocumentStartEvent(explicit=False))
        _emit([*items], dumper.emit, scalar)
        dumper.emit(yaml.DocumentEndEvent(explicit=False))
        dumper.emit(yaml.StreamEndEvent())
    return out.getvalue()


def _emit(value: Any, emit: Callable[[yaml.Event], None], scalar: Callable[..., yaml.ScalarEvent]) -> None:
    """The events of ``value``."""
    kind = type(value)
    if kind is dict:
        emit(_MAPPING)
        for key, item in value.items():
            _emit(key, emit, scalar)
            _emit(item, emit, scalar)
        emit(_MAPPING_END)
    elif kind in (list, tuple):
        emit(_SEQUENCE)
        for item in value:
            _emit(item, emit, scalar)
        emit(_SEQUENCE_END)
    else:
        emit(scalar(kind, str(value), value))
