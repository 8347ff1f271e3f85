"""Checkers and other tools of other people's, which are not part of what LiteLLM's environment holds."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip a test for want of something, which in CI has to be there."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(what)
    pytest.skip(what)


def tool(name: str, cure: str = "pip install -r tests/k8s/requirements-linters.lock") -> str:
    """A tool, beside this Python, in COPILOT_TEST_LINTERS/bin, or on the path; in CI it has to be there."""
    places = [Path(sys.executable).parent, Path(os.environ.get("COPILOT_TEST_LINTERS") or "/nonexistent") / "bin"]
    found = next((str(place / name) for place in places if (place / name).exists()), None) or shutil.which(name)
    if not found:
        missing(f"{name} is not installed: {cure}")
    return str(found)
