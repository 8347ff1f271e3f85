"""Tests that leak on purpose: a module ``planted.py`` beside the tests of a level, run by a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from .paths import ROOT


def outcomes(module: str, directory: Path, *options: str, seconds: float = 280) -> dict[str, str]:
    """What the canary said of each test in a module; "" where it said nothing. Any other failure is an error."""
    report, output = directory / "planted.xml", directory / "planted.txt"
    with output.open("wb") as file:
        subprocess.run(
            [sys.executable, "-m", "pytest", module, "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *options],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
            stdout=file,
            stderr=file,
            timeout=seconds,
            check=False,
        )
    assert report.exists(), output.read_text()
    root = ET.parse(report).getroot()
    report.unlink()  # both quote what was found
    output.unlink()
    said: dict[str, str] = {}
    for case in root.iter("testcase"):
        texts = [item.text or "" for kind in ("failure", "error", "skipped") for item in case.iter(kind)]
        assert all("a secret got out" in text for text in texts), texts
        name = str(case.get("name"))
        said[name] = said.get(name, "") + "".join(texts)
    assert said
    return said
