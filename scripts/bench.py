#!/usr/bin/env python3
"""Measures what this project costs, beside what a user would have without it: bench.py [NAME...]

Prints each figure with what it is compared with, keeps every run in build/bench and, where every row has been run,
writes docs/performance.md from the last two runs of each. Without a name all rows are run, which takes a quarter of
an hour. Needs the environments that scripts/test.sh makes: `scripts/test.sh --litellm VERSION --install`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.bench.figures import Figure, text_table
from tests.bench.page import Run, page
from tests.support.paths import ROOT

PAGE, RUNS = ROOT / "docs" / "performance.md", ROOT / "build" / "bench"
ROWS = ("reload", "served", "cold", "unchanged", "file", "memory", "config", "idle", "reader", "image", "replicas")
"""The modules of tests/bench with a function ``measure``, in the order of the page."""
PACKAGES = ("litellm", "PyYAML", "requests", "uvicorn")


def text(row: str) -> str:
    """What the page says of a row: its module's docstring."""
    return importlib.import_module(f"tests.bench.{row}").__doc__ or ""


def run(row: str) -> Run:
    """Run one row."""
    at, began, load = datetime.now(UTC), time.monotonic(), os.getloadavg()[0]
    left_out: list[str] = []
    found: Sequence[Figure] = importlib.import_module(f"tests.bench.{row}").measure(left_out)
    seconds = round(time.monotonic() - began, 1)
    return Run(row, at.isoformat(timespec="seconds"), load, seconds, machine(), tuple(found), tuple(left_out))


def machine() -> str:
    """The machine in words, without its name."""
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*:\s*(.+)", info.read_text("utf-8") if info.exists() else "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return (
        f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}, {versions}"
    )


def stored() -> dict[str, list[Run]]:
    """All runs in build/bench by their row, oldest first."""
    found: dict[str, list[Run]] = {row: [] for row in ROWS}
    for one in sorted((Run.read(json.loads(file.read_text("utf-8"))) for file in RUNS.glob("*.json")), key=_time):
        found.setdefault(one.row, []).append(one)
    return found


def _time(one: Run) -> str:
    return one.at


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"rows: {', '.join(ROWS)}; without, all of them")
    parser.add_argument("--page", action="store_true", help="measure nothing, and write the page of the runs there are")
    options = parser.parse_args(argv)
    if unknown := set(options.names) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    RUNS.mkdir(parents=True, exist_ok=True)
    missed = 0
    for row in [] if options.page else options.names or ROWS:
        one = run(row)
        (RUNS / f"{row}-{re.sub('[^0-9]', '', one.at[:19])}.json").write_text(
            json.dumps(asdict(one), indent=1), "utf-8"
        )
        print(f"\n{row}: {one.seconds:.0f} s, load {one.load:.1f}\n{text_table(one.figures)}", flush=True)
        print("".join(f"not measured: {reason}\n" for reason in one.left_out), end="", flush=True)
        missed += sum(figure.verdict == "missed" for figure in one.figures)
    runs = stored()
    lacking = [row for row in ROWS if not runs[row]]
    if lacking and not options.page:
        print(f"\n{PAGE.name} is not written: never run were {', '.join(lacking)}")
    else:
        PAGE.write_text(page({row: text(row) for row in ROWS}, runs), "utf-8")
        print(f"\n{PAGE.relative_to(ROOT)} is written")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
