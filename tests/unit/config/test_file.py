"""Config files on disk: old or new whatever happens, backups, one writer at a time, owner and mode kept."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.config import held
from sidecar.config.backups import backups_of
from sidecar.config.edit import update_config
from sidecar.config.file import config_diff, restore_backup, sync_config
from sidecar.errors import StorageError, UsageError
from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX
from tests.support.paths import ROOT
from tests.unit.corpus.configs import USUAL

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can mount, or give files away")


def entry(name: str, **info: Any) -> dict[str, Any]:
    return {
        "model_name": name,
        "litellm_params": {"model": f"github_copilot/{name}"},
        "model_info": {"id": MANAGED_PREFIX + name, "mode": "chat", **info},
    }


OLD = update_config(USUAL, [entry("gone"), entry("kept")]).text
ENTRIES = [entry("kept", max_tokens=1), entry("new")]
NEW = update_config(OLD, ENTRIES).text


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_bytes(OLD)
    path.chmod(0o640)
    return path


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_updates_and_keeps_a_backup(config: Path) -> None:
    """A sync writes the new config, keeps the old one as a backup, and tells what it did."""
    outcome = sync_config(config, ENTRIES)
    assert config.read_bytes() == NEW
    assert outcome.changed
    assert outcome.before == OLD
    assert outcome.backup is not None
    assert outcome.backup.read_bytes() == OLD
    assert names(config.parent) == ["config.yaml", outcome.backup.name]
    assert outcome.update.change.added == ("new",)


@pytest.mark.parametrize("text", [OLD, b"model_list: 1\n"], ids=["taken", "refused"])
@pytest.mark.parametrize("on", [True, False])
def test_garbage_is_collected_afterwards_as_before(config: Path, text: bytes, on: bool) -> None:
    """Whether Python looks for garbage is after a sync as it was before, also where the config is refused."""
    config.write_bytes(text)
    gc.enable() if on else gc.disable()
    try:
        with contextlib.suppress(UsageError):
            sync_config(config, ENTRIES)
        assert gc.isenabled() == on
    finally:
        gc.enable()


def test_second_sync_touches_nothing(config: Path) -> None:
    """A sync without a change leaves the file untouched and makes no further backup."""
    sync_config(config, ENTRIES)
    before = config.stat()
    outcome = sync_config(config, ENTRIES)
    assert not outcome.changed
    assert outcome.backup is None
    assert config.stat() == before
    assert len(backups_of(config)) == 1


def test_dry_run_writes_nothing(config: Path) -> None:
    """A dry run tells what would change, and writes neither config nor backup."""
    before = config.parent.stat()
    outcome = sync_config(config, ENTRIES, dry_run=True)
    assert outcome.changed
    assert outcome.update.text == NEW
    assert config.read_bytes() == OLD
    assert config.parent.stat() == before


def test_missing_file_is_created_with_the_mode_of_a_new_file(tmp_path: Path) -> None:
    """A config that is missing is made with the mode that the umask gives, and without a backup."""
    config = tmp_path / "config.yaml"
    before = os.umask(0o027)
    try:
        outcome = sync_config(config, ENTRIES)
    finally:
        os.umask(before)
    assert outcome.before is None
    assert config.stat().st_mode & 0o777 == 0o640
    assert [item["model_name"] for item in yaml.safe_load(config.read_text())["model_list"]] == ["kept", "new"]
    assert names(tmp_path) == ["config.yaml"]


def test_mode_is_kept_by_config_and_backup(config: Path) -> None:
    """The new config and its backup have the mode of the old config."""
    outcome = sync_config(config, ENTRIES)
    assert outcome.backup is not None
    assert [path.stat().st_mode & 0o7777 for path in (config, outcome.backup)] == [0o640, 0o640]


@needs_root
def test_owner_and_group_are_kept_by_config_and_backup(config: Path) -> None:
    """The new config and its backup belong to the owner and group of the old config."""
    os.chown(config, 1234, 2345)
    outcome = sync_config(config, ENTRIES)
    assert outcome.backup is not None
    for path in (config, outcome.backup):
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


def test_mode_is_set_before_any_content(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new files have their final mode before a byte is written to them."""
    modes: list[int] = []
    write = os.write

    def watched(descriptor: int, data: Any) -> int:
        about = os.fstat(descriptor)
        modes.append(about.st_mode & 0o777)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", watched)
    sync_config(config, ENTRIES)
    assert modes == [0o640, 0o640]


def test_symlinks_stay_and_their_target_is_updated(config: Path, tmp_path: Path) -> None:
    """A config that is reached by links is updated where it is, and the links stay."""
    (tmp_path / "etc").mkdir()
    link = tmp_path / "etc" / "link.yaml"
    (tmp_path / "etc" / "middle").symlink_to("../config.yaml")
    link.symlink_to("middle")
    outcome = sync_config(link, ENTRIES)
    assert link.is_symlink()
    assert outcome.path == config.resolve()
    assert config.read_bytes() == NEW
    assert names(tmp_path / "etc") == ["link.yaml", "middle"]
    assert backups_of(link.resolve()) == backups_of(config)


def test_only_the_newest_backups_are_kept(config: Path) -> None:
    """Older backups than asked for go; a file of a similar name that we did not make stays."""
    for second in range(5):
        (config.parent / f"config.yaml.bak-2025010{second + 1}T000000Z").write_bytes(b"x: 1\n")
    (config.parent / "config.yaml.bak-mine").write_bytes(b"")
    outcome = sync_config(config, ENTRIES, backups=3)
    found = [path.name for path in backups_of(config)]
    assert outcome.backup is not None
    assert found == [outcome.backup.name, "config.yaml.bak-20250105T000000Z", "config.yaml.bak-20250104T000000Z"]
    assert (config.parent / "config.yaml.bak-mine").exists()


def test_no_backups_when_none_are_wanted(config: Path) -> None:
    """With no backups asked for, none is made."""
    assert sync_config(config, ENTRIES, backups=0).backup is None
    assert names(config.parent) == ["config.yaml"]


def test_two_backups_in_a_second_are_both_kept(config: Path) -> None:
    """Backups of the same second get names of their own, and the newest comes first."""
    made = [sync_config(config, [entry(f"m{number}")]).backup for number in range(12)]
    assert len({path for path in made if path}) == 12
    assert backups_of(config)[0] == made[-1]
    assert list(backups_of(config)) == [path for path in reversed(made) if path][:10]


def test_restore_brings_back_the_newest_or_the_named(config: Path) -> None:
    """A restore brings back the newest backup, or the one of a time, and backs up what it replaces."""
    earlier = config.with_name("config.yaml.bak-20250101T000000Z")
    earlier.write_bytes(b"x: 1\n")
    newest = sync_config(config, ENTRIES).backup
    assert restore_backup(config) == newest
    assert config.read_bytes() == OLD
    assert restore_backup(config, "20250101T000000Z") == earlier
    assert config.read_bytes() == b"x: 1\n"
    assert config.stat().st_mode & 0o777 == 0o640
    assert {path.read_bytes() for path in backups_of(config)} == {OLD, NEW, b"x: 1\n"}


def test_restore_of_a_deleted_config_takes_the_mode_of_the_backup(config: Path) -> None:
    """A config that was deleted comes back with its backup's mode."""
    sync_config(config, ENTRIES)
    config.unlink()
    restore_backup(config)
    assert config.read_bytes() == OLD
    assert config.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("when", [None, "20990101T000000Z"])
def test_restore_of_nothing_says_what_there_is(config: Path, when: str | None) -> None:
    """A restore without a fitting backup is refused, and names those that there are."""
    with pytest.raises(UsageError, match="no backup"):
        restore_backup(config, when)
    sync_config(config, ENTRIES)
    with pytest.raises(UsageError) as caught:
        restore_backup(config, "20990101T000000Z")
    assert backups_of(config)[0].name.rpartition("-")[2] in caught.value.hint


def test_invalid_config_is_named_and_left_alone(config: Path) -> None:
    """A config that is no YAML is refused by file and line, and nothing is written."""
    config.write_bytes(b"x: [\n")
    with pytest.raises(UsageError, match=r"config\.yaml: .*not valid YAML: line 2"):
        sync_config(config, ENTRIES)
    assert names(config.parent) == ["config.yaml"]


def test_change_by_somebody_else_meanwhile_is_not_lost(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit while a sync is under way is taken up by it, in the config and in the backup."""
    edits = iter([OLD + b"# edited\n"])
    fsync = os.fsync

    def editing(descriptor: int) -> None:
        if not os.path.isdir(f"/proc/self/fd/{descriptor}"):
            for text in edits:
                config.write_bytes(text)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", editing)
    sync_config(config, ENTRIES)
    assert config.read_bytes() == NEW + b"# edited\n"
    assert backups_of(config)[0].read_bytes() == OLD + b"# edited\n"


def test_file_that_never_rests_is_given_up(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A config that changes under every try is given up with a message, and left alone."""
    monkeypatch.setattr(held, "replace_unchanged", lambda *args, **more: False)
    with pytest.raises(StorageError, match="keeps being changed"):
        sync_config(config, ENTRIES)
    assert config.read_bytes() == OLD


def test_what_a_crash_left_is_cleaned_up(config: Path) -> None:
    """Temporary files of ours that a crash left go with the next sync; other people's stay."""
    left = [".config.yaml.0123456789ab.tmp", ".config.yaml.bak-20250101T000000Z.0123456789ab.tmp"]
    others = [".config.yaml.swp", ".other.yaml.0123456789ab.tmp"]
    for name in [*left, *others]:
        (config.parent / name).touch()
    sync_config(config, ENTRIES)
    assert set(others) < set(names(config.parent))
    assert not set(left) & set(names(config.parent))


# Diff


def test_diff_shows_the_change_and_no_secret(config: Path) -> None:
    """The diff shows what changes, and of what is around it the shape only."""
    config.write_text("model_list: []\nx:\n  api_key: sk-123456\n  max_tokens: 16000\n  key: os.environ/KEY")
    shown = config_diff(sync_config(config, ENTRIES, dry_run=True))
    assert '+  {"model_name": "kept"' in shown
    assert " …:\n   api_key: …\n   …: …\n" in shown
    assert config_diff(sync_config(config, [], dry_run=True)) == ""
    config.write_text("litellm_settings: {}\nmodel_list2: sk-123456")
    shown = config_diff(sync_config(config, ENTRIES, dry_run=True))
    assert "sk-" not in shown
    assert "\\ No newline at end of file" in shown


def test_diff_of_a_new_file_starts_from_nothing(tmp_path: Path) -> None:
    """The diff of a config that is made starts from /dev/null."""
    shown = config_diff(sync_config(tmp_path / "c.yaml", ENTRIES, dry_run=True))
    assert shown.startswith(f"--- /dev/null\n+++ {tmp_path}/c.yaml\n@@ -0,0 +1")


# Failures


def assert_untouched(config: Path, expected: str, hint: str = "") -> None:
    with pytest.raises(StorageError, match=expected) as caught:
        sync_config(config, ENTRIES)
    assert str(config) in str(caught.value)
    assert hint in caught.value.hint
    assert caught.value.hint


def test_vanished_directory(tmp_path: Path) -> None:
    """A directory that is missing is named with the cure."""
    assert_untouched(tmp_path / "gone" / "config.yaml", "No such file or directory", "create it")


def test_directory_that_is_a_file(config: Path) -> None:
    """A path through a file is named with the cure."""
    assert_untouched(config / "config.yaml", "Not a directory", "correct the path")


def test_symlinks_in_a_circle(tmp_path: Path) -> None:
    """Links that lead in a circle are named."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert_untouched(tmp_path / "a", "Too many levels")


@pytest.mark.parametrize("kind", ["directory", "pipe"])
def test_not_a_file(tmp_path: Path, kind: str) -> None:
    """A directory or a pipe in place of the config is refused, and neither replaced nor waited for."""
    path = tmp_path / "config.yaml"
    path.mkdir() if kind == "directory" else os.mkfifo(path)
    with pytest.raises((UsageError, StorageError)):
        sync_config(path, ENTRIES)
    assert path.is_dir() if kind == "directory" else path.is_fifo()


@pytest.mark.parametrize("step", ["open", "write", "fsync", "fchmod", "replace", "listdir"])
def test_any_error_of_the_system_leaves_the_original(config: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call fails in turn: the first, the second, … until the sync goes through."""
    real = getattr(os, step)
    told: list[tuple[str, str]] = []
    for failing in range(20):
        count = iter(range(100))

        def sometimes(*args: Any, _count: Iterator[int] = count, _failing: int = failing, **more: Any) -> Any:
            if next(_count) == _failing:
                raise OSError(28, "No space left on device")
            return real(*args, **more)

        monkeypatch.setattr(os, step, sometimes)
        try:
            sync_config(config, ENTRIES)
        except StorageError as error:
            told.append((str(error), error.hint))
            monkeypatch.setattr(os, step, real)
            assert config.read_bytes() in (OLD, NEW)
            assert not [name for name in names(config.parent) if name.endswith((".tmp", ".lock"))]
            config.write_bytes(OLD)
        else:
            assert config.read_bytes() == NEW
            if next(count) <= failing:  # there was no call to fail
                break
            monkeypatch.setattr(os, step, real)
            config.write_bytes(OLD)
    assert told
    assert all("No space left" in message and "Free some space" in hint for message, hint in told)
    assert config.read_bytes() == NEW


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "disk"
    directory.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"cannot mount a tmpfs: {made.stderr.strip()}")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


@needs_root
def test_full_disk(small_disk: Path) -> None:
    """A full disk leaves the config whole and no remains, and the sync works once there is space."""
    config = small_disk / "config.yaml"
    config.write_bytes(OLD + b"# filler\n" * 2000)
    before = config.read_bytes()
    for number in range(4):
        try:
            (small_disk / f"filler{number}").write_bytes(b"x" * (20_000 if number == 0 else 4096))
        except OSError:
            break
    assert_untouched(config, "No space left on device", "Free some space")
    assert config.read_bytes() == before
    assert not [name for name in names(small_disk) if not name.startswith(("config.yaml", "filler"))]
    for filler in small_disk.glob("filler*"):
        filler.unlink()
    sync_config(config, ENTRIES)
    assert config.read_bytes() == update_config(before, ENTRIES).text != before


@needs_root
def test_read_only_file_system(small_disk: Path) -> None:
    """On a read-only file system the config is left alone and the cure named; a dry run works."""
    config = small_disk / "config.yaml"
    config.write_bytes(OLD)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert_untouched(config, "Read-only file system", "mount it writable")
    assert config.read_bytes() == OLD
    assert sync_config(config, ENTRIES, dry_run=True).changed


CHILD = """
    import json, os, sys
    sys.path.insert(0, {root!r})
    from pathlib import Path
    from sidecar.config import held
    from sidecar.config.file import sync_config, restore_backup
    held.QUIET = held._GRACE = 0
    from sidecar.errors import SidecarError
    entries = json.loads({entries!r})
    def run(path, **more):
        try:
            sync_config(Path(path), entries, **more)
        except SidecarError as error:
            print(type(error).__name__, error, error.hint, sep="|")
            sys.exit(error.exit_code)
"""


def child(body: str, **popen: Any) -> subprocess.Popen[str]:
    code = textwrap.dedent(CHILD).format(root=str(ROOT), entries=json.dumps(ENTRIES)) + textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **popen
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


@pytest.fixture
def open_config() -> Iterator[Path]:
    """A config that other users can reach: pytest's own directories are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        config = Path(name, "config.yaml")
        config.write_bytes(OLD)
        yield config


@needs_root
@pytest.mark.parametrize(
    ("owner", "directory_mode", "file_mode", "expected"),
    [
        (1234, 0o555, 0o644, "Permission denied"),
        (1234, 0o755, 0o000, "Permission denied"),
        (4321, 0o777, 0o644, "belongs to uid 4321"),
    ],
    ids=["directory", "unreadable file", "file of another user"],
)
def test_no_permission(open_config: Path, owner: int, directory_mode: int, file_mode: int, expected: str) -> None:
    """Without the rights, or for another user's config, the error names the user, and nothing is changed."""
    config = open_config
    os.chown(config, owner, owner)
    os.chown(config.parent, 1234, 1234)
    config.chmod(file_mode)
    config.parent.chmod(directory_mode)
    # The interpreter is loaded as root; the rights go just before the sync.
    code, output = finished(
        child("os.setgroups([]); os.setresgid(1234, 1234, 1234); os.setresuid(1234, 1234, 1234); run('config.yaml')",
              cwd=config.parent)
    )  # fmt: skip
    assert code == StorageError.exit_code, output
    assert output.startswith("StorageError|")
    assert expected in output
    assert "uid 1234" in output
    assert config.read_bytes() == OLD
    assert names(config.parent) == ["config.yaml"]


# Killed at every step

KILL = """
    at, half = int(sys.argv[1]), sys.argv[2] == "half"
    count = 0
    def traced(name):
        real = getattr(os, name)
        def step(*args, **more):
            global count
            count += 1
            if count == at:
                if half and name == "write":
                    real(args[0], args[1][:len(args[1]) // 2])
                os.kill(os.getpid(), 9)
            return real(*args, **more)
        setattr(os, name, step)
    import fcntl
    for name in "open write fsync fchmod fchown replace unlink close listdir fstat".split():
        traced(name)
    run("config.yaml", backups=2)
    print(count)
"""


def killed(config: Path, at: int, how: str) -> tuple[int, str]:
    code = textwrap.dedent(CHILD).format(root=str(ROOT), entries=json.dumps(ENTRIES)) + textwrap.dedent(KILL)
    done = subprocess.run(
        [sys.executable, "-c", code, str(at), how],
        cwd=config.parent, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_killed_at_any_step_leaves_the_old_or_the_new_file(config: Path) -> None:
    """SIGKILL before every call to the system (so after every other one too), and in the middle of every write."""
    for name in ("20250101T000000Z", "20250102T000000Z"):
        config.with_name(f"config.yaml.bak-{name}").write_bytes(b"x: 1\n")
    code, output = killed(config, 0, "whole")
    assert code == 0, output
    steps = int(output)
    assert steps > 20
    seen = set()
    for at in range(1, steps + 1):
        for path in config.parent.iterdir():
            path.unlink()
        config.write_bytes(OLD)
        config.chmod(0o640)
        for name in ("20250101T000000Z", "20250102T000000Z"):
            config.with_name(f"config.yaml.bak-{name}").write_bytes(b"x: 1\n")
        assert killed(config, at, "half")[0] == -signal.SIGKILL
        text = config.read_bytes()
        seen.add(text)
        assert text in (OLD, NEW)
        assert config.stat().st_mode & 0o777 == 0o640
        assert all(path.read_bytes() in (OLD, b"x: 1\n") for path in backups_of(config)), "no half backup"
        sync_config(config, [*ENTRIES, entry("later")], backups=2)
        assert update_config(config.read_bytes(), ENTRIES).text == NEW
        assert len(names(config.parent)) == 3, names(config.parent)
    assert seen == {OLD, NEW}


# Two at once


def test_syncs_at_once_wait_for_each_other(config: Path) -> None:
    """Syncs at the same time take turns, and each sees what the one before it wrote."""
    body = """
        for number in range(10):
            entries = [dict(entries[0], model_name=f"m{number}-{os.getpid()}")]
            run("config.yaml", backups=100)
    """
    processes = [child(body, cwd=config.parent) for _ in range(3)]
    for process in processes:
        assert finished(process) == (0, "")
    assert update_config(config.read_bytes(), [entry("gone"), entry("kept")]).text == OLD
    before = {path.read_bytes() for path in backups_of(config)}
    assert len(before) == 30
    assert len(backups_of(config)) == 30, "every sync saw what the one before had written"
    assert {name[:15] for name in names(config.parent)} == {"config.yaml", "config.yaml.bak"}


def test_lock_held_by_another_is_waited_for_and_then_reported(config: Path) -> None:
    """A lock that another sync holds is waited for and then reported; one whose holder died is free."""
    holder = child("""
        from sidecar.locks import update_lock
        with update_lock(Path("config.yaml").resolve()):
            print("held", flush=True)
            sys.stdin.readline()
        """, cwd=config.parent, stdin=subprocess.PIPE)  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    begin = time.monotonic()
    with pytest.raises(StorageError, match=r"another sync of .*config\.yaml is still running"):
        sync_config(config, ENTRIES, lock_timeout=0.3)
    assert time.monotonic() - begin >= 0.3
    assert config.read_bytes() == OLD
    assert sync_config(config, ENTRIES, dry_run=True).changed, "a dry run needs no lock"
    holder.kill()
    holder.communicate()
    sync_config(config, ENTRIES, lock_timeout=0)
    assert config.read_bytes() == NEW


def test_read_back_finds_a_disk_that_lies(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that does not keep what was written is found out before the config is replaced."""
    monkeypatch.setattr(os, "write", lambda descriptor, data: len(data))
    with pytest.raises(StorageError, match="does not contain what was written"):
        sync_config(config, ENTRIES)
    assert names(config.parent) == ["config.yaml"]
    assert config.read_bytes() == OLD
