"""What the tests of the package share: a stand-in with an account, and the package around it."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from pathlib import Path

import pytest

from tests.fakes.catalog import model
from tests.fakes.github import GitHub
from tests.support import canary
from tests.support.bench import Bench


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """The tests speak to this machine only, whatever proxies its environment names."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def root_logger():
    """A test that sets up logging, as the command line does, leaves the root logger as it was, and no file open."""
    root, urllib3 = logging.getLogger(), logging.getLogger("urllib3")
    handlers, levels = root.handlers[:], (root.level, urllib3.level)
    yield root
    opened = [handler for handler in root.handlers if handler not in handlers]
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    urllib3.setLevel(levels[1])
    for handler in opened:
        handler.close()


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
def stop():
    """The event that ends waits."""
    return threading.Event()
