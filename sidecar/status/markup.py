"""Pieces of HTML. Everything that is not markup itself is escaped here, or by whoever calls. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr

from sidecar.status.sentence import moment

_WIDTH, _HEIGHT, _MARGIN = 300, 80, 6


def shown_time(seconds: float) -> str:
    """A Unix time, which the page's script puts into the words of whoever looks; nothing for 0."""
    if not seconds:
        return ""
    stamp = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return f'<time datetime="{stamp}">{moment(seconds)}</time>'


def linked(text: str) -> str:
    """``text`` with its https addresses as links, and what stands in backticks as code."""
    words = []
    for word in text.split(" "):
        bare = word.rstrip(".,;:)")
        if bare.startswith("https://"):
            words.append(f'<a href={quoteattr(bare)} rel="noreferrer">{escape(bare)}</a>{escape(word[len(bare) :])}')
        else:
            words.append(escape(word))
    parts = " ".join(words).split("`")
    if len(parts) % 2 == 0:
        return "`".join(parts)
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))


def usd(price: float | None) -> str:
    """USD with as many decimals as it has, up to six, two at least."""
    if price is None:
        return ""
    text = f"{price:.6f}".rstrip("0")
    whole, _, rest = text.partition(".")
    return f"${whole}.{rest:0<2}"


def table(
    name: str, caption: str, heads: Sequence[tuple[str, str, str]], rows: Iterable[str], *, sortable: bool = False
) -> str:
    """A table that scrolls by itself where it is too wide; ``heads`` are key, text and class of each column."""
    shown = []
    for key, text, kind in heads:
        inside = f'<button type="button" id="{name}-{key}">{text}</button>' if sortable else text
        shown.append(f'<th scope="col" role="columnheader" data-sort="{key}"{_class(kind)}>{inside}</th>')
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}">'
        f'<table id="{name}" class="cards" role="table"><caption class="soft">{caption}</caption>'
        f'<thead role="rowgroup"><tr role="row">{"".join(shown)}</tr></thead>'
        f'<tbody role="rowgroup">{"".join(rows)}</tbody></table></div>'
    )


def row(head: str, cells: Iterable[str]) -> str:
    """A row of a table: its head, which is a cell's inside, and its cells."""
    return f'<tr role="row"><th scope="row" role="rowheader" class="name">{head}</th>{"".join(cells)}</tr>'


def cell(label: str, text: str, number: float | None = None) -> str:
    """A cell; ``number`` is what it is sorted by."""
    inside = f"<span>{text}</span>" if text else ""
    data = f' data-value="{number:.12g}"' if number is not None else ""
    return f'<td role="cell" data-label="{label}"{data}{_class("number" if data else "")}>{inside}</td>'


def plot(points: Sequence[tuple[float, float]], caption: str, *, steps: bool = True) -> str:
    """A line through (Unix time, value), in ``steps`` where a value holds until the next; nothing for a single point.

    ``caption`` is HTML that says it in words.
    """
    if len(points) < 2:
        return ""
    first, last = points[0][0], points[-1][0]
    highest = max(value for _, value in points) or 1.0
    across, up = (_WIDTH - 2 * _MARGIN) / ((last - first) or 1.0), (_HEIGHT - 2 * _MARGIN) / highest
    path, base = "", _HEIGHT - _MARGIN
    for time, value in points:
        x, y = _MARGIN + (time - first) * across, base - value * up
        path += f"H{x:.1f}V{y:.1f}" if path and steps else f"{'L' if path else 'M'}{x:.1f} {y:.1f}"
    return (
        f'<figure><svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<line x1="0" y1="{base}" x2="{_WIDTH}" y2="{base}"></line><path d="{path}"></path></svg>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
