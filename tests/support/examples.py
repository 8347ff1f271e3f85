"""How many examples hypothesis tries: few in everyday runs, the same each time; many by command."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

FACTOR = int(os.environ.get("COPILOT_TEST_EXAMPLES", "1"))


def examples(number: int) -> settings:
    """``number`` examples, or COPILOT_TEST_EXAMPLES times as many, which are then different ones each time."""
    return settings(
        max_examples=number * FACTOR,
        deadline=None,
        derandomize=FACTOR == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
