"""What the hook costs a LiteLLM that nobody asks: two of them run at the same time on equal files, one without the
hook, and what is counted is the difference, five times a minute, in CPU of all threads by the kernel's
scheduler (`tests/litellm/idle_cost.py`). Memory is that of the same two: PSS, and the pages that are a process's
own. It may be less than nothing, as the hook gives back what LiteLLM has freed while it loaded.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.litellm.idle_cost import idle

from .figures import Figure
from .models import USUAL

SIZES = (USUAL, 1000)
SECONDS, WINDOWS, SETTLE = 60.0, 5, 20.0


def measure(left_out: list[str]) -> list[Figure]:
    with ThreadPoolExecutor(len(SIZES)) as pool:
        found = list(pool.map(lambda size: idle(size, SECONDS, WINDOWS, SETTLE), SIZES))
    figures = []
    for seen in found:
        hours = tuple(seen[f"cpu_s_per_hour{which}"] for which in ("_min", "", "_max"))
        without = {"LiteLLM without it": (seen["without_s_per_hour"],)}
        figures.append(Figure(f"CPU an hour, {seen['models']:,} models", "s", hours, without, most=1))
        for name, kind in (("PSS", "pss_mb"), ("own memory", "private_dirty_mb")):
            ours, theirs = seen[kind]
            figures.append(
                Figure(
                    f"{name}, {seen['models']:,} models",
                    "MiB",
                    (ours - theirs,),
                    {"LiteLLM without it": (theirs,)},
                    most=2,
                )
            )
    return figures
