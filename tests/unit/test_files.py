"""Files are replaced whole: a reader, or a crash at any moment, sees the old bytes or the new ones."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
import threading
import time

import pytest

from sidecar.errors import StorageError
from sidecar.files import read_file, remove_leftovers, replace_file
from tests.support.files import NOBODY, files_under, unprivileged
from tests.support.paths import ROOT
from tests.support.waiting import until

OLD, NEW = b"old\n" * 1000, b"new\n" * 3000


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_mode(tmp_path, mode, umask):
    """The file gets exactly the mode that is asked for, whatever the umask."""
    before = os.umask(umask)
    try:
        replace_file(tmp_path / "f", NEW, mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == mode and (tmp_path / "f").read_bytes() == NEW


def test_replaces_what_is_there(tmp_path):
    """An existing file is replaced by a new one, with nothing left beside it."""
    path = tmp_path / "f"
    path.write_bytes(OLD)
    before = path.stat().st_ino
    replace_file(path, NEW, mode=0o644)
    assert files_under(tmp_path) == {"f": NEW} and path.stat().st_ino != before


def test_on_the_disk_before_it_is_visible(tmp_path, monkeypatch):
    """The data is synced before the rename, the directory after it."""
    steps = []
    real = {name: getattr(os, name) for name in ("fsync", "replace")}

    def note(name):
        def call(*arguments):
            steps.append((name, stat.S_ISDIR(os.fstat(arguments[0]).st_mode) if name == "fsync" else None))
            return real[name](*arguments)

        return call

    for name in real:
        monkeypatch.setattr(os, name, note(name))
    replace_file(tmp_path / "f", NEW, mode=0o644)
    assert steps == [("fsync", False), ("replace", None), ("fsync", True)]


def test_readers_see_old_or_new(tmp_path):
    """Somebody who reads all the time never sees a part of a file, nor none."""
    path, done, seen = tmp_path / "f", threading.Event(), set()
    replace_file(path, OLD, mode=0o644)

    def read():
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    until(lambda: seen)
    for number in range(100):
        replace_file(path, NEW if number % 2 else OLD, mode=0o644)
    done.set()
    reader.join()
    assert seen <= {OLD, NEW}


# One child for each line of the module that is executed, killed right before it.
KILLED = """
import os, signal, sys
from pathlib import Path

from sidecar import files

path, old, new = Path(sys.argv[1]), sys.argv[2].encode(), sys.argv[3].encode()

def killer(lines):
    def trace(frame, event, argument):
        nonlocal lines
        if frame.f_code.co_filename != files.__file__:
            return None
        if event == "line":
            lines -= 1
            if lines < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace
    return trace

outcomes = []
for lines in range(200):
    path.write_bytes(old)
    for left in path.parent.glob(".*.tmp"):
        left.unlink()
    if not (child := os.fork()):
        sys.settrace(killer(lines))
        files.replace_file(path, new, mode=0o644)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    outcomes.append({old: "old", new: "new"}.get(path.read_bytes(), "PART"))
    if status == 0:
        break
print(len(outcomes), *sorted(set(outcomes)), outcomes[0], outcomes[-1])
"""


def test_killed_at_every_step(tmp_path):
    """SIGKILL before any line of it leaves the old file or the new one, never a part."""
    path = tmp_path / "f"
    arguments = [sys.executable, "-c", KILLED, str(path), "old" * 1000, "new" * 3000]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=60)
    steps, *rest = done.stdout.split()
    assert (rest, done.stderr) == (["new", "old", "old", "new"], "") and int(steps) > 10
    replace_file(path, NEW, mode=0o644)
    assert path.read_bytes() == NEW


def left_behind(path, age=0.0, name="0123456789ab"):
    """A temporary file as a crash leaves it."""
    left = path.with_name(f".{path.name}.{name}.tmp")
    left.write_bytes(b"part")
    os.utime(left, (time.time() - age, time.time() - age))
    return left


def test_stale_temporaries_are_cleaned(tmp_path):
    """Temporary files of a crash go once they are old; young ones may belong to somebody at work."""
    path = tmp_path / "f"
    other = tmp_path / ".other.0123456789ab.tmp"
    other.write_bytes(b"not ours")
    os.utime(other, (0, 0))
    old, young = left_behind(path, 400), left_behind(path, 10, "ba9876543210")
    remove_leftovers(path)
    assert not old.exists() and young.exists() and other.exists()


def test_a_crash_never_stands_in_the_way(tmp_path):
    """What a crash left behind does not keep the next run from writing, and the next run cleans it up."""
    path = tmp_path / "f"
    left = left_behind(path, 400)
    replace_file(path, NEW, mode=0o644)
    assert path.read_bytes() == NEW and not left.exists()


def refused(path, data=NEW):
    """The error of a write that must fail, and leave everything as it is."""
    before = files_under(path.parent) if path.parent.is_dir() else None
    with pytest.raises(StorageError) as caught:
        replace_file(path, data, mode=0o644)
    assert str(path) in str(caught.value) and str(path.parent) in caught.value.hint and caught.value.exit_code == 5
    assert before == (files_under(path.parent) if path.parent.is_dir() else None)
    return str(caught.value)


def test_missing_directory(tmp_path):
    """Without the directory the message names the file, and the cure."""
    assert "No such file" in refused(tmp_path / "missing" / "f")


def test_directory_in_place_of_the_file(tmp_path):
    """A directory where the file should be is not touched."""
    (tmp_path / "f").mkdir()
    assert "directory" in refused(tmp_path / "f").lower()


def test_read_only_directory(outside):
    """In a directory that may not be written to, the old file stays."""
    (outside / "f").write_bytes(OLD)
    outside.chmod(0o555)
    with unprivileged():
        assert "Permission denied" in refused(outside / "f")
    assert (outside / "f").read_bytes() == OLD


def test_limit_of_file_size(tmp_path):
    """A write that fails half-way leaves the old file, and no temporary one."""
    (tmp_path / "f").write_bytes(OLD)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        assert "File too large" in refused(tmp_path / "f", b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files_under(tmp_path) == {"f": OLD}


def test_no_space(tmp_path):
    """A full disk leaves the old file, and no temporary one."""
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tiny)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a tiny file system")
    try:
        (tiny / "f").write_bytes(OLD)
        assert "No space left" in refused(tiny / "f", b"x" * 100_000)
        assert files_under(tiny) == {"f": OLD}
    finally:
        subprocess.run(["umount", str(tiny)], check=True)


def test_read(tmp_path):
    """A file is read, a missing one is None."""
    (tmp_path / "f").write_bytes(OLD)
    assert read_file(tmp_path / "f") == OLD and read_file(tmp_path / "g") is None


def test_read_refused(outside):
    """A file that cannot be read is named, with the cure."""
    secret = outside / "f"
    secret.write_bytes(OLD)
    secret.chmod(0o000)
    for path, reason in [(secret, "Permission denied"), (outside, "directory")]:
        with unprivileged(), pytest.raises(StorageError, match=reason) as caught:
            read_file(path)
        assert str(path) in str(caught.value) and caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")
def test_directory_of_somebody_else(outside):
    """A user who owns the directory replaces a file that root left there."""
    (outside / "f").write_bytes(OLD)
    os.chown(outside, NOBODY, NOBODY)
    with unprivileged():
        replace_file(outside / "f", NEW, mode=0o644)
    assert (outside / "f").read_bytes() == NEW
