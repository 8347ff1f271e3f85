"""A sync that somebody asks for, instead of waiting for the next one."""

from __future__ import annotations

import math
import threading

from sidecar.litellm_hot_reload.clock import elapsed

PAUSE = 60.0
"""Seconds within which nobody can ask twice."""


class Trigger:
    """``pulled`` tells the loop that a sync was asked for; the loop takes that back when it begins one."""

    def __init__(self) -> None:
        self.pulled = False
        self._last = -math.inf
        self._lock = threading.RLock()  # a signal may interrupt the handler of the one before

    def pull(self) -> bool:
        """Ask for a sync, from any thread or a signal's handler; False if somebody has within PAUSE."""
        with self._lock:
            now = elapsed()
            if now - self._last < PAUSE:
                return False
            self._last, self.pulled = now, True
            return True
