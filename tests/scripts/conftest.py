"""A clean clone with nothing but the runtime packages, as a user has it, and a stand-in for GitHub."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.catalog import model
from tests.fakes.github import GitHub

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    "sidecar",
    "entrypoint",
    "scripts",
    "requirements.lock",
    "config.yaml",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
TOKEN = "ghu_" + "s" * 32 + "WXYZ"


@pytest.fixture(scope="session")
def runtime(tmp_path_factory):
    """A Python with the packages of requirements.lock and no others, made once."""
    venv = tmp_path_factory.mktemp("runtime") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python = venv / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    done = subprocess.run(
        [*command, "-r", str(ROOT / "requirements.lock")], capture_output=True, text=True, check=False
    )
    if done.returncode:
        assert not os.environ.get("CI"), done.stderr
        pytest.skip("the runtime packages cannot be installed here (no package index?)")
    return venv


class Clone:
    """A copy of the tree; its path has a space, a quote and a percent sign."""

    def __init__(self, gh, directory, venv):
        self.gh, self.home = gh, directory / "home"
        self.root = directory / "it's a 100% clone"
        self.tokens = self.home / ".config" / "litellm" / "github_copilot"
        self.home.mkdir()
        self.root.mkdir()
        for name in PARTS:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, self.root / name)
        for left in self.root.rglob("__pycache__"):
            shutil.rmtree(left)
        self.environ = {
            **gh.env(),
            "PATH": f"{venv}/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    @property
    def config(self):
        return self.root / "config.yaml"

    def log_in(self):
        self.gh.new_access_token(token=TOKEN)
        self.tokens.mkdir(parents=True)
        (self.tokens / "access-token").write_text(TOKEN)

    def run(self, script, *arguments, cwd="/", timeout=60, **environ):
        """A script from start to end, by its full path, in another directory."""
        done = subprocess.run(
            [str(self.root / "scripts" / script), *arguments],
            cwd=cwd,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert TOKEN not in done.stdout + done.stderr
        return done


@pytest.fixture
def gh():
    """A stand-in with two models that are in the picker."""
    with GitHub([model("gpt-4o"), model("gpt-5-mini")]) as github:
        yield github


@pytest.fixture
def clone(gh, tmp_path, runtime):
    return Clone(gh, tmp_path, runtime)
