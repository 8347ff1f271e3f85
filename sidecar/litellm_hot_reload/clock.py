"""Elapsed time, which also passes while the machine sleeps."""

from __future__ import annotations

import time

_ID = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # macOS has no boot time clock


def elapsed() -> float:
    """Seconds since some moment in the past. No change of the date affects it; a laptop's sleep counts."""
    return time.clock_gettime(_ID)
