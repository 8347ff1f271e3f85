"""Makes this clone's package importable for the scripts in this directory, from any working directory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(arguments: Sequence[str], environ: dict[str, str]) -> int:
    """Run a command of the package and return its exit code; 2 if a package it needs is missing."""
    sys.path.insert(0, str(ROOT))
    try:
        from sidecar.cli import main
    except ModuleNotFoundError as error:
        print(f"{Path(sys.argv[0]).name}: the Python package {error.name} is missing", file=sys.stderr)
        print(f"  Install it: {sys.executable} -m pip install -r {ROOT}/requirements.lock", file=sys.stderr)
        return 2
    return main(arguments, environ)
