"""The ``models`` command's output: a table for people, JSON for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from sidecar.colours import Paint
from sidecar.models.catalog import Model, Omitted
from sidecar.models.credit import Credit
from sidecar.models.entries import Entry
from sidecar.models.prices import Promo
from sidecar.models.selection import reachable_endpoints

_ABILITIES = (
    ("vision", "vision"),
    ("tool_calls", "tools"),
    ("structured_outputs", "json"),
)
_DROP_ORDER = ("PROMO", "CAN", "VENDOR", "ENDPOINTS", "OUTPUT", "CONTEXT", "ALSO")
_OPTIONAL = {"ALSO", "PROMO"}
"""Columns that are there only if there is something in them."""
_MOST_NAMES = 30
"""Characters for the further names of a model in a terminal."""
_RIGHT = {"CONTEXT", "OUTPUT", "$/M IN", "$/M OUT", "PROMO"}


def models_table(
    models: Sequence[Model],
    entries: Iterable[Entry],
    omitted: Iterable[Omitted],
    width: int | None,
    paint: Paint = lambda text, _: text,
) -> str:
    """One line per model by what clients call it, with the prices in force, then one line for each of ``omitted``.

    ``width`` is the terminal's, in characters: columns that do not fit are dropped, the least important
    first, and then the names' prefix; of many names of one model only the first is shown. None (a pipe) keeps all.
    """
    by_id: dict[str, list[Entry]] = {}
    for entry in entries:
        by_id.setdefault(_id(entry), []).append(entry)
    rows = [_row(model, by_id[model.id], None if width is None else _MOST_NAMES) for model in models]
    columns = ["MODEL", "ALSO", "VENDOR", "ENDPOINTS", "CONTEXT", "OUTPUT", "CAN", "$/M IN", "$/M OUT", "PROMO"]
    columns = [name for name in columns if name not in _OPTIONAL or any(row[name] != "-" for row in rows)]
    widths = _widths(rows, columns)
    for name in _DROP_ORDER:
        if name in columns and not _fits(columns, widths, width):
            columns.remove(name)
    if not _fits(columns, widths, width):
        for row, model in zip(rows, models, strict=True):
            row["MODEL"] = model.id
        widths = _widths(rows, columns)
    lines = [paint(_line({name: name for name in columns}, columns, widths), "head")]
    lines += [_line(row, columns, widths) for row in rows]
    others = list(omitted)
    if others:
        longest = max(len(item.label) for item in others)
        lines += ["", paint("omitted:", "head")]
        lines += [paint(f"  {item.label:<{longest}}  {item.reason}", "aside") for item in others]
    return "\n".join(lines)


def _widths(rows: Sequence[Mapping[str, str]], columns: Iterable[str]) -> dict[str, int]:
    return {name: max([len(name), *(len(row[name]) for row in rows)]) for name in columns}


def _fits(columns: Iterable[str], widths: Mapping[str, int], width: int | None) -> bool:
    return width is None or sum(widths[name] + 2 for name in columns) - 2 <= width


def _id(entry: Entry) -> str:
    """The catalog's id of the entry's model."""
    return str(entry["litellm_params"]["model"]).split("/", 1)[1]


def models_document(
    models: Sequence[Model], entries: Sequence[Entry], omitted: Iterable[Omitted] | None, credit: Credit | None = None
) -> dict[str, Any]:
    """What ``--json`` prints: each model's id and names with its entry's ``model_info``; exact prices as numbers.

    ``credit`` is left out where it is unknown.
    """
    by_id: dict[str, dict[str, Any]] = {}
    for entry in entries:
        model_id = _id(entry)
        info = {key: _json_number(value) for key, value in entry["model_info"].items() if key != "id"}
        by_id.setdefault(model_id, {"id": model_id, "model_names": [], "model_info": info})
        by_id[model_id]["model_names"].append(entry["model_name"])
    result: dict[str, Any] = {"models": [by_id[model.id] for model in models]}
    if omitted is not None:
        result["left_out"] = [{"id": item.label, "reason": item.reason} for item in omitted]
    if credit is not None:
        result["credit"] = credit.as_json()
    return result


def _also(names: Sequence[str], most: int | None) -> str:
    text = ", ".join(names) or "-"
    return text if most is None or len(text) <= most else f"{names[0]} +{len(names) - 1}"


def _row(model: Model, entries: Sequence[Entry], most_names: int | None) -> dict[str, str]:
    names = [str(entry["model_name"]) for entry in entries]
    prices = {**entries[0]["model_info"], **entries[0]["litellm_params"]}
    can = [word for flag, word in _ABILITIES if getattr(model.supports, flag)]
    if model.supports.efforts or model.supports.adaptive_thinking or model.supports.max_thinking_budget:
        can.append("reasoning")
    return {
        "MODEL": names[0],
        "ALSO": _also(names[1:], most_names),
        "VENDOR": model.vendor or "-",
        "ENDPOINTS": ",".join(item.removeprefix("/v1").strip("/").split("/")[0] for item in reachable_endpoints(model)),
        "CONTEXT": _thousands(model.limits.window or model.limits.prompt),
        "OUTPUT": _thousands(model.limits.output),
        "CAN": ",".join(can) or "-",
        "$/M IN": _price(prices.get("input_cost_per_token")),
        "$/M OUT": _price(prices.get("output_cost_per_token")),
        "PROMO": _promo(model.promo),
    }


def _price(value: object) -> str:
    """The price in force; without one in the entry, it is LiteLLM's own."""
    return "litellm" if value is None else per_million(Decimal(str(value)))


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


def per_million(usd: Decimal) -> str:
    """USD per million tokens with at least two decimals."""
    text = f"{(usd * 1_000_000).normalize():f}"
    whole, _, rest = text.partition(".")
    return f"{whole}.{rest:0<2}"


def _json_number(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value
