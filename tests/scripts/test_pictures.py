"""The pictures of a terminal show what the commands print now."""

from __future__ import annotations

import subprocess
import sys

from tests.support.paths import ROOT


def test_the_pictures_are_up_to_date():
    """Whoever changes what a command prints makes them anew."""
    command = [sys.executable, str(ROOT / "scripts" / "pictures.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
