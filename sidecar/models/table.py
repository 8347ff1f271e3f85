"""The ``models`` command's output: a table for people, JSON for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from sidecar.models.catalog import Model, Omitted
from sidecar.models.entries import Entry
from sidecar.models.prices import Promo
from sidecar.models.selection import reachable_endpoints

_ABILITIES = (
    ("vision", "vision"),
    ("tool_calls", "tools"),
    ("structured_outputs", "json"),
)
_DROP_ORDER = ("PROMO", "CAN", "VENDOR", "ENDPOINTS", "OUTPUT", "CONTEXT")
_RIGHT = {"CONTEXT", "OUTPUT", "$/M IN", "$/M OUT", "PROMO"}


def models_table(models: Sequence[Model], omitted: Iterable[Omitted], width: int | None) -> str:
    """One line per model, then one line for each of ``omitted`` with its reason.

    ``width`` is the terminal's, in characters: columns that do not fit are dropped, the least important
    first. None (a pipe) keeps all of them.
    """
    rows = [_row(model) for model in models]
    columns = ["MODEL", "VENDOR", "ENDPOINTS", "CONTEXT", "OUTPUT", "CAN", "$/M IN", "$/M OUT"]
    if any(model.promo for model in models):
        columns.append("PROMO")
    widths = {name: max([len(name), *(len(row[name]) for row in rows)]) for name in columns}
    for name in _DROP_ORDER:
        if name in columns and width is not None and sum(widths[column] + 2 for column in columns) - 2 > width:
            columns.remove(name)
    lines = [_line({name: name for name in columns}, columns, widths), *(_line(row, columns, widths) for row in rows)]
    others = list(omitted)
    if others:
        longest = max(len(item.label) for item in others)
        lines += ["", "omitted:", *(f"  {item.label:<{longest}}  {item.reason}" for item in others)]
    return "\n".join(lines)


def models_document(
    models: Sequence[Model], entries: Sequence[Entry], omitted: Iterable[Omitted] | None
) -> dict[str, Any]:
    """What ``--json`` prints: each model's id and names with its entry's ``model_info``; exact prices as numbers."""
    by_id: dict[str, dict[str, Any]] = {}
    for entry in entries:
        model_id = entry["litellm_params"]["model"].split("/", 1)[1]
        info = {key: _json_number(value) for key, value in entry["model_info"].items() if key != "id"}
        by_id.setdefault(model_id, {"id": model_id, "model_names": [], "model_info": info})
        by_id[model_id]["model_names"].append(entry["model_name"])
    result: dict[str, Any] = {"models": [by_id[model.id] for model in models]}
    if omitted is not None:
        result["left_out"] = [{"id": item.label, "reason": item.reason} for item in omitted]
    return result


def _row(model: Model) -> dict[str, str]:
    rates = model.prices.default if model.prices else None
    can = [word for flag, word in _ABILITIES if getattr(model.supports, flag)]
    if model.supports.efforts or model.supports.adaptive_thinking or model.supports.max_thinking_budget:
        can.append("reasoning")
    return {
        "MODEL": model.id,
        "VENDOR": model.vendor or "-",
        "ENDPOINTS": ",".join(item.removeprefix("/v1").strip("/").split("/")[0] for item in reachable_endpoints(model)),
        "CONTEXT": _thousands(model.limits.window or model.limits.prompt),
        "OUTPUT": _thousands(model.limits.output),
        "CAN": ",".join(can) or "-",
        "$/M IN": _per_million(rates.input if rates else None),
        "$/M OUT": _per_million(rates.output if rates else None),
        "PROMO": _promo(model.promo),
    }


def _promo(promo: Promo | None) -> str:
    """Such as ``-50% to 2026-12-31``: as announced; the prices may or may not include it already."""
    if promo is None:
        return "-"
    until = f" to {promo.ends.date().isoformat()}" if promo.ends else ""
    return f"-{promo.percent.normalize():f}%{until}"


def _line(row: dict[str, str], columns: Sequence[str], widths: dict[str, int]) -> str:
    cells = [row[name].rjust(widths[name]) if name in _RIGHT else row[name].ljust(widths[name]) for name in columns]
    return "  ".join(cells).rstrip()


def _thousands(tokens: int | None) -> str:
    return "-" if tokens is None else f"{tokens // 1000}k" if tokens >= 1000 else str(tokens)


def _per_million(usd: Decimal | None) -> str:
    """USD per million tokens with at least two decimals."""
    if usd is None:
        return "-"
    text = f"{(usd * 1_000_000).normalize():f}"
    whole, _, rest = text.partition(".")
    return f"{whole}.{rest:0<2}"


def _json_number(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value
