"""What the hook costs a LiteLLM that nobody asks, in CPU of its two threads, by the kernel's scheduler: while there is
nothing to do it leaves the event loop alone. Three minutes. Two LiteLLMs run at the same time on equal files,
one without the hook (`tests/litellm/idle_cost.py`): the difference between them stands there too, most of which is
LiteLLM's own doing, more in the one or in the other. Memory is that of the same two: PSS, and the pages that are a
process's own. It may be less than nothing, as the hook gives back what LiteLLM has freed while it loaded.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.litellm.idle_cost import idle

from .figures import Figure
from .models import USUAL

SIZES = (USUAL, 1000)
SECONDS, WINDOWS, SETTLE = 60.0, 3, 20.0


def measure(left_out: list[str]) -> list[Figure]:
    with ThreadPoolExecutor(len(SIZES)) as pool:
        found = list(pool.map(lambda size: idle(size, SECONDS, WINDOWS, SETTLE), SIZES))
    figures = []
    for seen in found:
        models, theirs = f"{seen['models']:,} models", {"LiteLLM without it": seen["without_s_per_hour"]}
        figures += [
            Figure(f"CPU an hour, {models}", "s", seen["own_s_per_hour"], theirs, most=1),
            Figure(f"CPU an hour, difference of the two, {models}", "s", seen["difference_s_per_hour"]),
        ]
        for name, kind in (("PSS", "pss_mb"), ("own memory", "private_dirty_mb")):
            ours, plain = seen[kind]
            figures.append(
                Figure(
                    f"{name}, {models}",
                    "MiB",
                    (ours - plain,),
                    {"LiteLLM without it": (plain,)},
                    most=2,
                )
            )
    return figures
