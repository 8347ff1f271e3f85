"""The rules of the house: what may import what, what may touch the world, and that the check sees a breach."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

CHECK = [sys.executable, str(ROOT / "scripts" / "structure.py"), "--check"]


def check(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CHECK, str(root)], capture_output=True, text=True, check=False)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A small checkout that keeps the rules."""
    for name in ("models", "litellm_hot_reload", "service"):
        (tmp_path / "sidecar" / name).mkdir(parents=True)
        (tmp_path / "sidecar" / name / "__init__.py").touch()
    for name in ("__init__", "files", "models/prices", "litellm_hot_reload/keeper", "service/loop"):
        (tmp_path / "sidecar" / f"{name}.py").touch()
    (tmp_path / "CONTRIBUTING.md").write_text("# Contributing\n\n<!-- scripts/structure.py --write -->\n<!-- end -->\n")
    subprocess.run([*CHECK[:2], "--write", str(tmp_path)], capture_output=True, check=True)
    assert check(tmp_path).returncode == 0
    return tmp_path


def test_the_rules_hold_here() -> None:
    """Nothing in sidecar/ breaks a rule, and CONTRIBUTING.md lists what touches the world."""
    done = check(ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "longest chain" in done.stdout


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("models/prices", "from sidecar.service import loop", "service.loop, which stands above it"),
        ("models/prices", "from sidecar.files import read_file", "models.prices is pure and imports files"),
        ("models/prices", "import time", "models.prices is pure and touches the clock"),
        ("models/prices", "import requests", "models.prices is pure and touches the network"),
        ("models/prices", "def f(path): return path.read_bytes()", "models.prices is pure and touches the disk"),
        ("litellm_hot_reload/keeper", "from sidecar.files import read_file", "the hook stands alone"),
        ("litellm_hot_reload/keeper", "from ..files import read_file", "the hook stands alone"),
        (
            "service/loop",
            "from sidecar.litellm_hot_reload.keeper import Keeper",
            "of the hook only",
        ),
        ("service/loop", "import sidecar.litellm_hot_reload.keeper", "of the hook only"),
        ("service/loop", "import subprocess", "does not list what the modules touch"),
    ],
)
def test_a_breach_is_seen(house: Path, name: str, line: str, said: str) -> None:
    """Each rule that is broken is named with the module that breaks it."""
    (house / "sidecar" / f"{name}.py").write_text(line + "\n")
    done = check(house)
    assert done.returncode == 1
    assert said in done.stderr


def test_a_module_of_no_layer_is_seen(house: Path) -> None:
    """A new wing has to be given its place in the order."""
    (house / "sidecar" / "helpers.py").touch()
    assert "helpers is in no layer" in check(house).stderr


def test_every_module_is_in_the_picture() -> None:
    """CONTRIBUTING.md names every module of sidecar/."""
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    picture = page.partition("## Where things are")[2].partition("```")[2].partition("```")[0]
    modules = {path.stem for path in (ROOT / "sidecar").rglob("*.py") if not path.stem.startswith("__")}
    assert len(modules) > 40
    assert {name for name in modules if name not in picture} == set()


def test_every_symptom_leads_to_a_file() -> None:
    """The files that the table of symptoms names exist."""
    rows = [line for line in (ROOT / "CONTRIBUTING.md").read_text("utf-8").splitlines() if line.endswith(".py` |")]
    assert len(rows) >= 10
    assert [row for row in rows if not (ROOT / "sidecar" / row.split("`")[-2]).is_file()] == []
