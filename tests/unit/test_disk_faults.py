"""Disks that are full, read-only or gone, and limits of the process: what was there stays, and all heals afterwards."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import resource
import subprocess
import sys

import pytest

from sidecar.cli import main
from sidecar.errors import StorageError
from sidecar.litellm_proxy import hook_package, master_key
from sidecar.logs import configure
from sidecar.service.loop import prepare
from sidecar.service.sync import Session
from sidecar.settings import Settings
from sidecar.user_command import run_user_command
from tests.fakes.catalog import model
from tests.support.files import PLACES, files_under
from tests.support.github_paths import EXCHANGE, MODELS
from tests.support.kill_scenarios import SCENARIOS
from tests.support.paths import ROOT
from tests.support.tools import missing, tool
from tests.support.waiting import until


def mount(*words):
    """What `mount` is given; only root may, and a container without rights may not even then."""
    done = subprocess.run(["mount", *map(str, words)], capture_output=True, text=True, check=False)
    if os.geteuid() != 0 or done.returncode:
        missing(f"only root may mount a file system: {done.stderr}")


@pytest.fixture
def volume(tmp_path):
    """A small file system of its own, mounted at two places."""
    first, second = tmp_path / "volume", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    mount("-t", "tmpfs", "-o", "size=1m,nr_inodes=100", "none", first)
    try:
        mount("--bind", first, second)
        yield first
    finally:
        for path in (first, second):
            subprocess.run(["umount", "-l", str(path)], capture_output=True, check=False)


@contextlib.contextmanager
def full(volume):
    """No space is left."""
    filling = volume / "filling"
    with contextlib.suppress(OSError), filling.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    yield
    filling.unlink()


@contextlib.contextmanager
def out_of_inodes(volume):
    """No file can be made."""
    made = volume / "made"
    made.mkdir()
    with contextlib.suppress(OSError):
        for number in range(1000):
            (made / str(number)).touch()
    yield
    subprocess.run(["rm", "-r", str(made)], check=True)


@contextlib.contextmanager
def read_only(volume):
    """Nothing can be written."""
    mount("--bind", volume.with_name("second"), volume)  # on top: not even who has a file open there is asked
    mount("-o", "remount,bind,ro", volume)
    yield
    subprocess.run(["umount", str(volume)], check=True)


@contextlib.contextmanager
def limited(kind, value):
    """This process may have no more than ``value``."""
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (value, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


def small_files(volume):
    """Files may have a byte, and no more."""
    return limited(resource.RLIMIT_FSIZE, 1)


@contextlib.contextmanager
def no_descriptors(volume):
    """No file can be opened."""
    free = os.open("/dev/null", os.O_RDONLY)
    os.close(free)
    with limited(resource.RLIMIT_NOFILE, free):
        yield


FAULTS = {
    full: ("No space left", "space"),
    out_of_inodes: ("No space left", "inodes"),
    read_only: ("Read-only", "writable"),
    small_files: ("File too large", "ulimit -f"),
    no_descriptors: ("Too many open files", "ulimit -n"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["models file", "config", "restored config", "hook", "access token", "master key"])
def test_every_file_on_every_disk(volume, name, fault, monkeypatch):
    """Whatever the disk refuses, the old files stay, the error names the path and the cure, and then all is well."""
    scenario, place = SCENARIOS[name], volume / "place"
    monkeypatch.setattr(hook_package, "SOURCE", hook_package.SOURCE)
    monkeypatch.setattr(master_key, "secrets", master_key.secrets)
    place.mkdir()
    scenario.reset(place)
    scenario.act(place)  # imports what it needs
    new = scenario.shape(files_under(place))
    scenario.reset(place)
    before = files_under(place)
    said, cure = FAULTS[fault]
    with fault(volume), pytest.raises(StorageError) as caught:
        scenario.act(place)
    assert said in str(caught.value) and str(place) in str(caught.value) and cure in caught.value.hint
    kept = {path: data for path, data in files_under(place).items() if ".bak-" not in path}
    assert kept == {path: data for path, data in before.items() if ".bak-" not in path}
    scenario.act(place)
    assert scenario.shape(files_under(place)) == new


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize("name", ["", "__init__.py"])
def test_anything_in_place_of_the_hook(tmp_path, kind, name):
    """Whatever stands where the hook, or a module of it, should be, is replaced by it, and nothing is left over."""
    settings = Settings(models_file=tmp_path / "m.yaml")
    package = tmp_path / hook_package.PACKAGE
    if name:
        prepare(settings)
        (package / name).unlink()
    PLACES[kind](package / name)
    prepare(settings)
    assert hook_package._contents(package) == hook_package._contents(hook_package.SOURCE)
    assert sorted(os.listdir(tmp_path)) == [hook_package.PACKAGE, "m.yaml"]


@pytest.mark.parametrize("fault", [full, small_files])
def test_a_log_file_that_cannot_be_written(volume, fault, capsys):
    """It costs the lines of that time and one message, and nothing else; afterwards it is written again."""
    file, log = volume / "log" / "sync.log", logging.getLogger("sidecar.test")
    configure("INFO", as_json=True, file=file)
    log.info("before")
    with fault(volume):
        for number in range(3):
            log.info("during %s %s", number, "x" * 5000)
    log.info("after")
    log.info("later")
    said = [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()]
    assert len([text for text in said if "cannot be written" in text]) == 1
    assert [text[:6] for text in said if "cannot" not in text] == ["before", *["during"] * 3, "after", "later"]
    assert '"later"' in file.read_text()


def test_a_log_directory_that_comes_and_goes(tmp_path, capsys):
    """A log file whose directory is taken away does no harm, and is made again when that is back."""
    file, log = tmp_path / "log" / "sync.log", logging.getLogger("sidecar.test")
    configure("INFO", as_json=True, file=file)
    file.parent.rename(tmp_path / "away")
    log.info("lost")
    (tmp_path / "away").rename(file.parent)
    log.info("kept")
    assert '"kept"' in file.read_text() and capsys.readouterr().err.count("cannot be written") == 1


@pytest.mark.parametrize("kind", PLACES)
def test_anything_in_place_of_the_log_file(tmp_path, kind, capsys):
    """What cannot be a log file is refused at the start or written to: nobody is waited for."""
    PLACES[kind](tmp_path / "log")
    configure("INFO", as_json=True)
    with contextlib.suppress(StorageError):
        configure("INFO", as_json=True, file=tmp_path / "log")
    logging.getLogger("sidecar.test").info("said all the same")
    assert "said all the same" in capsys.readouterr().err


def test_a_log_file_that_another_rotates(tmp_path):
    """Somebody who holds the lock of the rotation, a stopped process, holds nobody up."""
    file = tmp_path / "log"
    PLACES["400 MB"](file)
    configure("INFO", as_json=True, file=file)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    logging.getLogger("sidecar.test").info("written")
    os.close(descriptor)
    assert sorted(os.listdir(tmp_path)) == ["log"]


def test_no_room_for_the_files_of_a_command(volume, stop, monkeypatch):
    """A command that cannot be given its files has failed, which is a message and no defect."""
    monkeypatch.setattr("tempfile.tempdir", str(volume))
    with full(volume):
        assert run_user_command("true", b"x", stop) == "cannot be started (No space left on device: true)"
    assert run_user_command("true", b"x", stop) == ""


@pytest.mark.parametrize(("error", "said"), [("EDQUOT", "quota"), ("EIO", "disk")])
def test_quota_and_broken_disk(bench, error, said):
    """A quota that is used up, and a disk that fails, where fsync says so: exit code 5, and the old file stays."""
    bench.log_in()
    bench.run("prepare")
    before = files_under(bench.shared)
    words = [tool("strace", "apt-get install strace"), "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync"]
    words += ["-e", f"inject=fsync:error={error}", sys.executable, "-m", "sidecar", "sync"]
    done = subprocess.run(words, cwd=ROOT, env=bench.environ, capture_output=True, text=True, timeout=120)
    if "ptrace" in done.stderr:
        missing(done.stderr)
    assert done.returncode == 5 and said in done.stderr and str(bench.models_file) in done.stderr
    assert files_under(bench.shared) == before


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("models | head -1 >&2", 0, "MODEL"),
        ("models >&-", 0, ""),
        ("models >/dev/full", 5, "standard output cannot be written: No space left"),
        ("models 2>&-", 0, ""),
        ("sync --restore 2>&-", 2, ""),
        ("sync --restore 2>/dev/full", 2, ""),
    ],
)
def test_standard_output_that_is_not_read(bench, command, code, said):
    """A reader that has gone, an output that is closed or full: the exit code is right, and nothing is called a bug."""
    bench.log_in()
    shell = f"{sys.executable} -m sidecar {command}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", shell], cwd=ROOT, env=bench.environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code and said in done.stderr and "bug" not in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_not_enough_memory(bench, monkeypatch, capsys):
    """A sync without enough memory is no defect: exit code 5, with what to do."""
    monkeypatch.setattr(Session, "fetch", lambda *_: bytearray(2**62))
    assert main(["sync"], bench.environ) == 5 and "COPILOT_SYNC_MEMORY" in capsys.readouterr().err


HURRIED = "from sidecar import cli; from sidecar.service import loop; loop.LONGEST_LOCAL_WAIT = 0.05; cli.entry()"


@contextlib.contextmanager
def in_its_place(path):
    path.rename(path.with_name("aside"))
    path.mkdir()
    yield
    path.rmdir()
    path.with_name("aside").rename(path)


@contextlib.contextmanager
def unmounted(volume):
    subprocess.run(["umount", "-l", str(volume)], check=True)
    volume.rmdir()
    yield
    volume.mkdir()
    mount("--bind", volume.with_name("second"), volume)


@contextlib.contextmanager
def limit_of(process, kind, value):
    before = resource.prlimit(process.pid, kind)
    resource.prlimit(process.pid, kind, (value, before[1]))
    yield
    resource.prlimit(process.pid, kind, before)


def test_the_service_goes_on(bench, volume):
    """A running service survives one fault after another, with its last models in place, and heals from each."""
    bench.log_in()
    bench.models_file = volume / "copilot_models.yaml"
    log = volume.with_name("service.log")
    with log.open("wb") as output:
        service = subprocess.Popen(
            [sys.executable, "-c", HURRIED, "run"],
            cwd=ROOT,
            env=bench.environ | {"COPILOT_MODELS_FILE": str(bench.models_file), "COPILOT_MODEL_SYNC_INTERVAL": "1"},
            stderr=output,
        )
    second = volume.with_name("second") / bench.models_file.name

    def messages():
        return [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def go_through(fault):
        last, seen = second.read_bytes() if fault != "directory" else None, len(messages())
        bench.gh.set_catalog([*bench.gh.catalog, model(fault)])
        until(lambda: [said for said in messages()[seen:] if "sync" in said["message"]], what=f"a message: {fault}")
        said = messages()[seen:]
        assert last is None or second.read_bytes() == last
        assert (service.poll() is None and "Traceback" not in str(said)) or fault == "descriptors", said

    faults = {
        "full": (full, volume),
        "inodes": (out_of_inodes, volume),
        "read-only": (read_only, volume),
        "directory": (in_its_place, bench.models_file),
        "unmounted": (unmounted, volume),
        "descriptors": (limit_of, service, resource.RLIMIT_NOFILE, 4),
    }
    try:
        until(lambda: bench.names(), what="the first models")
        for name, (fault, *arguments) in faults.items():
            with fault(*arguments):
                go_through(name)
            until(lambda new=f"github_copilot/{name}": new in (bench.names() or []), what=f"healed from: {name}")
    finally:
        service.kill()
        service.wait(60)
    assert bench.gh.count(MODELS) > len(faults) and bench.gh.count(EXCHANGE) == 1
