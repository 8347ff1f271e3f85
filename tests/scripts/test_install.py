"""The package as an installed program."""

from __future__ import annotations

import os
import subprocess

import pytest


def test_console_script(clone, runtime, tmp_path):
    """`pip install .` gives a `copilot-model-sync` that brings the hook along."""
    target = tmp_path / "site"
    installed = subprocess.run(
        [runtime / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, clone.root],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode and not os.environ.get("CI"):
        pytest.skip("the build backend cannot be installed here (no package index?)")
    assert installed.returncode == 0, installed.stderr
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
