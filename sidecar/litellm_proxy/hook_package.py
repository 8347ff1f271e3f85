"""Places the hook, a package of several modules, where LiteLLM's workers import it: whole or not at all, because
LiteLLM may start at any moment.

The hook travels with the models file because that reaches the stock LiteLLM image in every way of running it
(compose volume, `emptyDir`, ConfigMap) without building an image, and because hook and file then always come
from one version.

A directory cannot be replaced by renaming another one over it. Where the kernel and the file system can exchange
two names (Linux 3.15, all usual local file systems) that is what is done; elsewhere the old one steps aside first.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import time
from pathlib import Path

from sidecar.errors import SidecarError
from sidecar.files import storage_errors

PACKAGE = "litellm_hot_reload"
SOURCE = Path(__file__).parents[1] / PACKAGE
_STALE_AFTER = 300.0
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def install_hook(directory: Path) -> Path:
    """Place the hook in ``directory`` (unless it is there already) and return its path. Raises StorageError."""
    if not (SOURCE / "__init__.py").is_file():
        raise SidecarError(f"{PACKAGE} is missing from this installation", hint="Install the package again.")
    target = directory / PACKAGE
    with storage_errors(target, "written"):
        if _contents(target) != _contents(SOURCE):
            _replace(target, _contents(SOURCE))
        # The single file that 0.1.0 placed. Python finds the package before it, but it would only confuse people.
        target.with_suffix(".py").unlink(missing_ok=True)
    return target


def _contents(package: Path) -> dict[str, bytes]:
    """The modules of a package by their relative path; nothing for one that is not there."""
    return {str(path.relative_to(package)): path.read_bytes() for path in sorted(package.rglob("*.py"))}


def _replace(target: Path, contents: dict[str, bytes]) -> None:
    _remove_stale(target)
    staging = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        staging.mkdir()  # not its parents: a volume that is missing is to be noticed
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
        if target.exists():
            _exchange(staging, target)
        else:
            staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _exchange(new: Path, old: Path) -> None:
    """Let two directories swap their names."""
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
    shutil.rmtree(aside, ignore_errors=True)


def _remove_stale(target: Path) -> None:
    """Delete what a crash left behind, older than five minutes."""
    for left in target.parent.glob(f".{target.name}.*.tmp*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_AFTER:
                shutil.rmtree(left, ignore_errors=True)
