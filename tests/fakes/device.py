"""GitHub's device flow: codes that wait for a person, and the rules of polling.

Error names and the rule "too fast adds 5 seconds" are those of GitHub's documentation on authorizing
OAuth apps. Not thread-safe; ``State`` holds the lock.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

from .marked import marked

MODES = ("pending", "approve", "deny", "expire", "disabled")
# A client that waits for exactly the interval may seem early by a timer's grain.
TOLERANCE = 0.1


@dataclass
class DeviceCode:
    """One login that somebody has begun; ``outcome`` is a mode, or "used"."""

    device_code: str
    user_code: str
    client_id: str
    issued: float
    interval: float
    outcome: str
    last_poll: float | None = None


class DeviceFlow:
    """All codes and how the next ones behave; see ``State.device_flow`` for the settings."""

    def __init__(self) -> None:
        self.mode = "pending"
        self.approve_after: float | None = None
        self.interval: float = 5
        self.expires_in: float = 900
        self.slow_down = 0
        self.slow_down_step: float = 5
        self.user_code = self.verification_uri = ""  # others than by chance, and than the stand-in's own
        self.codes: dict[str, DeviceCode] = {}

    def configure(self, **changes: Any) -> None:
        for name, value in changes.items():
            if name == "codes" or name not in vars(self):
                raise ValueError(f"no such setting of the device flow: {name}")
            if name == "mode" and value not in MODES:
                raise ValueError(f"no such mode of the device flow: {value}")
            setattr(self, name, value)

    def start(self, client_id: str) -> DeviceCode:
        letters = "".join(secrets.choice("BCDFGHJKLMNPQRSTVWXZ0123456789") for _ in range(8))
        code = DeviceCode(
            device_code=marked("d"),
            user_code=self.user_code or f"{letters[:4]}-{letters[4:]}",
            client_id=client_id,
            issued=time.monotonic(),
            interval=self.interval,
            outcome=self.mode,
        )
        self.codes[code.device_code] = code
        return code

    def settle(self, outcome: str) -> int:
        """Decide every code that still waits; returns how many."""
        waiting = [c for c in self.codes.values() if c.outcome == "pending"]
        for code in waiting:
            code.outcome = outcome
        return len(waiting)

    def poll(self, device_code: Any, client_id: str) -> tuple[str, DeviceCode | None]:
        """("", code) once approved, else GitHub's name of the error and the code if it is known."""
        code = self.codes.get(device_code)
        if self.mode == "disabled":
            return "device_flow_disabled", code
        if code is None or code.outcome == "used" or code.client_id != client_id:
            return "incorrect_device_code", None
        now = time.monotonic()
        if code.outcome == "expire" or now - code.issued > self.expires_in:
            return "expired_token", code
        too_fast = code.last_poll is not None and now - code.last_poll < code.interval - TOLERANCE
        code.last_poll = now
        if too_fast or self.slow_down > 0:
            self.slow_down = max(self.slow_down - 1, 0)
            code.interval += self.slow_down_step
            return "slow_down", code
        if code.outcome == "deny":
            return "access_denied", code
        due = self.approve_after is not None and now - code.issued >= self.approve_after
        if code.outcome == "pending" and not due:
            return "authorization_pending", code
        code.outcome = "used"
        return "", code

    def snapshot(self) -> list[dict[str, Any]]:
        return [{"user_code": c.user_code, "outcome": c.outcome, "interval": c.interval} for c in self.codes.values()]
