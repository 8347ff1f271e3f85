"""The sections of the status page that are tables and plots: models, workers, history. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from xml.sax.saxutils import escape

from sidecar.models.history import Event
from sidecar.models.history_text import describe
from sidecar.models.view import Row
from sidecar.status.markup import cell, plot, row, shown_time, table, usd
from sidecar.status.state import View
from sidecar.status.workers import WorkerView
from sidecar.text import printable

_MODEL_HEADS = (
    ("model", "Model", ""),
    ("vendor", "Vendor", ""),
    ("endpoints", "Endpoints", ""),
    ("context", "Context", "number"),
    ("output", "Output", "number"),
    ("abilities", "Abilities", ""),
    ("in", "In", "number"),
    ("out", "Out", "number"),
    ("cached", "Cached", "number"),
    ("long", "Long context", ""),
    ("retires", "Retires", ""),
)
_RARE = {"long": "long_context", "retires": "retires"}
"""Columns that are left out where no model has anything to say in them."""
_WORKER_HEADS = (
    ("worker", "Worker", ""),
    ("version", "LiteLLM", ""),
    ("state", "State", ""),
    ("entries", "Entries", "number"),
    ("follows", "Follows by", ""),
    ("guarded", "Guards", ""),
    ("token", "Copilot token until", ""),
    ("heard", "Last report", ""),
)
_SPEND_HEADS = (
    ("model", "Model", ""),
    ("billed", "Billed", "number"),
    ("computed", "Computed", "number"),
    ("drift", "Drift", "number"),
)
_HISTORY_HEADS = (("time", "Time", ""), ("model", "Model", ""), ("change", "Change", ""))
_PRICES = (("input", "In"), ("output", "Out"), ("cached", "Cached"))
_PLOTTED = {"model_info.input_cost_per_token": "input", "model_info.output_cost_per_token": "output"}
MAX_HISTORY = 100
"""Events in the table; ``/api/changes`` has more."""
MAX_PRICE_PLOTS = 20


def models(view: View) -> str:
    """What LiteLLM is given, and what is left out."""
    found = "<p class=soft>None yet.</p>"
    if view.rows:
        absent = {key for key, name in _RARE.items() if not any(item[name] for item in view.rows)}
        heads = [head for head in _MODEL_HEADS if head[0] not in absent]
        rows = (_model(item, absent) for item in view.rows)
        found = table("table", "Prices in USD per million tokens", heads, rows, sortable=True)
    if view.omitted:
        items = "".join(
            f"<li>{escape(item.label)} <span class=soft>{escape(item.reason)}</span></li>" for item in view.omitted
        )
        found += (
            f'<details id="omitted"><summary>{len(view.omitted)} left out, and why</summary>'
            f'<ul class="plain">{items}</ul></details>'
        )
    return found


def _model(item: Row, absent: Collection[str]) -> str:
    prices, long = item["prices"], item["long_context"]
    names = "".join(f"<small>{escape(name)}</small>" for name in item["names"])
    preview = ' <span class="tag">preview</span>' if item["preview"] else ""
    longer = ""
    if long is not None:
        parts = [f"{label.lower()} {usd(long[key])}" for key, label in _PRICES if key in long]
        longer = f"above {_tokens(int(long['above']))}: {', '.join(parts)}"
    rare = {"long": cell("Long context", longer), "retires": cell("Retires", escape(item["retires"] or ""))}
    return row(
        f"<span>{escape(item['display_name'] or item['id'])}{preview}{names}</span>",
        [
            cell("Vendor", escape(item["vendor"])),
            cell("Endpoints", escape(", ".join(_short(one) for one in item["endpoints"]))),
            cell("Context", _tokens(item["context"]), item["context"]),
            cell("Output", _tokens(item["output"]), item["output"]),
            cell("Abilities", "".join(map(_ability, item["abilities"]))),
            *(cell(label, usd(prices.get(key)), prices.get(key)) for key, label in _PRICES),
            *(shown for key, shown in rare.items() if key not in absent),
        ],
    )


def _ability(word: str) -> str:
    return f'<span class="ability"><svg aria-hidden="true"><use href="#i-{word}"></use></svg>{word}</span> '


def _short(endpoint: str) -> str:
    return endpoint.removeprefix("/v1/").split("/")[0]


def _tokens(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def workers(view: View) -> str:
    """What each LiteLLM worker says that it serves, how soon changes were served, and what was billed."""
    if not view.workers and not view.last_heard:
        return ""
    shown = "<p>None has reported lately.</p>"
    if view.workers:
        shown = table("workers", "As they report themselves", _WORKER_HEADS, map(_worker, view.workers))
    return f"<h2>LiteLLM's workers</h2>{shown}{_served(view.served)}{_spend(view)}"


def _worker(worker: WorkerView) -> str:
    since = worker.out_of_step_since
    state = "in step" if since is None else f"<strong>out of step</strong> since {shown_time(since)}"
    problems = [worker.problem] if worker.problem else []
    problems += [f"refuses {name}: {reason}" for name, reason in worker.refused]
    more = worker.refusals - len(worker.refused)
    problems += [f"and {more} more"] if more > 0 else []
    details = "".join(f"<small>{escape(text)}</small>" for text in problems)
    unguarded = [*worker.unguarded, *worker.unknown]
    guards = escape(", ".join(worker.guarded)) + (f"; not {escape(', '.join(unguarded))}" if unguarded else "")
    return row(
        str(worker.worker),
        [
            cell("LiteLLM", escape(worker.version)),
            cell("State", f"{state}{details}"),
            cell("Entries", str(worker.entries), worker.entries),
            cell("Follows by", escape(worker.follows)),
            cell("Guards", guards),
            cell("Copilot token until", shown_time(worker.token_end or 0.0)),
            cell("Last report", shown_time(worker.heard)),
        ],
    )


def _served(served: Sequence[tuple[float, float]]) -> str:
    if not served:
        return ""
    last = f"The last change was served by every worker {served[-1][1]:.1f} s after it was published."
    return f'<p>{last}</p><div class="plots">{plot(served, "Seconds from published to served", steps=False)}</div>'


def _spend(view: View) -> str:
    if not view.spend:
        return ""
    names = sorted({model for model, _ in view.spend})
    return table(
        "spend",
        "USD since the sidecar started, of the answers that say what they cost",
        _SPEND_HEADS,
        (_drift(view.spend, name) for name in names),
    )


def _drift(spend: Mapping[tuple[str, str], float], name: str) -> str:
    billed, computed = (spend.get((name, source), 0.0) for source in ("billed", "computed"))
    drift = f"{(computed - billed) / billed:+.1%}" if billed else ""
    return row(
        escape(name),
        [
            cell("Billed", usd(billed), billed),
            cell("Computed", usd(computed), computed),
            cell("Drift", drift, (computed - billed) / billed if billed else None),
        ],
    )


def history(view: View) -> str:
    """What has changed, the latest first, and how number and prices came to be what they are."""
    if not view.events:
        return ""
    rows = [
        row(
            shown_time(_unix(event)),
            [cell("Model", escape(event.model)), cell("Change", escape(printable(describe(event), 600)))],
        )
        for event in list(view.events)[: -MAX_HISTORY - 1 : -1]
    ]
    plots = plot(_counts(view), f"Number of models: {len(view.rows)} now")
    return (
        f'<h2>Changes</h2><div class="plots">{plots}</div>{_price_plots(view)}'
        f"{table('history', f'The latest {len(rows)}', _HISTORY_HEADS, rows)}"
    )


def _unix(event: Event) -> float:
    return datetime.fromisoformat(event.time).timestamp()


def _counts(view: View) -> list[tuple[float, float]]:
    """The number of models over time, reckoned back from what it is now."""
    count, points = len(view.rows), [(view.now, float(len(view.rows)))]
    for event in reversed(view.events):
        if step := {"added": 1, "removed": -1}.get(event.kind):
            points.append((_unix(event), float(count)))
            count = max(count - step, 0)
    return points[::-1] if len(points) > 1 else []


def _price_plots(view: View) -> str:
    """Each price that has changed, to be opened."""
    found: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in view.events:
        if event.path in _PLOTTED:
            found[event.model, event.path].append(event)
    shown = [_price_plot(events, view) for events in found.values()][-MAX_PRICE_PLOTS:]
    figures = "".join(shown)
    if not figures:
        return ""
    return f'<details id="prices"><summary>Prices over time</summary><div class="plots">{figures}</div></details>'


def _price_plot(events: Sequence[Event], view: View) -> str:
    """From the beginning of the history until now."""
    values = [(_unix(view.events[0]), events[0].old), *((_unix(event), event.new) for event in events)]
    values.append((view.now, events[-1].new))
    points = [(time, value * 1e6) for time, value in values if isinstance(value, (int, float))]
    now = f"{_PLOTTED[events[0].path]}: {usd(points[-1][1])} per million now" if points else ""
    return plot(points, f"{escape(events[0].model)}, {now}")
