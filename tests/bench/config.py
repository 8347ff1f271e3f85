"""One changed price in a LiteLLM config of 20,000 lines: the update in place that `sync` makes with CONFIG_FILE,
file, lock, backup, check of the result and all, in a process of its own. Half of the config are generated entries,
half are a person's, with comments. Compared with what loses the comments: PyYAML loading the same text and dumping
it, with the pair in C (libyaml) and the pair in Python. Memory is the most above what there was before; the config
is made in another process, whose memory nobody can use again.
"""

from __future__ import annotations

from .figures import Figure, exponent
from .processes import child

LINES = 20_000
SIZES = (10, 100, 1000)
TIMES = {"ours": 3, "C": 3, "Python": 1}
C, PYTHON = "PyYAML in C", "PyYAML in Python"


def measure(left_out: list[str]) -> list[Figure]:
    found = {who: [child("edit", who, LINES, "lines") for _ in range(times)] for who, times in TIMES.items()}
    growth = {size: child("edit", "ours", size, "entries")["cpu"] for size in SIZES}
    of = {
        what: {who: tuple(each[what] for each in taken) for who, taken in found.items()}
        for what in ("cpu", "megabytes")
    }
    return [
        *(
            Figure(
                f"{name}, {LINES:,} lines",
                unit,
                of[what]["ours"],
                {C: of[what]["C"], PYTHON: of[what]["Python"]},
                ratios={C: most},
            )
            for name, unit, what, most in (("CPU", "s", "cpu", 3), ("memory", "MB", "megabytes", 5))
        ),
        *(Figure(f"CPU, {size:,} generated entries", "s", (taken,)) for size, taken in growth.items()),
        Figure(
            "exponent, 100 entries and more", "", (exponent({n: s for n, s in growth.items() if n >= 100}),), most=1.1
        ),
    ]
