"""The hook reaches the shared volume whole or not at all, from every kind of installation."""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sidecar.errors import StorageError
from sidecar.litellm_proxy import hook_package
from sidecar.litellm_proxy.hook_package import PACKAGE, SOURCE, install_hook
from tests.support.files import files_under, unprivileged
from tests.support.waiting import until

MODULES = sorted(str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py"))


def read(package: Path) -> dict[str, bytes]:
    return {name: (package / name).read_bytes() for name in MODULES}


def test_it_is_placed_as_it_is_in_the_source(tmp_path):
    """Every module, byte for byte, and nothing beside it."""
    target = install_hook(tmp_path)
    assert target == tmp_path / PACKAGE and read(target) == read(SOURCE) and len(MODULES) > 10
    assert [path.name for path in tmp_path.iterdir()] == [PACKAGE]


def test_it_is_left_alone_when_it_is_there(tmp_path):
    """Nothing is written, so that a volume that has become read-only is no failure; compiled files do not count."""
    target = install_hook(tmp_path)
    (target / "__pycache__").mkdir()
    before = target.stat().st_ino
    assert install_hook(tmp_path) == target and target.stat().st_ino == before


@pytest.mark.parametrize("spoil", ["changed", "more", "less"])
@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "step aside"])
def test_another_version_is_replaced_whole(spoil, exchange, tmp_path, monkeypatch):
    """Nothing of the old package stays, and no temporary directory, with and without renameat2."""
    if not exchange:
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    target = install_hook(tmp_path)
    if spoil == "changed":
        (target / "startup.py").write_text("# of an older version\n")
    if spoil == "more":
        (target / "adapter" / "older.py").write_text("")
    if spoil == "less":
        shutil.rmtree(target / "adapter")
    install_hook(tmp_path)
    assert read(target) == read(SOURCE) and not (target / "adapter" / "older.py").exists()
    assert [path.name for path in tmp_path.iterdir()] == [PACKAGE]


def test_an_importing_program_never_meets_half_a_package(tmp_path):
    """Two versions take turns while programs import the hook: every import gets one whole version."""
    first, second = tmp_path / "first", tmp_path / "second"
    for number, version in enumerate((first, second)):
        shutil.copytree(SOURCE, version, ignore=shutil.ignore_patterns("__pycache__"))
        for module in version.rglob("*.py"):
            module.write_text(f"VERSION = {number}\n")
        (version / "__init__.py").write_text("from . import exchange, startup\n")
    shared, stop = tmp_path / "shared", threading.Event()
    shared.mkdir()

    def swap() -> None:
        versions = [hook_package._contents(first), hook_package._contents(second)]
        while not stop.is_set():
            versions.reverse()
            hook_package._replace(shared / PACKAGE, versions[0])

    swapper = threading.Thread(target=swap)
    swapper.start()
    program = f"""
import importlib, sys
sys.path.insert(0, {str(shared)!r})
sys.dont_write_bytecode = True
missing = 0
for _ in range(300):
    for name in [name for name in sys.modules if name.startswith({PACKAGE!r})]:
        del sys.modules[name]
    importlib.invalidate_caches()
    hook = importlib.import_module({PACKAGE!r})
    missing += not hasattr(hook.startup, "VERSION")
print("missing", missing)
"""
    try:
        until((shared / PACKAGE).exists)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    finally:
        stop.set()
        swapper.join()
    assert done.stdout == "missing 0\n", done.stderr


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_everybody_may_read_it(umask, tmp_path):
    """Files are 0644 and directories 0755 whatever the umask: LiteLLM may be another user."""
    before = os.umask(umask)
    try:
        target = install_hook(tmp_path)
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (target, *target.rglob("*"))}
    assert set(modes.values()) == {0o644, 0o755}
    assert all((mode == 0o755) == path.is_dir() for path, mode in modes.items())


def test_the_single_file_of_0_1_0_goes(tmp_path):
    """It would only confuse people: Python finds the package before it."""
    (tmp_path / f"{PACKAGE}.py").write_text("# 0.1.0\n")
    install_hook(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [PACKAGE]


def test_what_a_crash_left_behind_goes(tmp_path):
    """An old temporary directory is removed with the next version, a young one may be somebody's work."""
    old, young = (tmp_path / f".{PACKAGE}.{name}.tmp" for name in ("old", "young"))
    for left in (old, young):
        left.mkdir()
    os.utime(old, (time.time() - 400,) * 2)
    install_hook(tmp_path)
    assert not old.exists() and young.exists()


def test_a_read_only_volume_is_named(outside):
    """The message names the place and the cure, and what was there stays."""
    target = install_hook(outside)
    (target / "startup.py").write_text("# of an older version\n")
    before = files_under(outside)
    outside.chmod(0o555)
    with unprivileged(), pytest.raises(StorageError, match=str(target)) as caught:
        install_hook(outside)
    assert "uid" in caught.value.hint and files_under(outside) == before


def test_a_missing_volume_is_named_and_not_made(tmp_path):
    """A directory that somebody forgot to mount is not quietly replaced by one that nobody else sees."""
    with pytest.raises(StorageError, match="shared"):
        install_hook(tmp_path / "missing" / "shared")
    assert not (tmp_path / "missing").exists()


def test_the_hook_imports_nothing_of_the_sidecar():
    """It runs inside LiteLLM, where there is no sidecar: only relative imports, and what LiteLLM ships."""
    program = f"""
import sys
sys.path.insert(0, {str(SOURCE.parent)!r})
import {PACKAGE}
print(sorted(name for name in sys.modules if name == "sidecar" or name.startswith("sidecar.")))
"""
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False, cwd="/")
    assert done.stdout == "[]\n", done.stderr
