#!/usr/bin/env python3
"""Runs everything for a long time while everything fails: soak.py [--minutes 40] [--seed N] [--report FILE]

The real LiteLLM with two workers under eight clients, the real sidecar, and a GitHub that changes its catalog and fails
at random; the sidecar and LiteLLM's workers are killed at random. Ends with a page of Markdown, and with 1 where
something in it may not be (docs/soak.md). Needs the test environment: scripts/test.sh makes it.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.litellm.soak.report import Report
from tests.litellm.soak.run import soak


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Runs LiteLLM and the sidecar through faults, changes and kills.")
    parser.add_argument("--minutes", type=float, default=40, help="how long, at least; 2 is the short form")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="repeats the events of another run")
    parser.add_argument("--report", type=Path, help="a file for the page that is printed at the end")
    options = parser.parse_args(argv)
    print(f"seed {options.seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as home:
        seen = soak(
            Path(home), options.minutes, options.seed, say=lambda text: print(text, file=sys.stderr, flush=True)
        )
    report = Report(seen)
    print(report.text())
    if options.report:
        options.report.write_text(report.text())
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
