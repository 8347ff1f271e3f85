"""Installs the hook, a package of several modules, where LiteLLM's workers import it: completely or not at all,
because LiteLLM may start at any moment.

The hook is delivered next to the models file: that way it reaches the stock LiteLLM image in every deployment
(compose volume, `emptyDir`, ConfigMap) without building an image, and hook and file always come from the same
version.

A directory cannot be replaced by renaming another one over it. If the kernel and the file system can exchange two
names (Linux 3.15, all common local file systems), they are exchanged; otherwise the old one is renamed first.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from pathlib import Path

from sidecar.errors import SidecarError
from sidecar.files import storage_errors
from sidecar.litellm_hot_reload.bounded import read_bounded

PACKAGE = "litellm_hot_reload"
SOURCE = Path(__file__).parents[1] / PACKAGE
_MAX_LEFTOVER_AGE = 300.0
_MAX_MODULE = 2**20
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def install_hook(directory: Path, *, alone: bool = False) -> Path:
    """Install the hook in ``directory`` (unless it is up to date) and return its path. Raises StorageError.

    ``alone``: a lock keeps other writers out, so that all leftovers of a crash go, not only old ones.
    """
    with storage_errors(SOURCE, "read"):
        contents = _contents(SOURCE)
    if "__init__.py" not in contents:
        raise SidecarError(f"{PACKAGE} is missing from this installation", hint="Install the package again.")
    target = directory / PACKAGE
    with storage_errors(target, "written"):
        _remove_leftovers(target, alone)
        try:
            is_current = _contents(target) == contents
        except OSError:  # a pipe in place of a module, for one
            is_current = False
        if not is_current:
            _replace(target, contents)
        # The single file that 0.1.0 installed. Python prefers the package, but the file would confuse people.
        target.with_suffix(".py").unlink(missing_ok=True)
    return target


def _contents(package: Path) -> dict[str, bytes]:
    """The modules of a package by relative path; empty if it does not exist. Raises OSError."""
    return {str(path.relative_to(package)): read_bounded(path, _MAX_MODULE) for path in sorted(package.rglob("*.py"))}


def _replace(target: Path, contents: dict[str, bytes]) -> None:
    staging = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        staging.mkdir()  # not its parents: a missing volume must not go unnoticed
        for name, data in contents.items():
            path = staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
        for path in (staging, *staging.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)
        if os.path.lexists(target):
            _exchange(staging, target)
        else:
            staging.rename(target)
    finally:
        _remove(staging)


def _exchange(new: Path, old: Path) -> None:
    """Swap the names of two directories."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    rename = getattr(libc, "renameat2", None)
    if rename is not None and rename(_AT_FDCWD, bytes(new), _AT_FDCWD, bytes(old), _RENAME_EXCHANGE) == 0:
        return
    aside = new.with_name(new.name + ".old")
    old.rename(aside)
    try:
        new.rename(old)
    except OSError:
        aside.rename(old)
        raise
    _remove(aside)


def _remove_leftovers(target: Path, alone: bool) -> None:
    for leftover in target.parent.glob(f".{target.name}.*.tmp*"):
        with contextlib.suppress(OSError):
            if alone or abs(time.time() - leftover.stat().st_mtime) > _MAX_LEFTOVER_AGE:
                _remove(leftover)


def _remove(path: Path) -> None:
    """Delete a package, or what was in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
