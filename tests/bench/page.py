"""docs/performance.md, written from the last two runs of each row. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .figures import Figure, number, read, spread

HEAD = """\
# Performance

Written by `scripts/bench.py` from the last two runs of each row; edit the measurements (`tests/bench`), not this page.
Each cell is the median, with the least and the most of all repeats behind it. CPU is user and system time of all
threads; a ratio is that of the medians, of the later run. What was missed stands here as what was reached does.

{machines}

```console
$ scripts/bench.py              # everything, half an hour; needs the environments that scripts/test.sh makes
$ scripts/bench.py cold file    # some rows
```

## Verdicts

{summary}

## Figures of README

| README says | row, or the test that holds it |
|---|---|
{promised}
"""

PROMISED = {
    "150 ms": "row [reload](#reload); `tests/litellm/test_bench.py` holds it, against the same run unchanged",
    "40 requests an hour": "`tests/unit/service/test_days.py`: a day of every fault, by a clock that the test turns",
    "100 MiB": "`tests/unit/test_memory.py`: the most that `sync` took, of the worst answers that are let through",
    "within five seconds of the": "`tests/containers/test_offline.py`",
    "about three minutes": "`scripts/test.sh` says how long it took; it is no row here",
}
"""What README says in figures (tests/unit/test_bench.py), and where each comes from."""


@dataclass(frozen=True)
class Run:
    """One run of one row: when (ISO 8601), under which load, on which machine."""

    row: str
    at: str
    load: float
    seconds: float
    machine: str
    figures: tuple[Figure, ...]
    left_out: tuple[str, ...] = ()

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Run:
        return cls(**{**stored, "figures": tuple(map(read, stored["figures"])), "left_out": tuple(stored["left_out"])})


def page(rows: Mapping[str, str], runs: Mapping[str, Sequence[Run]]) -> str:
    """The page for ``rows``, each with its text, and the runs of each, oldest first."""
    latest = {name: list(runs.get(name, []))[-2:] for name in rows}
    machines = list(dict.fromkeys(run.machine for found in latest.values() for run in found))
    summary = ["| row | when, and the load of the machine | reached | missed |", "|---|---|---:|---:|"]
    for name, found in latest.items():
        if not found:
            summary.append(f"| [{name}](#{name}) | not run yet | | |")
        for run in found:
            verdicts = [figure.verdict for figure in run.figures]
            when = f"{run.at[:16].replace('T', ' ')}, {run.load:.1f}"
            counts = f"{verdicts.count('reached')} | {verdicts.count('missed')}"
            summary.append(f"| [{name}](#{name}) | {when} | {counts} |")
    head = HEAD.format(
        machines="\n".join(machines),
        summary="\n".join(summary),
        promised="\n".join(f"| {said} | {where} |" for said, where in PROMISED.items()),
    )
    return "\n".join([head, *(_section(name, rows[name], found) for name, found in latest.items())])


def _section(name: str, text: str, runs: Sequence[Run]) -> str:
    if not runs:
        return f"## {name}\n\n{text.strip()}\n\nNot run yet.\n"
    earlier = {figure.what: figure for figure in runs[0].figures} if len(runs) > 1 else {}
    lines = [f"## {name}", "", text.strip(), "", "| | unit | before | now | against, now | to reach | verdict |"]
    lines.append("|---|---|---:|---:|---|---|---|")
    for figure in runs[-1].figures:
        before = earlier.get(figure.what)
        against = "<br>".join(
            f"{other}: {spread(values)}, {number(figure.ratio(other))} ×" for other, values in figure.against.items()
        )
        verdicts = " and ".join(dict.fromkeys([*([before.verdict] if before else []), figure.verdict]))
        cells = (figure.what, figure.unit, spread(before.values) if before else "", spread(figure.values), against)
        lines.append(f"| {' | '.join((*cells, figure.target, verdicts))} |")
    lines += [""] * bool(runs[-1].left_out) + [f"- Not measured: {reason}" for reason in runs[-1].left_out]
    return "\n".join([*lines, ""])
