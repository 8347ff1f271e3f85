"""What a request is billed: ``copilot_usage``, from the catalog's prices and the tokens of the answer.

1e9 nano-AIU are a credit, and a credit is 0.01 USD. The object stands beside ``usage`` in an answer that is one JSON
object; in a stream it comes once, with the last of it: on the last chunk of a chat, beside ``response`` in
``response.completed``, in ``message_delta``. What has no prices by the token is free.
"""

from __future__ import annotations

from typing import Any

NANO = 1_000_000_000


def copilot_usage(item: dict[str, Any] | None, usage: dict[str, int]) -> dict[str, Any]:
    """``item`` of the catalog; ``usage`` in the counts of ``answers.USAGE``, cached tokens among the prompt's."""
    prices = ((item or {}).get("billing") or {}).get("token_prices")
    cached, written = usage["cached_tokens"], usage["cache_creation_tokens"]
    counts = {
        "input": max(usage["prompt_tokens"] - cached - written, 0),
        "cache_read": cached,
        "cache_write": written,
        "output": usage["completion_tokens"],
    }
    try:
        batch, credits = prices["batch_size"], _credits(prices, usage["prompt_tokens"])
        details = [
            {"batch_size": batch, "cost_per_batch": round(credits[kind] * NANO), "token_count": n, "token_type": kind}
            for kind, n in counts.items()
            if n
        ]
        total = round(sum(one["token_count"] * one["cost_per_batch"] for one in details) / batch)
    except (ArithmeticError, LookupError, TypeError):
        details, total = [], 0
    return {"token_details": details, "total_nano_aiu": total}


def _credits(prices: Any, prompt: int) -> dict[str, float]:
    """Credits a batch for each kind of token, at this length of the prompt."""
    tier = prices["default"]
    boundary = tier.get("context_max") or tier.get("max_prompt_tokens")
    if boundary and prompt > boundary:
        tier = {**tier, **prices.get("long_context", {})}
    return {
        "input": tier["input_price"],
        "output": tier["output_price"],
        "cache_read": tier.get("cache_read_price", tier["input_price"]),
        "cache_write": tier.get("cache_write_price", tier["input_price"]),
    }
