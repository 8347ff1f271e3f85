"""What the real kernel tells of the directories of files, and what is done where it tells nothing."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar.files import replace_file
from sidecar.litellm_hot_reload import inotify
from sidecar.litellm_hot_reload.inotify import Inotify

LONG = 20.0
"""Seconds of a wait that something has to end; that nothing ends one takes SHORT to see."""
SHORT = 0.05


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inotify]:
    monkeypatch.setattr(inotify, "GATHER", 0.0)
    notices = Inotify()
    yield notices
    notices.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """In a directory of its own, as in a volume."""
    file = tmp_path / "shared" / "models.yaml"
    file.parent.mkdir()
    file.write_bytes(b"old")
    return file


def is_woken(notices: Inotify, seconds: float) -> bool:
    """Whether a wait of so many seconds ends before them."""
    began = time.monotonic()
    notices.wait(seconds)
    return time.monotonic() < began + seconds


def swap(file: Path) -> None:
    """As the kubelet swaps a ConfigMap's content."""
    new = file.parent / "..2026_01_02"
    new.mkdir()
    (new / file.name).write_bytes(b"new")
    (file.parent / "..data_tmp").symlink_to(new.name)
    os.rename(file.parent / "..data_tmp", file.parent / "..data")


def written_in_place(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b"more")


CHANGES: dict[str, Callable[[Path], Any]] = {
    "published": lambda file: replace_file(file, b"new", mode=0o644),
    "written in place": written_in_place,
    "a ConfigMap's swap": swap,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_ends_the_wait(change: str, notices: Inotify, file: Path) -> None:
    """Also the next one, as what is watched is looked up again after each."""
    assert notices.watches([str(file)])
    CHANGES["published"](file)
    assert is_woken(notices, LONG) and notices.watches([str(file)])
    assert not is_woken(notices, SHORT)
    CHANGES[change](file)
    assert is_woken(notices, LONG)


def test_reading_and_appending_end_no_wait(notices: Inotify, file: Path) -> None:
    """A log in the same directory is written on and on."""
    with (file.parent / "some.log").open("ab", buffering=0) as log:
        assert notices.watches([str(file)])
        for number in range(5):
            log.write(b"a line\n")
            file.read_bytes()
            os.stat(file)
            assert not is_woken(notices, SHORT), number


def test_a_busy_directory_does_not_make_a_busy_worker(file: Path) -> None:
    """What comes soon after a notice belongs to it."""
    notices = Inotify()
    try:
        assert notices.watches([str(file)])
        for _ in range(100):
            CHANGES["published"](file)
        assert is_woken(notices, LONG) and not is_woken(notices, SHORT)
    finally:
        notices.close()


def test_where_a_link_leads_is_watched_too(notices: Inotify, file: Path, tmp_path: Path) -> None:
    """Also once it leads elsewhere, which is a change of its own."""
    link, other = tmp_path / "links" / "models.yaml", tmp_path / "other" / "models.yaml"
    link.parent.mkdir()
    other.parent.mkdir()
    link.symlink_to(file)
    assert notices.watches([str(link)])
    CHANGES["published"](file)
    assert is_woken(notices, LONG)
    other.write_bytes(b"other")
    link.with_name("new").symlink_to(other)
    os.rename(link.with_name("new"), link)
    assert is_woken(notices, LONG) and notices.watches([str(link)])
    CHANGES["published"](other)
    assert is_woken(notices, LONG)


def test_another_directory_in_its_place_is_watched(notices: Inotify, file: Path) -> None:
    """Whether the one before was moved away or removed."""
    assert notices.watches([str(file)])
    for number in range(2):
        moved = file.parent.with_name(f"moved-{number}")
        os.rename(file.parent, moved)
        file.parent.mkdir()
        assert is_woken(notices, LONG) and notices.watches([str(file)])
        CHANGES["published"](file)
        assert is_woken(notices, LONG) and notices.watches([str(file)])
    for path in file.parent.iterdir():
        path.unlink()
    file.parent.rmdir()
    assert is_woken(notices, LONG) and not notices.watches([str(file)])
    file.parent.mkdir()
    assert notices.watches([str(file)])


def test_a_directory_that_is_not_there_is_not_watched(notices: Inotify, tmp_path: Path) -> None:
    """Nor is a list of files of which one is in such a place, nor none."""
    file = tmp_path / "models.yaml"
    assert not notices.watches([str(file), "/nowhere/models.yaml"])
    assert not notices.watches([])
    assert notices.watches([str(file)])


@pytest.mark.parametrize(
    "library",
    [SimpleNamespace(inotify_init1=lambda flags: -1), SimpleNamespace()],
    ids=["too many", "another system"],
)
def test_without_inotify_the_wait_takes_its_time(library: object, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's instances are all taken, or there is no such thing."""
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    notices = Inotify()
    assert not notices.watches([str(file)]) and not is_woken(notices, SHORT)
    notices.close()
