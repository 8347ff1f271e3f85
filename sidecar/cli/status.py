"""``status``."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from textwrap import wrap
from types import SimpleNamespace

from sidecar.cli.output import say
from sidecar.colours import Paint, painter
from sidecar.commands import as_called
from sidecar.service.overview import Overview, overview
from sidecar.settings import Settings
from sidecar.status.sentence import moment
from sidecar.text import printable

_MARGIN = " " * 13


def command(arguments: SimpleNamespace, settings: Settings) -> int:
    """Show the overview; its exit code is that of the first trouble."""
    found = overview(settings)
    if arguments.json:
        say(json.dumps(_document(found), indent=2))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
        say("\n".join(_lines(found, time.time(), width, painter(sys.stdout, settings))))
    return found.exit_code


def _document(found: Overview) -> dict[str, object]:
    return {
        "target": found.target,
        "token": found.token or None,
        "account": found.account or None,
        "plan": found.plan or None,
        "service": found.service,
        "last_sync": found.last_sync,
        "last_change": found.last_change,
        "models": [{"id": row["id"], "names": row["names"]} for row in found.models],
        "leaving": [asdict(item) for item in found.leaving],
        "in_step": found.in_step,
        "troubles": [asdict(trouble) for trouble in found.troubles],
    }


def _lines(found: Overview, now: float, width: int, paint: Paint) -> Iterator[str]:
    plan = f" ({found.plan})" if found.plan else ""
    who = f"{found.account or 'unknown account'}{plan}, {found.token}" if found.token else "nobody"
    yield f"login        {who}"
    yield f"service      {_service(found)}"
    yield f"last sync    {_ago(found.last_sync, now)}"
    yield f"last change  {_ago(found.last_change, now)}"
    yield f"models       {len(found.models)} in {found.target}"
    for row in found.models:
        yield from wrap(
            ", ".join(row["names"]),
            width,
            break_long_words=False,
            break_on_hyphens=False,
            initial_indent=_MARGIN,
            subsequent_indent=f"{_MARGIN}  ",
        )
    for item in found.leaving:
        yield f"leaving      {item.id} (absent {item.absent} of {item.of})"
    if found.litellm:
        yield f"LiteLLM      {paint(found.litellm, 'good' if found.in_step else 'bad')}"
    for trouble in found.troubles:
        yield paint(f"{'trouble' if trouble.code else 'note':<11}  {printable(trouble.text, 600)}", "bad")
        if trouble.fix:
            yield f"{_MARGIN}fix: {as_called(printable(trouble.fix, 600))}"


def _service(found: Overview) -> str:
    if found.service is None:
        return "none keeps this file here; what follows is from what is on disk"
    return printable(found.service.get("text"), 600)


def _ago(then: float | None, now: float) -> str:
    if then is None:
        return "not known"
    minutes = max(0, int(now - then)) // 60
    ago = f"{minutes} min" if minutes < 120 else f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} days"
    return f"{moment(then)}, {ago} ago"
