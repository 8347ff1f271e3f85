"""Updates a config file on disk: one writer at a time, after a backup, replaced atomically.

The new text comes from ``sidecar.config.edit``. A crash at any moment leaves either the old file or the new one;
symlinks, mode, owner, group and ACL are preserved, for the backup too. Other extended attributes and hard links are
not, because a rename creates a new inode.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sidecar.config.backups import backups_of, make_backup, prune
from sidecar.config.diff import unified
from sidecar.config.edit import Entry, Update, update_config
from sidecar.config.held import changing_error, hold
from sidecar.config.locate import KEY
from sidecar.config.recognize import includes, load, parse_config, refuse_lookalike
from sidecar.config.yamltext import Source
from sidecar.errors import SidecarError, UsageError
from sidecar.files import Snapshot, read_file, read_snapshot, refuse_special, resolve_symlinks
from sidecar.litellm_hot_reload.managed import is_managed
from sidecar.locks import update_lock
from sidecar.models.absences import absences_file
from sidecar.models.changes import is_same
from sidecar.text import printable

_MAX_ATTEMPTS = 5
_MODELS_FILE = "copilot_models.yaml"
"""What the models file is called where COPILOT_MODELS_FILE is not set, in the image too."""


@dataclass(frozen=True)
class Outcome:
    """What a sync did or, with ``dry_run``, would do. ``path`` is the real file, with symlinks resolved."""

    path: Path
    before: bytes | None
    update: Update
    backup: Path | None = None

    @property
    def changed(self) -> bool:
        return self.after != self.before

    @property
    def after(self) -> bytes | None:
        """The new config; None if there was none and is none to be."""
        return None if self.before is None and not self.update.text else self.update.text


def sync_config(
    path: Path,
    entries: Sequence[Entry],
    *,
    backups: int = 10,
    adopt: bool = False,
    create: bool = True,
    dry_run: bool = False,
    models_file: Path | None = None,
    lock_timeout: float = 60.0,
) -> Outcome:
    """Make the managed entries of the config at ``path`` exactly ``entries``.

    Keeps the newest ``backups`` backups (0 disables them) and waits up to ``lock_timeout`` seconds for another
    sync. ``dry_run`` writes nothing and takes no lock. ``models_file`` must not be one that the config includes.
    Raises UsageError for a config that cannot be edited, or does not exist although not to ``create``, and
    StorageError for a file that cannot be read or written; then the config is unchanged.
    """
    target = resolve_symlinks(path)
    refuse_special(target)

    @lru_cache(maxsize=1)
    def plan(data: bytes | None) -> Outcome:
        if data is None and not create:
            raise _missing_error(target)
        with _without_collection():
            return _plan(target, entries, adopt, models_file, data)

    with contextlib.nullcontext() if dry_run else update_lock(target, timeout=lock_timeout):
        with contextlib.suppress(UsageError):  # it may be half written: it is refused once it has settled
            outcome = plan(read_file(target))
            if not outcome.changed:
                return outcome
        if dry_run:
            with hold(target, expected=_was_there(target)) as held:
                return plan(held.snapshot.data if held.snapshot else None)
        before, backup = rewrite_file(target, lambda data: plan(data).after, backups=backups > 0)
        if backup:
            prune(target, backups)
        return dataclasses.replace(plan(before), backup=backup)


def rewrite_file(
    target: Path,
    make: Callable[[bytes | None], bytes | None],
    *,
    backups: bool = True,
    ours: bytes | None = None,
    like: Snapshot | None = None,
) -> tuple[bytes | None, Path | None]:
    """Make ``target`` what ``make`` makes of it, whatever is saved to it meanwhile: what it was, and its backup.

    None means that there is no such file, for ``make`` too, which may raise: then it stays as it was saved last.
    ``ours`` is what we wrote ourselves, and ``like`` as in ``replace_unchanged``. Raises UsageError, StorageError.
    """
    late: Snapshot | None = None
    backup: Path | None = None
    for _ in range(_MAX_ATTEMPTS):
        with hold(target, expected=_was_there(target), ours=ours) as held:
            found = held.snapshot.data if held.snapshot else None
            before = late if late is not None and found == ours else held.snapshot
            data = before.data if before else None
            try:
                new = make(data)
            except SidecarError:
                if late is not None and before is late:
                    held.replace(data)
                raise
            if new == found:
                return data, backup
            if before is not late:
                backup = make_backup(target, before) if before and backups else None
            if held.replace(new, like=like):
                late, ours = held.late_save(), new
                if late is None or not late.data.strip():
                    return data, backup
                backup = make_backup(target, late) if backups else None
    raise changing_error(target)


def _was_there(target: Path) -> bool:
    """Whether there was a config at ``target`` before, as far as our own files tell."""
    return bool(backups_of(target)) or absences_file(target).exists()


def config_diff(outcome: Outcome) -> str:
    """What ``outcome`` changed, or would change, as a human-readable unified diff with secrets masked."""
    before = outcome.before or b""
    name = str(outcome.path)
    return unified(before, outcome.update.text, "/dev/null" if outcome.before is None else name, name)


def restore_backup(path: Path, when: str | None = None, *, lock_timeout: float = 60.0) -> Path:
    """Restore the backup of time ``when`` (``20261122T013000Z``), by default the newest; returns its path.

    The current config is backed up first, and no backup is deleted. Raises UsageError when there is no such
    backup, StorageError when a file cannot be read or written; then the config is unchanged.
    """
    target = resolve_symlinks(path)
    refuse_special(target)
    with update_lock(target, timeout=lock_timeout):
        chosen, old = _find_backup(target, when)
        rewrite_file(target, lambda _: old.data, like=old)
        return chosen


def restore_diff(path: Path, when: str | None = None) -> tuple[Path, bool, str]:
    """What ``restore_backup`` would do: the backup, whether the config would change, and a diff with secrets masked.

    Writes nothing. Raises like ``restore_backup``.
    """
    target = resolve_symlinks(path)
    refuse_special(target)
    chosen, old = _find_backup(target, when)
    now = read_file(target)
    diff = unified(now or b"", old.data, "/dev/null" if now is None else str(target), str(target))
    return chosen, now != old.data, diff


def _find_backup(target: Path, when: str | None) -> tuple[Path, Snapshot]:
    found = backups_of(target)
    chosen = next((item for item in found if when is None or when in (item.name, _time_of(item))), None)
    old = read_snapshot(chosen) if chosen else None
    if chosen is None or old is None:
        times = ", ".join(_time_of(item) for item in found)
        what = "no backup" if when is None else f"no backup of {when}"
        raise UsageError(
            f"{target} has {what}",
            hint=f"Available: {times}." if times else "The first sync that changes it makes one.",
        )
    return chosen, old


def _time_of(backup: Path) -> str:
    return backup.name.rpartition(".bak-")[2]


def _missing_error(target: Path) -> UsageError:
    back = " `sync --restore` brings the newest backup back." if backups_of(target) else ""
    return UsageError(
        f"{target} does not exist",
        hint=f"Correct --config or CONFIG_FILE, or have it made: `sync --create`.{back}",
    )


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Look for no garbage meanwhile: among the nodes of a long config, all in use, that takes half of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _plan(target: Path, entries: Sequence[Entry], adopt: bool, models_file: Path | None, data: bytes | None) -> Outcome:
    try:
        if data is not None and not data.strip() and _was_filled(target):
            raise UsageError(
                "the config is empty, but was not before",
                hint="`sync --restore` brings it back. If it is meant to be empty, write `model_list: []` into it.",
            )
        source = parse_config(data or b"")
        refuse_lookalike(source)
        if models_file is not None:
            _refuse_included(source, target, models_file)
        update = update_config(data or b"", entries, adopt=adopt, source=source, name=str(target))
        outcome = Outcome(target, data, dataclasses.replace(update, source=None))
        if outcome.changed:
            keys = {*(load(data or b"", source) or {})}
            _check_loaded(keys, load(update.text, update.source), entries, update.skipped)
        return outcome
    except UsageError as error:
        raise UsageError(f"{target}: {error}", hint=error.hint) from error


def _refuse_included(source: Source, target: Path, models_file: Path) -> None:
    """Raise UsageError if the config includes the models file: by its path, or what it is called by default."""
    for name, line in includes(source):
        included = target.parent / name
        if included.name == _MODELS_FILE or os.path.realpath(included) == os.path.realpath(models_file):
            raise UsageError(
                f"line {line} includes the models file, {printable(name)}: LiteLLM would get each model from both, and "
                "does not start where that file is missing; nothing was changed",
                hint="Keep one of the two: leave out --config and CONFIG_FILE (the models file is then kept in sync), "
                "or remove that file from the config's `include:`.",
            )


def _check_loaded(keys: set[object], after: Any, entries: Sequence[Entry], skipped: Sequence[str]) -> None:
    """Raise SidecarError if LiteLLM would not get exactly ours besides ``keys``, as before and as ``edit`` promised."""
    found = (after or {}).get(KEY) or []
    ours = [item for item in found if is_managed(item)]
    same = is_same(ours, [entry for entry in entries if entry["model_name"] not in skipped])
    if not same or {*(after or {}), KEY} != {*keys, KEY}:
        raise SidecarError("LiteLLM would not read what was intended; nothing was changed")


def _was_filled(target: Path) -> bool:
    """Whether there was something in the config before: the newest backup tells, else the record that a sync leaves."""
    newest = next(map(read_snapshot, backups_of(target)), None)
    return bool(newest.data.strip()) if newest else absences_file(target).exists()
