"""An editor that saves while a sync runs: no save is lost, however it saves, and wherever the sync is just then."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sidecar.config import held
from sidecar.config.backups import backups_of
from sidecar.config.edit import update_config
from sidecar.config.file import restore_backup, rewrite_file, sync_config
from sidecar.errors import StorageError, UsageError
from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX
from sidecar.models.absences import absences_file
from tests.support.paths import ROOT
from tests.unit.corpus.configs import USUAL


def entry(name: str) -> dict[str, Any]:
    return {
        "model_name": name,
        "litellm_params": {"model": f"github_copilot/{name}"},
        "model_info": {"id": MANAGED_PREFIX + name, "mode": "chat"},
    }


ENTRIES = [entry("new")]
SAVED = USUAL + b"# saved\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config that was last saved long ago."""
    path = tmp_path / "config.yaml"
    path.write_bytes(update_config(USUAL, [entry("old")]).text)
    os.utime(path, (1e9, 1e9))
    return path


@contextmanager
def editing(edit: Callable[[], object]) -> Iterator[None]:
    """An editor at work beside."""
    thread = threading.Thread(target=edit)
    thread.start()
    try:
        yield
    finally:
        thread.join()


# Real processes

EDITOR = """
import os, random, sys, threading, time
from pathlib import Path
lost = []

def truncate(path, data, pause):
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for half in (data[: len(data) // 2], data[len(data) // 2 :]):
        time.sleep(pause / 2)
        os.write(file, half)
    os.close(file)

def reopen(path, data, pause):  # as a shell does: > config; cat a >> config; cat b >> config
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
    for half in (data[: len(data) // 2], data[len(data) // 2 :]):
        time.sleep(pause / 2)
        append(path, half, 0)

def append(path, data, pause):
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(file, data[:5])
    time.sleep(pause)
    os.write(file, data[5:])
    os.close(file)

def replace(path, data, pause):
    Path(path + ".swp").write_bytes(data)
    time.sleep(pause)
    os.replace(path + ".swp", path)

def move(path, data, pause):
    os.rename(path, path + "~")
    time.sleep(pause)
    Path(path).write_bytes(data)

def edit(path, style, pause, saves, quiet):
    base = Path(path).read_bytes()
    chance = random.Random(path)
    for number in range(1, saves + 1):
        mark = b"# save %d of %d bytes\\n" % (number, len(base))
        data = mark if style is append else base.replace(b"model_list:\\n", mark + b"model_list:\\n") + mark
        style(path, data, pause)
        time.sleep(quiet * chance.uniform(0.8, 1.3))
        end = time.monotonic() + 20 * quiet + 10
        while not whole(path, mark, style) and time.monotonic() < end:
            time.sleep(0.05)
        if not whole(path, mark, style):
            lost.append(f"{path}: save {number}")

def whole(path, mark, style):
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return False
    return data.count(mark) == (1 if style is append else 2) and data.count(b"general_settings") == 1

quiet, saves = float(sys.argv[1]), int(sys.argv[2])
threads = [
    threading.Thread(target=edit, args=(path, globals()[style], float(pause), saves, quiet))
    for path, style, pause in (words.split(",") for words in sys.argv[3:])
]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(*lost, sep="\\n")
"""

SYNCS = """
import sys, threading
from itertools import count
from pathlib import Path
sys.path.insert(0, {root!r})
from sidecar.config import held
from sidecar.config.file import sync_config
from sidecar.errors import SidecarError
held.QUIET, done = float(sys.argv[1]), threading.Event()

def syncs(path):
    for number in count():
        entry = {{"model_name": f"v{{number}}", "litellm_params": {{"model": "github_copilot/x"}},
                 "model_info": {{"id": "github_copilot/managed/x", "mode": "chat"}}}}
        try:
            changed[path] += sync_config(Path(path), [entry]).changed
        except SidecarError as error:
            refused[path] = str(error)
        if done.is_set():
            return

changed, refused = dict.fromkeys(sys.argv[2:], 0), {{}}
threads = [threading.Thread(target=syncs, args=(path,)) for path in sys.argv[2:]]
for thread in threads: thread.start()
sys.stdin.read()
done.set()
for thread in threads: thread.join()
print(min(changed.values()), refused)
"""

QUIET, SAVES = 0.5, 9
EDITORS = [
    *(("truncate", pause) for pause in (0, 0.05, 0.3, 1.5)),
    *(("reopen", pause) for pause in (0, 0.05, 0.3)),
    *(("append", pause) for pause in (0, 0.3)),
    *(("replace", 0), ("move", 0), ("move", 0.3)),
]


def test_no_save_of_any_editor_is_lost(tmp_path: Path) -> None:
    """A hundred saves of twelve editors against syncs without pause: each is there until the next, the last stays."""
    paths = [tmp_path / f"{style}-{pause}.yaml" for style, pause in EDITORS]
    for path in paths:
        path.write_bytes(USUAL)
    syncs = subprocess.Popen(
        [sys.executable, "-c", SYNCS.format(root=str(ROOT)), str(QUIET), *map(str, paths)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    words = [f"{path},{style},{pause}" for path, (style, pause) in zip(paths, EDITORS, strict=True)]
    edited = subprocess.run(
        [sys.executable, "-c", EDITOR, str(QUIET), str(SAVES), *words], capture_output=True, text=True, check=False
    )
    told, _ = syncs.communicate("", timeout=120)
    assert edited.stdout.split("\n") == ["", ""], (edited.stdout, edited.stderr, told)
    assert int(told.split()[0]) >= 2, told
    for path, (style, _) in zip(paths, EDITORS, strict=True):
        text = path.read_bytes()
        marks = text.count(b"# save "), text.count(b"# save %d of" % SAVES)
        assert marks == ((SAVES, 1) if style == "append" else (2, 2)), path
        assert text.count(b"- model_name: v") == 1, path


# The last window: between the check and the rename


def save(path: Path, data: bytes, *, pause: float = 0.1, opened: threading.Event | None = None) -> None:
    """As an editor does that truncates; ``opened`` is set as soon as the file is open."""
    with path.open("wb") as file:
        if opened:
            opened.set()
        time.sleep(pause)
        file.write(data)


@pytest.fixture(params=["leases", "no leases"])
def late(request: pytest.FixtureRequest, config: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """An editor that opens the config directly before it is replaced, and saves what is put into the list."""
    with_leases = request.param == "leases"
    monkeypatch.setattr(held, "QUIET", 0.3)
    if not with_leases:
        monkeypatch.setattr(held, "_lease", lambda file: None)
    rename, saves, editors = os.replace, [SAVED], []

    def replace(source: Any, target: Any) -> None:
        if Path(target) == config and saves:
            opened = threading.Event()
            editors.append(threading.Thread(target=save, args=(config, saves.pop()), kwargs={"opened": opened}))
            editors[-1].start()
            opened.wait(0.1 if with_leases else None)  # with a lease, opening waits until the rename is done
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    yield saves
    for editor in editors:
        editor.join()
    assert not saves


def test_save_to_a_replaced_file_is_taken(config: Path, late: list[bytes]) -> None:
    """What an editor writes to the file that has just been replaced is noticed, backed up, and gets our entries."""
    outcome = sync_config(config, ENTRIES)
    assert config.read_bytes() == update_config(SAVED, ENTRIES).text == outcome.update.text
    assert outcome.before == SAVED
    assert SAVED in [path.read_bytes() for path in backups_of(config)]


def test_late_save_that_cannot_be_edited_is_put_back(config: Path, late: list[bytes]) -> None:
    """A late save that is no config is refused as any other, and stays as the user saved it."""
    late[:] = [b"model_list: [\n"]
    with pytest.raises(UsageError, match="not valid YAML"):
        sync_config(config, ENTRIES)
    assert config.read_bytes() == b"model_list: [\n"


def test_late_save_of_nothing_is_not_taken(config: Path, late: list[bytes]) -> None:
    """An editor that truncated the replaced file and wrote nothing has not emptied the config."""
    before, late[:] = config.read_bytes(), [b" \n"]
    sync_config(config, ENTRIES)
    assert config.read_bytes() == update_config(before, ENTRIES).text


def test_restore_and_undo_lose_no_late_save(config: Path, late: list[bytes]) -> None:
    """A save during a restore is backed up, as one before it is; during an undo, it stays."""
    config.with_name("config.yaml.bak-20250101T000000Z").write_bytes(b"model_list: []\n")
    restore_backup(config)
    assert config.read_bytes() == b"model_list: []\n"
    assert SAVED in [path.read_bytes() for path in backups_of(config)]
    late[:] = [SAVED]

    def undo(now: bytes | None) -> bytes:
        if now != b"model_list: []\n":
            raise StorageError("changed meanwhile")
        return USUAL

    with pytest.raises(StorageError, match="changed meanwhile"):
        rewrite_file(config, undo, ours=b"model_list: []\n")
    assert config.read_bytes() == SAVED


# Before: a file that is being saved


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("start", [b"", b"model_list: [\n", USUAL[:200]], ids=["empty", "invalid", "half"])
def test_file_that_has_just_changed_is_left_to_settle(
    config: Path, start: bytes, dry_run: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty, an invalid and a half-written file are not taken while they may still be being written."""
    monkeypatch.setattr(held, "QUIET", 0.5)
    config.write_bytes(start)

    def finish() -> None:
        time.sleep(0.2)
        config.write_bytes(SAVED)

    with editing(finish):
        outcome = sync_config(config, ENTRIES, dry_run=dry_run)
    assert outcome.before == SAVED
    assert config.read_bytes() == (SAVED if dry_run else update_config(SAVED, ENTRIES).text)


def test_open_writer_is_waited_for(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause between two halves may be longer than a file needs to settle: whoever has it open is not done."""
    monkeypatch.setattr(held, "QUIET", 0.1)
    with editing(lambda: save(config, SAVED, pause=1.0)):
        while config.read_bytes():
            time.sleep(0.01)
        sync_config(config, ENTRIES)
    assert config.read_bytes() == update_config(SAVED, ENTRIES).text


def test_writer_that_never_closes_does_not_stop_syncs(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that has the config open for ever, and writes nothing, is given up; a late save of it is not lost."""
    monkeypatch.setattr(held, "_MAX_OPEN", 0.2)
    with config.open("r+b"):
        sync_config(config, ENTRIES)
    assert update_config(config.read_bytes(), []).text == USUAL
    assert b"model_name: new" in config.read_bytes()


def test_file_that_never_settles(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A config that is saved again and again is given up with a message, and left as it was saved last."""
    monkeypatch.setattr(held, "QUIET", 1.0)
    monkeypatch.setattr(held, "MAX_WAIT", 1.5)
    done = threading.Event()
    config.write_bytes(SAVED)

    def saving() -> None:
        while not done.wait(0.05):
            config.write_bytes(SAVED)

    with editing(saving):
        try:
            with pytest.raises(StorageError, match="keeps being changed") as caught:
                sync_config(config, ENTRIES)
        finally:
            done.set()
    assert config.read_bytes() == SAVED and caught.value.hint
    assert [path.name for path in config.parent.iterdir()] == ["config.yaml"]


def test_usual_sync_does_not_wait(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a config that was saved long ago is waited for, nor one with nothing to change; else this never ends."""
    monkeypatch.setattr(held, "QUIET", 1000)
    monkeypatch.setattr(held, "MAX_WAIT", 2000)
    assert sync_config(config, ENTRIES).changed
    assert not sync_config(config, ENTRIES).changed
    assert not sync_config(config, ENTRIES, dry_run=True).changed
    assert rewrite_file(config, lambda _: USUAL, ours=config.read_bytes())[1]


# Empty


@pytest.mark.parametrize("text", [b"", b" \n\n"])
@pytest.mark.parametrize("known_by", ["backup", "record"])
@pytest.mark.parametrize("how", [{}, {"dry_run": True}, {"adopt": True}], ids=str)
def test_emptied_config_is_refused(config: Path, text: bytes, known_by: str, how: dict[str, bool]) -> None:
    """A config that was not empty before is not taken for one with nothing in it; --restore brings it back."""
    if known_by == "backup":
        sync_config(config, ENTRIES)
    else:
        absences_file(config).touch()
    config.write_bytes(text)
    with pytest.raises(UsageError, match=r"config\.yaml: the config is empty, but was not before") as caught:
        sync_config(config, ENTRIES, **how)
    assert "--restore" in caught.value.hint and config.read_bytes() == text
    if known_by == "backup":
        restore_backup(config)
        assert update_config(config.read_bytes(), []).text == USUAL


def test_empty_config_is_fine_at_first_and_if_it_always_was(config: Path) -> None:
    """An empty config gets our entries; put back to what it was, it gets them again."""
    config.write_bytes(b"")
    sync_config(config, ENTRIES)
    config.write_bytes(b"")
    assert sync_config(config, ENTRIES).changed


# Something else in its place


@pytest.mark.parametrize("kind", ["directory", "pipe", "symlink", "symlink to itself", "gone"])
def test_config_that_is_replaced_by_something_else_meanwhile(
    config: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes to stand in the config's place while a sync runs stays, as does what a new symlink leads to."""
    elsewhere = config.with_name("elsewhere")
    place: dict[str, Callable[[], object]] = {
        "directory": config.mkdir,
        "pipe": lambda: os.mkfifo(config),
        "symlink": lambda: config.symlink_to(elsewhere),
        "symlink to itself": lambda: config.symlink_to(config),
        "gone": lambda: None,
    }
    real = held.replace_unchanged

    def replace(*args: Any, **more: Any) -> bool:
        if config.is_file() and not config.is_symlink():
            config.rename(elsewhere)
            place[kind]()
            os.utime(elsewhere, (1e9, 1e9))
        return real(*args, **more)

    before = config.read_bytes()
    monkeypatch.setattr(held, "replace_unchanged", replace)
    if kind == "gone":
        sync_config(config, ENTRIES)
        assert update_config(config.read_bytes(), []).text == b""
    else:
        with pytest.raises((StorageError, UsageError)) as caught:
            sync_config(config, ENTRIES)
        assert str(config) in str(caught.value)
        assert (config.is_dir(), config.is_fifo(), config.is_symlink()) == (
            kind == "directory", kind == "pipe", "symlink" in kind
        )  # fmt: skip
    assert elsewhere.read_bytes() == before


def test_lease_that_the_kernel_has_taken_back(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync that is suspended while an editor waits for it loses the lease, and finds the save all the same."""
    monkeypatch.setattr(held, "QUIET", 0.2)
    rename = os.replace
    saves = [SAVED]

    def suspended(source: Any, target: Any) -> None:
        rename(source, target)
        if Path(target) == config and saves:
            for descriptor in map(int, os.listdir("/proc/self/fd")):
                with contextlib.suppress(OSError):
                    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
                    if os.fstat(descriptor).st_nlink == 0 and os.fstat(descriptor).st_size:
                        Path(f"/proc/self/fd/{descriptor}").write_bytes(saves.pop())

    monkeypatch.setattr(os, "replace", suspended)
    sync_config(config, ENTRIES)
    assert not saves and config.read_bytes() == update_config(SAVED, ENTRIES).text
