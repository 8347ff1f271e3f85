"""Planned misbehaviour: which request is to fail, and how. ``server`` carries it out."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

KINDS = (None, "reset", "hang", "truncate", "garbage", "slow", "redirect")


@dataclass
class Fault:
    """One planned misbehaviour on a path; ``every=2`` hits each second matching request."""

    path: str
    status: int | None = None
    times: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str | bytes | dict[str, Any] | None = None
    delay: float = 0.0
    how: str | None = None
    location: str | None = None
    raw: bytes | None = None
    again: bytes = b""
    every: int = 1
    seen: int = 0
    released: threading.Event = field(default_factory=threading.Event, repr=False)

    def hits(self, path: str) -> bool:
        """Whether this fault is for this request; counts it."""
        if self.path not in ("*", path) or self.times == 0:
            return False
        self.seen += 1
        if self.seen % self.every:
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def snapshot(self) -> dict[str, Any]:
        """The plan as JSON-able data; bytes become text."""
        plan = {name: value for name, value in vars(self).items() if name != "released"}
        return {name: value.decode("latin-1") if isinstance(value, bytes) else value for name, value in plan.items()}


class Faults:
    """The part of ``State`` that holds the faults."""

    lock: threading.RLock

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def fail(self, path: str, **how: Any) -> None:
        """Misbehave on ``path`` ("*" is every one) from now on; the newest fault counts.

        ``status``, ``headers``, ``body`` make a canned answer. ``how`` is "reset" (the connection),
        "hang" (no answer before ``heal``), "truncate" (half the body), "garbage" (not JSON), "slow"
        (in small pieces, ``delay`` seconds apart) or "redirect" (to ``location``). ``delay`` alone is
        a right but late answer. ``times`` ends it after n hits, ``every`` hits each n-th request.
        """
        if how.get("how") not in KINDS:
            raise ValueError(f"no such fault: {how['how']}")
        with self.lock:
            self._faults.insert(0, Fault(path, **how))

    def heal(self, path: str | None = None) -> None:
        """Forget the faults of ``path``, or all; requests that hang are let go."""
        with self.lock:
            healed = [f for f in self._faults if path in (None, f.path)]
            self._faults = [f for f in self._faults if f not in healed]
        for fault in healed:
            fault.released.set()

    def fault_for(self, path: str) -> Fault | None:
        """The fault to apply to this request; counts it."""
        with self.lock:
            return next((f for f in self._faults if f.hits(path)), None)
