"""A config of the user's as the target of a sync, and dry runs that say what a sync would change.

The editing is done in ``sidecar.config.edit`` and ``sidecar.config.file``. The memory is kept next to the config.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sidecar.config.diff import unified
from sidecar.config.edit import FieldChange, Update, update_config
from sidecar.config.file import Outcome, config_diff, sync_config
from sidecar.errors import StorageError, UsageError
from sidecar.files import read_file, replace_file
from sidecar.models.absences import absences_file
from sidecar.models.entries import models_file_bytes
from sidecar.settings import Settings
from sidecar.targets.configmap import Make
from sidecar.targets.models_file import Change, entries_in
from sidecar.text import printable
from sidecar.user_command import run_user_command
from sidecar.wholefile import replace, snapshot, storage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Detailed(Change):
    """A change with the fields that changed, the entries that were adopted, the backup, and the diff (dry runs)."""

    fields: tuple[FieldChange, ...] = ()
    adopted: tuple[str, ...] = ()
    backup: Path | None = None
    diff: str = ""


class ConfigTarget:
    """A config of which only the managed entries are ours."""

    def __init__(self, settings: Settings, path: Path, *, adopt: bool = False, dry_run: bool = False) -> None:
        self.path, self.name = resolve_symlinks(path), str(path)
        self.backups, self.validate = settings.config_backups, settings.validate
        self.adopt, self.dry_run = adopt, dry_run

    def update(self, make: Make, stop: threading.Event) -> Change | None:
        """As in ``sidecar.targets.select``; a dry run writes neither the config nor the memory."""
        memory_file = absences_file(self.path)
        stored = read_file(memory_file)
        entries, remembered = make(stored)
        outcome = sync_config(self.path, entries, backups=self.backups, adopt=self.adopt, dry_run=self.dry_run)
        for name in outcome.update.kept:
            log.info("%s stays as %s has it; the catalog's entry gives way", printable(name), self.name)
        if not self.dry_run:
            if outcome.changed and self.validate:
                _check(outcome, self.validate, stop)
            if remembered != stored:
                replace_file(memory_file, remembered, mode=0o644)
        if not outcome.changed:
            return None
        return _detailed(outcome.update, outcome.backup, config_diff(outcome) if self.dry_run else "")


class DryRunTarget:
    """The models file in a dry run."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)

    def update(self, make: Make, stop: threading.Event) -> Change | None:
        """What would change; writes nothing."""
        entries, _ = make(read_file(absences_file(self.path)))
        old, new = read_file(self.path), models_file_bytes(entries)
        if old == new:
            return None
        update = update_config(models_file_bytes(list(entries_in(old).values())), entries)
        return _detailed(update, None, unified(old or b"", new, "/dev/null" if old is None else self.name, self.name))


def resolve_symlinks(path: Path) -> Path:
    """The file behind all symlinks. Raises StorageError."""
    with storage(path, "found"):
        return Path(os.path.realpath(path))


def summary_lines(change: Change) -> Sequence[str]:
    """One line for each model that a change adds, removes, changes or adopts; for people."""
    lines = [f"added {name}" for name in change.added] + [f"removed {name}" for name in change.removed]
    if not isinstance(change, Detailed):
        return lines + [f"changed {name}" for name in change.changed]
    lines += [f"adopted {name}" for name in change.adopted]
    for item in change.fields:
        lines.append(f"changed {item.model_name}: {item.path} from {_shown(item.old)} to {_shown(item.new)}")
    return lines


def _shown(value: object) -> str:
    return "nothing" if value is None else printable(value)


def _detailed(update: Update, backup: Path | None, diff: str) -> Detailed:
    changed = dict.fromkeys([*(item.model_name for item in update.changed), *update.adopted])
    return Detailed(update.added, update.removed, tuple(changed), update.changed, update.adopted, backup, diff)


def _check(outcome: Outcome, words: str, stop: threading.Event) -> None:
    """Let the user's command look at the new config; the old one comes back if it says no, or is interrupted."""
    problem = "was interrupted"
    try:
        problem = run_user_command(words, b"", stop, more=[str(outcome.path)])
    finally:
        if problem:
            _undo(outcome)
    if problem:
        raise UsageError(
            f"the validation command {problem}; {outcome.path} is again as it was",
            hint="The log shows what the command wrote. It is set with COPILOT_VALIDATE or --validate.",
        )


def _undo(outcome: Outcome) -> None:
    now = snapshot(outcome.path)
    if now is not None and now.data == outcome.update.text:
        if outcome.before is None:
            with storage(outcome.path, "removed"):
                os.unlink(outcome.path)
            return
        if replace(outcome.path, outcome.before, now):
            # It holds what the config holds again; refused syncs must not push the older backups out.
            with suppress(OSError):
                os.unlink(outcome.backup or "")
            return
    raise StorageError(
        f"{outcome.path} was refused by the validation command, but somebody else has changed it meanwhile",
        hint=f"It was left alone. What it was before: {outcome.backup or 'no backup was made'}.",
    )
