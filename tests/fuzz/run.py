"""Coverage-guided fuzzing of one door: python -m tests.fuzz.run DOOR [arguments of libFuzzer]"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["sidecar", "yaml"]):
    from tests.fuzz.doors import DOORS

if __name__ == "__main__":
    door = DOORS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, door)
    atheris.Fuzz()
