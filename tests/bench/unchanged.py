"""A sync in the service that finds nothing new, of 42 models. The real service with its port; only its clock jumps
an interval ahead after each sync (`tests/bench/hours.py`). CPU is the mean of a hundred syncs, five times; all
requests to GitHub are counted by the stand-in, at the default interval of an hour, and at one of ten minutes, within
which a Copilot token lives for three syncs. The look at the account's credit is one more, which COPILOT_QUOTA=false
saves. A file counts as written if its inode or content is another one; the record of absences
only gets the time of the sync. Asked without TLS, as in the row before.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.support.github_paths import CREDIT
from tests.support.ports import free_port

from .account import Account, account
from .figures import Figure, exponent
from .models import USUAL
from .processes import child, memory_in

SYNCS, TIMES = 100, 5
SIZES = (10, 100, 1000)
HOUR, TEN_MINUTES = 3600, 600


def measure(left_out: list[str]) -> list[Figure]:
    with account() as one:
        found = [_syncs(one, SYNCS, HOUR) for _ in range(TIMES)]
        requests = {interval: _requests(one, interval) for interval in (HOUR, TEN_MINUTES)}
    grown = {}
    for size in SIZES:
        with account(size) as one:
            grown[size] = _syncs(one, 20, HOUR)
    return [
        Figure(f"CPU of a sync, {USUAL} models", "ms", tuple(1000 * each["cpu"] for each in found), most=10),
        Figure(f"files written in {SYNCS} syncs", "", tuple(each["written"] for each in found), most=0),
        Figure("requests a sync, every hour", "", (requests[HOUR]["sync"],), most=2),
        Figure("requests a sync, every ten minutes", "", (requests[TEN_MINUTES]["sync"],), most=1.5),
        Figure("looks at the credit a sync, every hour", "", (requests[HOUR]["credit"],)),
        *(Figure(f"CPU of a sync, {size:,} models", "ms", (1000 * seen["cpu"],)) for size, seen in grown.items()),
        Figure("exponent of CPU", "", (exponent({size: seen["cpu"] for size, seen in grown.items()}),), most=1.1),
        *(
            Figure(f"RSS meanwhile, {size:,} models", "MB", (memory_in(seen["smaps"]).rss,))
            for size, seen in grown.items()
        ),
    ]


def _syncs(one: Account, count: int, interval: int) -> dict[str, Any]:
    return child("hours", count, interval, environ={**one.environ, "COPILOT_HEALTH_PORT": str(free_port())})


def _requests(one: Account, interval: int) -> dict[str, Any]:
    """Requests a sync, by whether they are the sync's or the look at the credit."""
    before = Counter(one.github.state()["counts"])
    found = _syncs(one, SYNCS, interval)
    sent = Counter(one.github.state()["counts"]) - before
    credit = sent.pop(CREDIT, 0)
    return {"sync": sum(sent.values()) / found["syncs"], "credit": credit / found["syncs"]}
