"""What was read once is not read again, unless the file may have changed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sidecar.litellm_hot_reload.bounded import RESTED, Unchanged
from tests.support.waiting import until


class Read:
    """Reads a file; ``times`` counts how often."""

    def __init__(self, path: Path) -> None:
        self.path, self.times = path, 0
        self.unchanged = Unchanged(path, self)

    def __call__(self) -> str:
        self.times += 1
        return self.path.read_text()


@pytest.fixture
def read(tmp_path) -> Read:
    path = tmp_path / "file"
    path.write_text("one")
    return Read(path)


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + RESTED + 1)


def test_a_file_that_has_rested_is_read_once(read, monkeypatch):
    """And one that may just be changing, each time."""
    assert [read.unchanged() for _ in range(3)] == ["one"] * 3 and read.times == 3
    later(monkeypatch)
    assert [read.unchanged() for _ in range(3)] == ["one"] * 3 and read.times == 4


CHANGES = {
    "written in place, of the same size": lambda path: path.write_text("two"),
    "replaced, with the same times": lambda path: (
        path.with_name("new").write_text("two"),
        os.utime(path.with_name("new"), ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns)),
        path.with_name("new").rename(path),
    ),
    "longer": lambda path: path.write_text("longer"),
    "another mode": lambda path: path.chmod(0o600),
    "gone and back": lambda path: (path.unlink(), path.write_text("two")),
    "a link elsewhere": lambda path: (
        path.with_name("new").write_text("two"),
        path.unlink(),
        path.symlink_to(path.with_name("new")),
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_seen(what, read, monkeypatch):
    """At the next call, however it was made."""
    later(monkeypatch)
    read.unchanged()
    read.unchanged()
    assert read.times == 1
    probe = read.path.with_name("probe")
    until(lambda: probe.write_text("") == 0 and probe.stat().st_ctime_ns > read.path.stat().st_ctime_ns, what="a tick")
    CHANGES[what](read.path)
    assert read.unchanged() == read.path.read_text() and read.times == 2


def test_a_missing_file_is_an_error_each_time(read, monkeypatch):
    """Of the reader's own, and what was there before does not come back."""
    later(monkeypatch)
    read.unchanged()
    read.path.unlink()
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            read.unchanged()
    assert read.times == 3
