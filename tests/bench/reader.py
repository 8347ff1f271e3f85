"""The hook reads a models file of a thousand models, in a thread beside an event loop: the CPU that it takes, and
the longest that the loop was kept from its turn meanwhile, in CPU of the process (`tests/litellm/idle_cost.py`).
Compared with PyYAML's own loaders on the same bytes, the one in Python, which is what the hook used to read with,
and the one in C. The least of three.
"""

from __future__ import annotations

from tests.litellm.idle_cost import reader

from .figures import Figure, exponent

SIZES = (10, 100, 1000)
PYTHON, C = "PyYAML in Python", "PyYAML in C"


def measure(left_out: list[str]) -> list[Figure]:
    found = {size: reader(size) for size in SIZES}
    large = found[max(SIZES)]

    def milliseconds(what: str) -> dict[str, tuple[float, ...]]:
        return {name: (1000 * large[f"{way}_{what}_s"],) for name, way in ((PYTHON, "python"), (C, "libyaml"))}

    growth = {size: seen["hook_cpu_s"] for size, seen in found.items()}
    return [
        Figure("CPU", "ms", (1000 * large["hook_cpu_s"],), milliseconds("cpu"), ratios={PYTHON: 1 / 3}),
        Figure("the loop's longest wait", "ms", (1000 * large["hook_block_s"],), milliseconds("block"), most=20),
        Figure("exponent of CPU, 10 to 1,000 models", "", (exponent(growth),), most=1.1),
    ]
