"""The package as an installed program."""

from __future__ import annotations

import os
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.support.documented import commands
from tests.support.paths import ROOT


def pip(runtime, *arguments):
    return subprocess.run(
        [runtime / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_console_script(clone, runtime, tmp_path):
    """The wheel has what messages point to, and gives a `copilot-model-sync` that brings the hook along."""
    target = tmp_path / "site"
    built = pip(runtime, "wheel", "--no-deps", "--wheel-dir", tmp_path, clone.root)
    if built.returncode and not os.environ.get("CI"):
        pytest.skip("the build backend cannot be installed here (no package index?)")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("litellm_copilot_model_sync-*.whl")
    inside = zipfile.ZipFile(wheel).namelist()
    documents = {
        name
        for source in (clone.root / "sidecar").rglob("*.py")
        for name in re.findall(r"\bdocs/[\w-]+\.md\b", source.read_text())
    }
    assert len(documents) >= 8
    shared = "/data/share/doc/litellm-copilot-model-sync/"
    assert documents <= {name.partition(shared)[2] for name in inside}
    assert {f"sidecar/status/page.{suffix}" for suffix in ("html", "css", "js")} <= {*inside}
    assert not [name for name in inside if "test" in name or name.startswith("scripts")]
    assert pip(runtime, "install", "--no-deps", "--target", target, wheel).returncode == 0
    shown = subprocess.run(
        [runtime / "bin" / "python", target / "bin" / "copilot-model-sync", "--help"],
        env={**clone.environ, "PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown.startswith("usage: copilot-model-sync ") and "\n  copilot-model-sync doctor\n" in shown
    where = shown.rpartition("docs/ is in ")[2].strip()
    assert (Path(where) / "docs" / "reference.md").is_file() and where.startswith(str(target))
    clone.log_in()
    models_file = tmp_path / "models.yaml"
    done = subprocess.run(
        [runtime / "bin" / "python", target / "bin" / "copilot-model-sync", "prepare"],
        env={**clone.environ, "PYTHONPATH": str(target), "COPILOT_MODELS_FILE": str(models_file)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "model_list: []" in models_file.read_text()
    placed, source = tmp_path / "litellm_hot_reload", clone.root / "sidecar" / "litellm_hot_reload"
    modules = sorted(path.relative_to(source) for path in source.rglob("*.py"))
    assert len(modules) > 5
    assert [(placed / name).read_bytes() for name in modules] == [(source / name).read_bytes() for name in modules]


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_from_a_clone_to_a_green_test(tmp_path):
    """The first commands of CONTRIBUTING.md, as they stand, in a clone, with nothing installed."""
    first = [command for page, command in commands() if page == "CONTRIBUTING.md"][:3]
    assert [command.split()[0] for command in first] == ["python3", ".venv/bin/pip", ".venv/bin/python"]
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(tmp_path / "clone")], check=True)
    for command in first:
        done = subprocess.run(command, shell=True, cwd=tmp_path / "clone", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)
