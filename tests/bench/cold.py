"""A sync from the start of the program to the published file: `python -m sidecar sync`, and what `run` does first.
Seven runs each, with 42 models and an empty directory; GitHub is a stand-in on loopback, in a process of its own.
Compared with the script that one would write with LiteLLM at hand (`tests/bench/with_litellm.py`), which asks for
the same catalog and writes a models file of it, and with a Python that imports the four packages and ends. All ask
without TLS: with it, each request reads the certificates that are trusted as a rule, which is 40 ms of CPU more.
"""

from __future__ import annotations

import shutil

from .account import account
from .figures import Figure, exponent
from .models import USUAL
from .processes import PACKAGES, Cost, cost, costs

TIMES = 7
SIZES = (10, 100, 1000)


def measure(left_out: list[str]) -> list[Figure]:
    bare = costs(TIMES, "-c", PACKAGES)
    with account() as one:

        def synced() -> Cost:
            shutil.rmtree(one.shared)
            one.shared.mkdir()
            done = cost("-m", "sidecar", "sync", **one.environ)
            assert one.models_file.read_text().count("model_name") >= USUAL
            return done

        ours = [synced() for _ in range(TIMES + 1)][1:]
        theirs = costs(3, "-m", "tests.bench.with_litellm", str(one.shared / "theirs.yaml"), **one.environ)
        assert (one.shared / "theirs.yaml").read_text().count("model_name") == USUAL
        again = costs(TIMES, "-m", "sidecar", "sync", **one.environ)
    sizes = {}
    for size in SIZES:
        with account(size) as one:
            sizes[size] = cost("-m", "sidecar", "sync", **one.environ).cpu
    growth = {size: taken - min(_cpu(bare)) for size, taken in sizes.items()}
    return [
        Figure(
            "CPU",
            "s",
            _cpu(ours),
            {"with LiteLLM": _cpu(theirs), "bare imports": _cpu(bare)},
            most=0.35,
            ratios={"with LiteLLM": 0.1},
        ),
        Figure(
            "from start to end",
            "s",
            tuple(one.wall for one in ours),
            {"with LiteLLM": tuple(one.wall for one in theirs), "bare imports": tuple(one.wall for one in bare)},
            ratios={"with LiteLLM": 0.1},
        ),
        Figure("CPU, when nothing has changed", "s", _cpu(again), {"the first sync": _cpu(ours)}),
        *(Figure(f"CPU, {size:,} models", "s", (taken,)) for size, taken in sizes.items()),
        Figure("exponent of CPU above the bare imports", "", (exponent(growth),)),
    ]


def _cpu(found: list[Cost]) -> tuple[float, ...]:
    return tuple(one.cpu for one in found)
