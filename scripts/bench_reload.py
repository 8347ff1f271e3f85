#!/usr/bin/env python3
"""Measures what a reload costs the clients of a real LiteLLM proxy.

    python scripts/bench_reload.py [--workers 2] [--clients 8] [--json]

Prints what tests/litellm/reload_cost.py measures. Needs the test environment: scripts/test.sh makes it.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.litellm.reload_cost import run, table


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measures what a reload costs the clients of a LiteLLM proxy.")
    parser.add_argument("--workers", type=int, default=1, help="LiteLLM's --num_workers")
    parser.add_argument("--clients", type=int, default=8, help="number of concurrent clients")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    options = parser.parse_args(argv)
    result = run(options.workers, options.clients, say=lambda text: print(text, file=sys.stderr))
    print(json.dumps(asdict(result)) if options.json else table(result))
    return 1 if result.changing["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
