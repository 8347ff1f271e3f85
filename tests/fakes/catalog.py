"""Builders of model items for ``GET /models``, and a demonstration catalog. All values are invented.

Items are kept in the newest shape (``2026-08-01``); ``versions`` turns them into what an older
``X-GitHub-Api-Version`` sees. Prices are in AI credits (0.01 USD) per ``batch_size`` tokens, so with
the batch of a million used here 250 credits are 2.50 USD per million tokens.
"""

from __future__ import annotations

from typing import Any

CHAT, RESPONSES, WS, MESSAGES = "/chat/completions", "/responses", "ws:/responses", "/v1/messages"
MILLION = 1_000_000
NANO_CREDITS = 1_000_000_000


def tier(input: float, output: float, cache: float | None = None, **more: float) -> dict[str, float]:
    """The prices of one context size. ``more``: cache_write_price, context_max, max_prompt_tokens."""
    prices = {"input_price": input, "output_price": output}
    if cache is not None:
        prices["cache_read_price"] = cache
    return {**prices, **more}


def tiered(
    default: dict[str, float], long_context: dict[str, float] | None = None, batch_size: float = MILLION
) -> dict[str, Any]:
    """``billing`` with tiered token prices."""
    prices: dict[str, Any] = {"batch_size": batch_size, "default": default}
    if long_context is not None:
        prices["long_context"] = long_context
    return {"restricted_to": ["pro", "business"], "token_prices": prices}


def nano(input: float, output: float, cache: float, batch_size: int = MILLION) -> dict[str, Any]:
    """``billing`` in the older flat form: nano-credits, next to ``batch_size``; arguments in credits."""
    return {
        "token_prices": {
            "batch_size": batch_size,
            "input_price": int(input * NANO_CREDITS),
            "output_price": int(output * NANO_CREDITS),
            "cache_price": int(cache * NANO_CREDITS),
        }
    }


def multiplier(value: float) -> dict[str, Any]:
    """``billing`` from before token prices."""
    return {"is_premium": value > 0, "multiplier": value}


def warning(code: str, message: str) -> dict[str, str]:
    return {"code": code, "message": message}


def model(
    id: str,
    *,
    type: str = "chat",
    vendor: str = "Azure OpenAI",
    endpoints: list[str] | None = None,
    context: int = 128_000,
    output: int = 16_000,
    vision: bool = False,
    reasoning: list[str] | None = None,
    supports: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = None,
    billing: dict[str, Any] | None = None,
    policy: str | None = None,
    category: str | None = "versatile",
    warnings: list[dict[str, str]] | None = None,
    picker: bool = True,
    preview: bool = False,
    **more: Any,
) -> dict[str, Any]:
    """One item of ``data``. What is ``None`` is omitted: no ``endpoints`` means the key is absent.

    ``supports`` and ``limits`` add to (a value of ``None`` takes away from) what the type brings, and
    ``more`` sets top-level fields.
    """
    does: dict[str, Any] = {}
    within: dict[str, Any] = {"max_inputs": 512} if type == "embeddings" else {}
    if type == "chat":
        does = {"streaming": True, "tool_calls": True, "parallel_tool_calls": True, "structured_outputs": True}
        within = {
            "max_context_window_tokens": context,
            "max_output_tokens": output,
            "max_prompt_tokens": context - output,
        }
    if vision:
        does["vision"] = True
        within["vision"] = {
            "max_prompt_image_size": 3_145_728,
            "max_prompt_images": 5,
            "supported_media_types": ["image/jpeg", "image/png", "image/webp"],
        }
    if reasoning:
        does["reasoning_effort"] = reasoning
    item: dict[str, Any] = {
        "id": id,
        "name": id.replace("-", " ").title(),
        "object": "model",
        "vendor": vendor,
        "version": id,
        "preview": preview,
        "is_chat_default": False,
        "is_chat_fallback": False,
        "model_picker_enabled": picker,
        "model_picker_category": category,
        "supported_endpoints": endpoints,
        "policy": {"state": policy, "terms": f"Enable access to {id}."} if policy else None,
        "billing": billing,
        "warning_messages": warnings,
        "capabilities": {
            "object": "model_capabilities",
            "type": type,
            "family": id,
            "tokenizer": "o200k_base",
            "limits": _without_none({**within, **(limits or {})}),
            "supports": _without_none({**does, **(supports or {})}),
        },
        **more,
    }
    return _without_none(item)


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def demo_catalog() -> list[dict[str, Any]]:
    """Some 25 models that between them show every variation seen in real catalogs."""
    efforts = ["low", "medium", "high"]
    claude: dict[str, Any] = {"vendor": "Anthropic", "context": 200_000, "output": 32_000, "vision": True}
    thinking = {"adaptive_thinking": True, "min_thinking_budget": 1024, "max_thinking_budget": 32_000}
    long_gpt = tiered(
        tier(250, 1500, 25, context_max=272_000),
        tier(500, 2250, 50, context_max=1_050_000),
    )
    long_claude = tiered(
        tier(300, 1500, 30, cache_write_price=375, max_prompt_tokens=200_000),
        tier(600, 2250, 60, max_prompt_tokens=936_000),
    )
    # fmt: off
    return [
        model("gpt-4o", vision=True, billing=tiered(tier(250, 1000, 125)), is_chat_fallback=True),
        model("gpt-4o-mini", output=4_096, category="lightweight", billing=tiered(tier(15, 60, 7.5))),
        model("gpt-4.1", endpoints=[CHAT], vision=True, billing=tiered(tier(200, 800, 50)), is_chat_default=True),
        model("gpt-5-mini", endpoints=[CHAT, RESPONSES, WS], reasoning=efforts, vision=True, context=264_000,
              output=64_000, category="lightweight", billing=tiered(tier(25, 200, 2.5), batch_size=MILLION)),
        model("gpt-5.4", endpoints=[CHAT, RESPONSES, WS], reasoning=[*efforts, "xhigh"], vision=True,
              context=1_050_000, output=128_000, category="powerful", billing=long_gpt),
        model("gpt-5.3-codex", endpoints=[RESPONSES, WS], reasoning=efforts, vision=True, context=400_000,
              output=128_000, category="powerful", billing=tiered(tier(0.175, 1.4, 0.0175), batch_size=1000)),
        model("gpt-5.4-mini", endpoints=[RESPONSES], reasoning=efforts, context=400_000, output=128_000,
              category="lightweight", billing=tiered(tier(75, 450, 7.5))),
        model("gpt-live", endpoints=[WS], preview=True, category=None),
        model("gpt-3.5-turbo", context=16_384, output=4_096, category="lightweight", billing=multiplier(0),
              supports={"parallel_tool_calls": None, "structured_outputs": None}, picker=False),
        model("o9-mini", reasoning=efforts, billing=nano(110, 440, 55), supports={"parallel_tool_calls": None}),
        model("claude-sonnet-4.6", **claude, endpoints=[CHAT, MESSAGES], supports=thinking,
              billing=tiered(tier(300, 1500, 30, cache_write_price=375))),
        model("claude-opus-4.7", **{**claude, "context": 1_000_000, "output": 64_000}, endpoints=[MESSAGES, CHAT],
              supports=thinking, reasoning=efforts, category="powerful", billing=long_claude),
        model("claude-fable-5", **{**claude, "output": 64_000}, endpoints=[MESSAGES], supports=thinking,
              reasoning=efforts, preview=True, category="powerful",
              billing=tiered(tier(1000, 5000, 100, cache_write_price=1250))),
        model("claude-haiku-4.5", **{**claude, "context": 144_000, "output": 32_000}, endpoints=[CHAT, MESSAGES],
              category="lightweight", billing=tiered(tier(100, 500, 10, cache_write_price=125))),
        model("claude-3.7-sonnet", **claude, billing=multiplier(1), policy="enabled",
              warnings=[warning("model_pending_deprecation", "This model will be retired on 2027-01-31.")]),
        model("claude-3-opus", **claude, billing=multiplier(10), picker=False,
              warnings=[warning("model_deprecated", "This model is deprecated.")]),
        model("gemini-3-pro", vendor="Google", vision=True, context=936_000, output=64_000, preview=True,
              policy="enabled", category="powerful",
              billing=tiered(tier(200, 1200, 20, context_max=200_000), tier(200, 1200, 20, context_max=936_000))),
        model("gemini-3-flash", vendor="Google", vision=True, context=936_000, output=64_000,
              category="lightweight", policy="unconfigured", billing=tiered(tier(50, 300, 5))),
        model("grok-4.6", vendor="xAI", endpoints=[RESPONSES], context=372_000, output=64_000, reasoning=efforts,
              policy="disabled", billing=tiered(tier(200, 1000))),
        model("grok-code-fast-2", vendor="xAI", endpoints=[CHAT], context=256_000, output=32_000,
              category="lightweight", billing=tiered(tier(20, 150, 2))),
        model("retired-preview", endpoints=[], preview=True, picker=False, category=None),
        model("no-tools-chat", endpoints=[CHAT], context=32_768, output=4_096, category="lightweight",
              supports={"tool_calls": None, "parallel_tool_calls": None, "streaming": None},
              billing=tiered(tier(10, 40), batch_size=0)),
        model("accounts/fakeco/routers/auto-router", endpoints=[CHAT], vendor="Fakeco", category=None),
        model("accounts/fakeco/models/house-model", vendor="Fakeco", context=65_536, output=8_192, category=None,
              custom_model={"key_name": "fakeco", "owner_name": "Fakeco"}),
        model("text-embedding-3-small", type="embeddings", picker=False, category=None,
              supports={"dimensions": True}, billing=tiered(tier(2, 0))),
        model("text-embedding-ada-002", type="embeddings", picker=False, category=None),
        model("gpt-41-copilot", type="completion", picker=False, category=None, supports={"streaming": True}),
    ]
    # fmt: on
