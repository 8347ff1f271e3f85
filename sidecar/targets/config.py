"""A user's config as the target of a sync: only its managed entries are ours.

The editing is done by ``sidecar.config``. The record of absences is kept next to the config.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from pathlib import Path

from sidecar.config.file import Outcome, config_diff, sync_config
from sidecar.errors import StorageError, UsageError
from sidecar.files import read_snapshot, replace_file, replace_unchanged, resolve_symlinks, storage_errors
from sidecar.models.absences import absences_file
from sidecar.settings import Settings
from sidecar.targets.base import Make, Synced
from sidecar.targets.models_file import read_ours
from sidecar.text import printable
from sidecar.user_command import run_user_command

log = logging.getLogger(__name__)


class ConfigTarget:
    """The config at ``path``; a ``dry_run`` writes nothing."""

    def __init__(self, settings: Settings, path: Path, *, adopt: bool = False, dry_run: bool = False) -> None:
        self.path, self.name = resolve_symlinks(path), str(path)
        self.backups, self.validate = settings.config_backups, settings.validate
        self.adopt, self.dry_run = adopt, dry_run

    def update(self, make: Make, stop: threading.Event) -> Synced:
        """As in ``Target``."""
        record = absences_file(self.path)
        stored = read_ours(record)
        built = make(stored)
        outcome = sync_config(self.path, built.entries, backups=self.backups, adopt=self.adopt, dry_run=self.dry_run)
        for name in outcome.update.skipped:
            log.info("%s stays as %s has it; the catalog's entry is skipped", printable(name), self.name)
        if not self.dry_run:
            if outcome.changed and self.validate:
                _validate(outcome, self.validate, stop)
            if built.absences != stored:
                replace_file(record, built.absences, mode=0o644)
        return Synced(
            self.name,
            built,
            outcome.update.change if outcome.changed else None,
            config_diff(outcome) if self.dry_run else "",
        )


def _validate(outcome: Outcome, command: str, stop: threading.Event) -> None:
    """Have the user's command check the new config; if it fails or is interrupted, the old config is restored."""
    problem = "was interrupted"
    try:
        problem = run_user_command(command, b"", stop, more=[str(outcome.path)])
    finally:
        if problem:
            _undo(outcome)
    if problem:
        raise UsageError(
            f"the validation command {problem}; {outcome.path} was restored",
            hint="The log shows the command's output. It is set with COPILOT_VALIDATE or --validate.",
        )


def _undo(outcome: Outcome) -> None:
    now = read_snapshot(outcome.path)
    if now is not None and now.data == outcome.update.text:
        if outcome.before is None:
            with storage_errors(outcome.path, "removed"):
                os.unlink(outcome.path)
            return
        if replace_unchanged(outcome.path, outcome.before, now):
            # It duplicates the restored config; rejected syncs must not push out older backups.
            with suppress(OSError):
                os.unlink(outcome.backup or "")
            return
    raise StorageError(
        f"{outcome.path} was rejected by the validation command, but has been changed by something else meanwhile",
        hint=f"It was left alone. The previous version: {outcome.backup or 'no backup was made'}.",
    )
