"""Who may read a config may read its successor and its backup, and nobody else: with ACLs as with plain modes."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar import locks
from sidecar.config import held
from sidecar.config.edit import update_config
from sidecar.config.file import restore_backup, sync_config
from sidecar.errors import StorageError, UsageError
from sidecar.files import MAX_SIZE, read_file, replace_unchanged
from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX
from tests.support.files import NOBODY, PLACES, unprivileged
from tests.unit.corpus.configs import USUAL

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
OWNER, USER, GROUP, NAMED_GROUP, MASK, OTHERS = 1, 2, 4, 8, 16, 32
ENTRIES = [
    {
        "model_name": "m",
        "litellm_params": {"model": "github_copilot/m"},
        "model_info": {"id": MANAGED_PREFIX + "m", "mode": "chat"},
    }
]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else for a moment")


def acl(*entries: tuple[int, int] | tuple[int, int, int]) -> bytes:
    """The kernel's form of an ACL: ``(tag, permissions, id)``, the id for named users and groups only."""
    packed = (struct.pack("<HHI", tag, bits, named[0] if named else 0xFFFFFFFF) for tag, bits, *named in entries)
    return struct.pack("<I", 2) + b"".join(packed)


DENIED = acl((OWNER, 6), (USER, 0, NOBODY), (GROUP, 4), (MASK, 4), (OTHERS, 4))
"""Everybody may read, but not this one user: the mode is 0644."""
NAMED = acl((OWNER, 6), (USER, 4, 4242), (GROUP, 0), (MASK, 4), (OTHERS, 0))
"""One named user may read, the group may not, although the mode is 0640: its group bits are the mask."""
GENEROUS = acl((OWNER, 7), (USER, 7, NOBODY), (GROUP, 5), (NAMED_GROUP, 7, NOBODY), (MASK, 7), (OTHERS, 5))


def give(path: Path, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            pytest.skip("this file system knows no ACLs")
        raise


@pytest.fixture
def config(outside: Path) -> Iterator[Path]:
    path = outside / "config.yaml"
    path.write_bytes(USUAL)
    path.chmod(0o640)
    return path


def access(path: Path | int) -> tuple[int, bytes | None]:
    try:
        return os.stat(path).st_mode & 0o7777, os.getxattr(path, ACCESS)
    except OSError:
        return os.stat(path).st_mode & 0o7777, None


def readable(path: Path, gid: int | None = None) -> bool:
    """Whether nobody may read it, as a member of group ``gid``."""
    before = os.getegid()
    if gid is not None:
        os.setegid(gid)
    try:
        with unprivileged():
            path.read_bytes()
    except PermissionError:
        return False
    finally:
        os.setegid(before)
    return True


@pytest.fixture
def while_written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bytes | None]]:
    """The access that each new file gives at the moment at which content is written to it."""
    seen: list[tuple[int, bytes | None]] = []
    write = os.write

    def watched(descriptor: int, data: Any) -> int:
        seen.append(access(descriptor))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", watched)
    return seen


@needs_root
@pytest.mark.parametrize(("kept", "mode"), [(DENIED, 0o644), (NAMED, 0o640)], ids=["denied", "named"])
def test_an_acl_is_kept_by_config_and_backup(config, while_written, kept, mode):
    """Config, backup and temporary files have the old config's ACL before they have any content."""
    give(config, ACCESS, kept)
    os.chown(config, 0, NOBODY)
    assert access(config) == (mode, kept)
    backup = sync_config(config, ENTRIES).backup
    assert backup and config.read_bytes() != USUAL == backup.read_bytes()
    assert [access(path) for path in (config, backup)] == while_written == [(mode, kept)] * 2
    assert not readable(config, NOBODY) and not readable(backup, NOBODY)
    os.unlink(config)
    restore_backup(config)
    assert access(config) == (mode, kept) and not readable(config, NOBODY)


@needs_root
def test_the_default_acl_of_the_directory_opens_nothing(config, while_written):
    """What the directory grants on new files is not granted on successors of a config that does not grant it."""
    os.chown(config, 0, 4242)
    give(config.parent, DEFAULT, GENEROUS)
    (config.parent / "control").touch()
    assert access(config.parent / "control")[1] is not None
    backup = sync_config(config, ENTRIES).backup
    assert backup and while_written == [(0o640, None)] * 2
    assert [access(path) for path in (config, backup)] == [(0o640, None)] * 2
    assert not readable(config) and not readable(backup)


@needs_root
def test_an_acl_that_changes_meanwhile_is_not_lost(config, monkeypatch):
    """A user who is shut out while a sync is under way is shut out of what it writes too."""
    give(config, ACCESS, acl((OWNER, 6), (USER, 4, NOBODY), (GROUP, 0), (MASK, 4), (OTHERS, 0)))
    once = iter([NAMED])
    replace = replace_unchanged

    def later(*arguments: Any, **more: Any) -> bool:
        for value in once:
            os.setxattr(config, ACCESS, value)
        return replace(*arguments, **more)

    monkeypatch.setattr(held, "replace_unchanged", later)
    sync_config(config, ENTRIES)
    assert access(config) == (0o640, NAMED) and not readable(config)


def test_an_acl_that_cannot_be_kept_is_an_error(config, monkeypatch):
    """Where the ACL cannot be set on the new file, the old one stays, without remains, and the cure is named."""
    give(config, ACCESS, NAMED)

    def refused(*arguments: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "setxattr", refused)
    with pytest.raises(StorageError, match="config") as caught:
        sync_config(config, ENTRIES)
    assert "setfacl" in caught.value.hint and config.read_bytes() == USUAL
    assert [path.name for path in config.parent.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("kind", ["a pipe", "a device without an end", "400 MB"])
def test_only_regular_files_of_a_bounded_size_are_read(tmp_path, kind):
    """A pipe is not waited for, a device and a huge file are not read whole."""
    path = tmp_path / "f"
    PLACES[kind](path)
    for read in (read_file, lambda path: sync_config(path, ENTRIES)):
        with pytest.raises(UsageError, match=r"regular|larger"):
            read(path)


def test_the_largest_file_is_read(tmp_path):
    """A file of the largest size is read."""
    (tmp_path / "f").write_bytes(b"x" * MAX_SIZE)
    assert len(read_file(tmp_path / "f") or b"") == MAX_SIZE


@pytest.mark.parametrize("kind", ["pipe", "directory", "link", "socket", "text"])
def test_a_hostile_lock_file(config, kind):
    """Whatever stands where the lock should be, a sync succeeds or says so; it neither hangs nor follows a link."""
    lock, other = config.with_name(".config.yaml.lock"), config.with_name("other")
    if kind == "pipe":
        os.mkfifo(lock)
    elif kind == "directory":
        lock.mkdir()
    elif kind == "link":
        lock.symlink_to(other)
    elif kind == "socket":
        os.mknod(lock, 0o140600)
    else:
        lock.write_bytes(b"\xff" * 1000)
    if kind in ("directory", "link", "socket"):
        with pytest.raises(StorageError, match="lock"):
            sync_config(config, ENTRIES, lock_timeout=0.5)
        assert config.read_bytes() == USUAL
    else:
        sync_config(config, ENTRIES, lock_timeout=0.5)
        assert config.read_bytes() == update_config(USUAL, ENTRIES).text
    assert not other.exists()


def test_a_lock_that_is_always_replaced_is_given_up(config, monkeypatch):
    """Somebody who removes the lock file over and over holds a sync up no longer than the time it waits."""
    monkeypatch.setattr(locks, "_is_at", lambda *arguments: False)
    with pytest.raises(StorageError, match="still running"):
        sync_config(config, ENTRIES, lock_timeout=0.2)
