"""The record of absences in a file next to a config or a models file, named after all of its name.

Before, ``config.yaml`` and ``config.yml`` shared ``.config.memory.json``: it is taken over by each that has none yet.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from sidecar.errors import UsageError
from sidecar.files import read_file, replace_file
from sidecar.models.absences import absences_file


def read_record(file: Path) -> bytes | None:
    """The record for ``file``; None if there is none, empty for anything that cannot be ours."""
    own, old = read_ours(absences_file(file)), shared_name(absences_file(file), file)
    return read_ours(old) if own is None and old is not None else own


def write_record(file: Path, data: bytes) -> None:
    """Make ``data`` the record for ``file``; its time is that of the last sync. Raises StorageError."""
    record = absences_file(file)
    if read_ours(record) == data:
        with contextlib.suppress(OSError):
            os.utime(record)
        return
    replace_file(record, data, mode=0o644)
    old = shared_name(record, file)
    others = [absences_file(path) for path in file.parent.glob("*") if path.stem == file.stem and path != file]
    if old is not None and old not in others and all(other.exists() for other in others):
        with contextlib.suppress(OSError):
            old.unlink()


def shared_name(beside: Path, file: Path) -> Path | None:
    """How ``beside``, a file next to ``file``, was named when only the stem of ``file`` was in its name."""
    return beside.with_name(beside.name.replace(file.name, file.stem, 1)) if file.suffix else None


def read_ours(path: Path) -> bytes | None:
    """The bytes of a file that only we write; empty for anything that cannot be ours, which a sync replaces."""
    try:
        return read_file(path)
    except UsageError:
        return b""
