"""A clean clone with nothing but the runtime packages, as a user has it, and a stand-in for GitHub."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.fakes.catalog import model
from tests.fakes.github import GitHub
from tests.scripts.clone import Clone
from tests.support.paths import ROOT


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


@pytest.fixture
def gh():
    """A stand-in with two models that are in the picker."""
    with GitHub([model("gpt-4o"), model("gpt-5-mini")]) as github:
        yield github


@pytest.fixture
def clone(gh, tmp_path, runtime):
    return Clone(gh, tmp_path, runtime)
