"""A user's config as the target of a sync: only its managed entries are ours.

The editing is done by ``sidecar.config``. The record of absences and the history of changes are kept next to it.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from pathlib import Path

from sidecar.config.file import Outcome, config_diff, rewrite_file, sync_config
from sidecar.errors import StorageError, UsageError
from sidecar.files import resolve_symlinks
from sidecar.settings import Settings
from sidecar.targets.base import Make, Synced
from sidecar.targets.history import config_history, write_history
from sidecar.targets.record import read_record, write_record
from sidecar.text import printable
from sidecar.user_command import run_user_command

log = logging.getLogger(__name__)


_CLONE = Path(__file__).resolve().parents[2]


class ConfigTarget:
    """The config at ``path``; a ``dry_run`` writes nothing. Raises UsageError for the one that is shipped."""

    def __init__(
        self, settings: Settings, path: Path, *, adopt: bool = False, create: bool = False, dry_run: bool = False
    ) -> None:
        self.path, self.name, self.settings = resolve_symlinks(path), str(path), settings
        self.adopt, self.create, self.dry_run = adopt, create, dry_run
        if self.path == _CLONE / "config.yaml" and (_CLONE / "pyproject.toml").exists():
            raise UsageError(
                f"{self.path} is not edited in place: it comes with the clone, for compose and the models file",
                hint="Name a config of your own with --config or CONFIG_FILE, or run this in its directory.",
            )

    def update(self, make: Make, stop: threading.Event) -> Synced:
        """As in ``Target``."""
        built = make(read_record(self.path))
        outcome = sync_config(
            self.path,
            built.entries,
            backups=self.settings.config_backups,
            adopt=self.adopt,
            create=self.create,
            dry_run=self.dry_run,
            models_file=self.settings.models_file,
        )
        created, skipped = outcome.before is None, outcome.update.skipped
        for name in skipped:
            extra = {"event": "entry.skipped"}
            log.info("%s stays as %s has it; the catalog's entry is skipped", printable(name), self.name, extra=extra)
        change = outcome.update.change if outcome.changed else None
        if self.dry_run:
            return Synced(self.name, built, change, config_diff(outcome), created=created, skipped=skipped)
        if outcome.changed and self.settings.validate:
            _validate(outcome, self.settings.validate, stop)
        events = built.all_events(change)
        write_history(config_history(self.path), events)
        write_record(self.path, built.absences)
        return Synced(self.name, built, change, events=events, created=created, skipped=skipped)


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
    text = outcome.update.text

    def old(now: bytes | None) -> bytes | None:
        if now != text:
            raise StorageError(
                f"{outcome.path} was rejected by the validation command, but has been changed by something else "
                "meanwhile",
                hint=f"It was left alone. The previous version: {outcome.backup or 'no backup was made'}.",
            )
        return outcome.before

    rewrite_file(outcome.path, old, backups=False, ours=text)
    # It duplicates the restored config; rejected syncs must not push out older backups.
    with suppress(OSError):
        os.unlink(outcome.backup or "")
