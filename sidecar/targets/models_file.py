"""The models file as the target of a sync: verified, replaced atomically, untouched if nothing has changed.

The record of absences is kept in a file next to it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sidecar.config.diff import unified
from sidecar.config.locate import locate
from sidecar.config.yamltext import parse, to_python
from sidecar.errors import SidecarError, StorageError, UsageError
from sidecar.files import read_file, replace_file
from sidecar.litellm_hot_reload.allowed import MAX_ENTRIES, MAX_FILE_SIZE, entry_problem
from sidecar.litellm_hot_reload.managed import id_of, is_managed
from sidecar.models.absences import absences_file
from sidecar.models.changes import Change, compare, is_same
from sidecar.models.entries import models_file_bytes
from sidecar.targets.base import Make, Synced


class ModelsFileTarget:
    """The models file at ``path``; a ``dry_run`` writes nothing."""

    def __init__(self, path: Path, *, dry_run: bool = False) -> None:
        self.path, self.name, self.dry_run = path, str(path), dry_run

    def update(self, make: Make, stop: threading.Event) -> Synced:
        """As in ``Target``."""
        record = absences_file(self.path)
        stored = read_ours(record)
        built = make(stored)
        if self.dry_run:
            old, new = read_ours(self.path), models_file_bytes(built.entries)
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
    entries = verify_models_file(data, items)
    old = read_ours(path)
    if old == data:
        return None
    replace_file(path, data, mode=0o644)
    return compare(entries_in(old), entries)


def verify_models_file(data: bytes, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Parse what is about to be published, and compare it with what was intended and with what the hook accepts.

    Returns the entries by id. Raises StorageError when there are too many, SidecarError when they are wrong.
    """
    if len(items) > MAX_ENTRIES or len(data) > MAX_FILE_SIZE:
        raise StorageError(
            f"the models file would have {len(items)} entries in {len(data)} bytes, but LiteLLM's hook reads no more "
            f"than {MAX_ENTRIES} in {MAX_FILE_SIZE}; nothing was published",
            hint="Select fewer models (COPILOT_MODELS_INCLUDE), or names (COPILOT_MODEL_NAMES).",
        )
    entries = entries_in(data)
    if list(entries) != [id_of(item) for item in items] or not is_same(list(entries.values()), items):
        raise SidecarError("the generated models file does not parse to what was intended; nothing was published")
    problem = next(filter(None, map(entry_problem, entries.values())), None)
    if problem:
        raise SidecarError(f"LiteLLM's hook would refuse the generated models file: {problem}; nothing was published")
    return entries


def entries_in(data: bytes | None) -> dict[str, Any]:
    """The managed entries by id, of a models file or any config; empty for a missing or invalid file.

    An entry with a YAML alias is not ours: a few lines of them expand to gigabytes.
    """
    try:
        entries = [to_python(node) for node, _ in locate(parse(data or b"")).plain]
    except Exception:  # PyYAML raises nearly anything for a damaged file, which this sync must replace
        return {}
    return {id_of(item): item for item in entries if is_managed(item)}


def read_ours(path: Path) -> bytes | None:
    """The bytes of a file that only we write; empty for anything that cannot be ours, which a sync replaces."""
    try:
        return read_file(path)
    except UsageError:
        return b""
