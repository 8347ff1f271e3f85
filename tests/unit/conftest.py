"""What the tests of the package share: a stand-in with an account, and the package around it."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path

import pytest

from sidecar.config import held
from sidecar.litellm_hot_reload import text
from tests.fakes.catalog import model
from tests.fakes.github import GitHub
from tests.support import canary
from tests.support.bench import Bench
from tests.support.files import NOBODY


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """The tests speak to this machine only, whatever proxies its environment names."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def own_secrets(monkeypatch):
    """No test hides what an earlier one called a secret."""
    monkeypatch.setattr(text, "_remembered", {False: {}, True: {}})
    monkeypatch.setattr(text, "_known", text._Known())


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """A config that a test has just written counts as settled, and nobody else writes to it (``test_saves.py``)."""
    monkeypatch.setattr(held, "QUIET", 0)
    monkeypatch.setattr(held, "_GRACE", 0)


@pytest.fixture
def gh():
    """A stand-in with two models that are in the picker."""
    with GitHub([model("gpt-4o"), model("gpt-5-mini")]) as github:
        yield github


@pytest.fixture
def bench(gh, tmp_path):
    """A bench without a token."""
    bench = Bench(gh, tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def outside():
    """A directory that every user may enter, outside of pytest's own, which is private."""
    directory = Path(tempfile.mkdtemp(prefix="sidecar-test-"))
    directory.chmod(0o755)
    yield directory
    for path in [directory, *directory.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    canary.search_files(directory)
    shutil.rmtree(directory)


@pytest.fixture
def anothers(outside):
    """A directory that belongs to another user."""
    if os.geteuid() != 0:
        return Path("/")
    os.chown(outside, NOBODY, NOBODY)
    return outside


@pytest.fixture
def stop():
    """The event that ends waits."""
    return threading.Event()
