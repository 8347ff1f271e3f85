"""The page that is made of what was seen: docs/faults.md."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from tests.support.paths import ROOT

from .stage import Fault, Seen

PAGE = ROOT / "docs" / "faults.md"
BUILT = ROOT / "build" / "faults.md"

TEXT = """\
# What breaks, and what happens then

Each row is a fault that the tests put on the real service, the real hook and the real commands; the page is written by
the tests (`tests/faults`), which fail where it differs from what they see. A clock that the tests turn lets it last an
hour (ten minutes where there is nothing to connect to), and in a second run {held:.0f} seconds, after which the
recovery is counted. Requests are those of the service (or the command) and, after the plus sign, of the hook in
LiteLLM. The number in brackets leads to the hint below, which always follows the message. Where seconds are **bold**,
the service has been told to wait or refused, and where they are –, somebody has to run the command again.

{rows} faults. Recovery (of those that fail, and are neither): median {median} s, longest {longest} s. Most requests in
an hour: {most}.

| column | |
|---|---|
| before, after | what is published, and whether LiteLLM has a valid Copilot token: before, and after an hour |
| s | seconds from the end of the fault to the next success of service and hook, whichever is later |
| minute, hour | requests in the first minute and hour |
| message | what the service logs and the command prints; from the hook what is in LiteLLM's log |
| exit | of a one-shot command; then what `/livez` and `/readyz` of the service answer |
{tables}
## Hints

{hints}
"""
HEAD = "| fault | before | after | s | minute | hour | message | exit |\n|---|---|---|---|---|---|---|---|"


@dataclass(frozen=True)
class Row:
    """What was seen of one fault: by whom it was met first, and by the hook, if it meets the hook."""

    fault: Fault
    held: Seen
    whole: Seen
    hook_held: Seen | None = None
    hook_whole: Seen | None = None

    @property
    def recovered(self) -> float | None:
        times = [seen.recovered for seen in (self.held, self.hook_held) if seen]
        return None if None in times else max(filter(lambda time: time is not None, times))  # type: ignore[type-var]

    def requests(self, seconds: float) -> list[int]:
        return [seen.within(seconds) for seen in (self.whole, self.hook_whole) if seen]


def recoveries(rows: Iterable[Row]) -> list[float]:
    """Seconds to the recovery from what makes a sync fail, and neither asks for a wait nor refuses."""
    found = (row.recovered for row in rows if row.fault.exit and not row.fault.waits)
    return [time for time in found if time is not None]


def lasting(text: str) -> list[str]:
    """The page without the figures, which the jitter and a busy machine may change."""
    rows = [line.split(" | ") for line in re.sub(r"Recovery \([^|]*?\n\n", "", text).splitlines()]
    return [" | ".join(row[:3] + row[6:] if len(row) == 8 else row) for row in rows]


class Page:
    """All rows, in the order of the catalogue."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows, self.hints = rows, dict[str, int]()

    def text(self) -> str:
        groups = dict.fromkeys(row.fault.group for row in self.rows)
        tables = "".join(f"\n## {group[0].upper()}{group[1:]}\n\n{self._table(group)}\n" for group in groups)
        prompt = recoveries(self.rows)
        return TEXT.format(
            held=15,
            rows=len(self.rows),
            median=f"{statistics.median(prompt):.1f}",
            longest=f"{max(prompt):.1f}",
            most=max(sum(row.requests(3600)) for row in self.rows if row.whole.health),
            tables=tables,
            hints="\n".join(f"{number}. {hint}" for hint, number in self.hints.items()),
        )

    def _table(self, group: str) -> str:
        return "\n".join([HEAD, *(self._row(row) for row in self.rows if row.fault.group == group)])

    def _row(self, row: Row) -> str:
        seen, hook = row.whole, row.hook_whole
        message = seen.message
        if seen.hint:
            message += f" [{self.hints.setdefault(seen.hint, len(self.hints) + 1)}]"
        if hook and hook.message:
            message += f"{' · ' if message else ''}hook: {hook.message}"
        time = "–" if row.recovered is None else f"{row.recovered:.0f}"
        cells = [
            row.fault.name,
            ", ".join(filter(None, (seen.before, hook and hook.before))),
            ", ".join(filter(None, (seen.after, hook and hook.after))),
            f"**{time}**" if row.fault.waits else time,
            *(" + ".join(map(str, row.requests(seconds))) for seconds in (60, 3600)),
            message,
            f"{seen.exit}{seen.health and f', {seen.health}'}",
        ]
        return f"| {' | '.join(cell.replace('|', '¦') for cell in cells)} |"
