"""Backups next to a config, ``config.yaml.bak-<UTC time>``: same mode and owner, written completely or not at all."""

from __future__ import annotations

import contextlib
import os
import re
from datetime import UTC, datetime
from pathlib import Path

from sidecar.files import Snapshot, copy_file, read_snapshot, storage_errors

_NAME = r"\.bak-(\d{8}T\d{6}Z)(?:-(\d+))?"


def make_backup(target: Path, content: Snapshot, *, now: datetime | None = None) -> Path:
    """Store ``content`` as the backup of this second. Raises StorageError; then there is no new backup.

    Another one within the same second gets the suffix ``-2``, unless its content is the same.
    """
    name = f"{target.name}.bak-{(now or datetime.now(UTC)).strftime('%Y%m%dT%H%M%SZ')}"
    newest = next((item for item in backups_of(target) if item.name.startswith(name)), None)
    if newest is not None:
        if read_snapshot(newest) == content:
            return newest
        # Not the lowest free number: lower ones may have been deleted, and the numbers give the age.
        name += f"-{int(newest.name.removeprefix(name).lstrip('-') or 1) + 1}"
    path = target.with_name(name)
    copy_file(path, content, target)
    return path


def backups_of(target: Path) -> tuple[Path, ...]:
    """All backups of ``target``, newest first. Raises StorageError."""
    pattern = re.compile(re.escape(target.name) + _NAME)
    with storage_errors(target.parent, "read"):
        found = [match for name in os.listdir(target.parent) if (match := pattern.fullmatch(name))]
    found.sort(key=lambda match: (match[1], int(match[2] or 1)), reverse=True)
    return tuple(target.with_name(match[0]) for match in found)


def prune(target: Path, keep: int) -> None:
    """Delete all but the newest ``keep`` backups. Those that cannot be deleted now are left for next time."""
    for old in backups_of(target)[keep:]:
        with contextlib.suppress(OSError):
            os.unlink(old)
