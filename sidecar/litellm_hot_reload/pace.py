"""When GitHub is asked again after it failed: one rule for the sidecar and the hook, and their limits for an hour.

Both together send no more than 40 requests an hour for an installation, whatever goes wrong, logins aside.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable

HOUR = 3600.0
SIDECAR_LIMIT = 16
"""Requests an hour that failing syncs may cost, plus one, as a sync makes two. The interval's own are not limited."""
HOOK_LIMIT = 23
"""Exchanges an hour, for all workers on a machine."""
FOR_LOGINS = 2
"""Requests that a new login may cost beyond each limit: whoever logs in again after bad hours does not have to wait."""
FIRST_WAIT = 1.0
GROWTH = 1.6
FIRST_WAIT_REFUSED = 10.0
GROWTH_REFUSED = 2.0
LONGEST_WAIT_REFUSED = 900.0


def wait_after(failures: int, longest: float, *, refused: bool = False, asked: float | None = None) -> float:
    """Seconds until the next attempt, after ``failures`` (1 or more) in a row.

    Soon at first, because most failures pass, and ever more seldom up to ``longest``. If GitHub has ``refused`` the
    login, less soon: that passes too, when it comes from an incident of GitHub's. No sooner than GitHub has ``asked``
    for. A tenth of jitter keeps installations apart.
    """
    first, growth = (FIRST_WAIT_REFUSED, GROWTH_REFUSED) if refused else (FIRST_WAIT, GROWTH)
    limit = LONGEST_WAIT_REFUSED if refused else longest
    growing: float = min(first * growth ** min(failures - 1, 30), limit) * random.uniform(0.9, 1.1)
    return growing if asked is None else max(growing, asked * random.uniform(1.0, 1.1))


class Budget:
    """What has been sent within the last hour, of at most ``limit``. Times are seconds of any one clock."""

    def __init__(self, limit: int, spent: Iterable[float] = ()) -> None:
        self._limit, self._spent = limit, deque(spent, limit + FOR_LOGINS)

    def spend(self, now: float, requests: int = 1) -> None:
        """Note that requests were sent."""
        self._spent.extend([now] * requests)

    def wait(self, now: float, *, new_login: bool = False) -> float:
        """Seconds until one more may be sent; 0.0 if that is now."""
        excess = len(self._spent) - (self._limit + FOR_LOGINS * new_login)
        if excess < 0:
            return 0.0
        # A time in the future is from before the clock was set back.
        return max(0.0, self._spent[excess] + HOUR - now) if self._spent[excess] <= now else 0.0

    def left(self, now: float) -> int:
        """How many more may be sent."""
        return max(0, self._limit - sum(now - HOUR < time <= now for time in self._spent))

    def spent(self) -> list[float]:
        """The times of the latest requests: all that count."""
        return list(self._spent)
