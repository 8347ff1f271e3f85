"""The models file as the target of a sync: verified, replaced atomically, untouched if nothing has changed.

The record of absences is kept in a file next to it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sidecar.config.diff import unified
from sidecar.errors import SidecarError
from sidecar.files import read_file, replace_file
from sidecar.litellm_hot_reload.managed import id_of, is_managed
from sidecar.models.absences import absences_file
from sidecar.models.changes import Change, compare
from sidecar.models.entries import models_file_bytes
from sidecar.targets.base import Make, Synced


class ModelsFileTarget:
    """The models file at ``path``; a ``dry_run`` writes nothing."""

    def __init__(self, path: Path, *, dry_run: bool = False) -> None:
        self.path, self.name, self.dry_run = path, str(path), dry_run

    def update(self, make: Make, stop: threading.Event) -> Synced:
        """As in ``Target``."""
        record = absences_file(self.path)
        stored = read_file(record)
        built = make(stored)
        if self.dry_run:
            old, new = read_file(self.path), models_file_bytes(built.entries)
            diff = unified(old or b"", new, "/dev/null" if old is None else self.name, self.name)
            change = None if old == new else compare(entries_in(old), entries_in(new))
            return Synced(self.name, built, change, diff)
        change = publish_models(self.path, built.entries)
        if built.absences != stored:
            replace_file(record, built.absences, mode=0o644)
        return Synced(self.name, built, change)


def publish_models(path: Path, items: Sequence[Mapping[str, Any]]) -> Change | None:
    """Make ``path`` the models file of ``items``; None if it already was. Raises StorageError."""
    data = models_file_bytes(items)
    verify_models_file(data, items)
    old = read_file(path)
    if old == data:
        return None
    replace_file(path, data, mode=0o644)
    return compare(entries_in(old), entries_in(data))


def verify_models_file(data: bytes, items: Sequence[Mapping[str, Any]]) -> None:
    """Parse what is about to be published and compare it with what was intended. Raises SidecarError."""
    parsed = yaml.safe_load(data)
    listed = parsed.get("model_list") if isinstance(parsed, dict) else None
    if not isinstance(listed, list) or len(listed) != len(items):
        raise SidecarError("the generated models file does not parse to what was intended; nothing was published")
    keys = [id_of(item) for item in listed]
    if keys != [id_of(item) for item in items] or len(set(keys)) != len(keys):
        raise SidecarError("the generated models file has wrong or duplicate ids; nothing was published")
    if not all(map(is_managed, listed)):
        raise SidecarError("the generated models file contains an unmanaged entry; nothing was published")


def entries_in(data: bytes | None) -> dict[str, Any]:
    """The managed entries by id, of a models file or any config; empty for a missing or invalid file."""
    try:
        content = yaml.safe_load(data or b"")
        return {id_of(item): item for item in content.get("model_list") or [] if is_managed(item)}
    except Exception:  # PyYAML raises nearly anything for a damaged file, which this sync must replace
        return {}
