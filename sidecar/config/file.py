"""Updates a config file on disk: one writer at a time, after a backup, replaced atomically.

The new text comes from ``sidecar.config.edit``. A crash at any moment leaves either the old file or the new one;
symlinks, mode, owner, group and ACL are preserved, for the backup too. Other extended attributes and hard links are
not, because a rename creates a new inode.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sidecar.config.backups import backups_of, make_backup, prune
from sidecar.config.diff import unified
from sidecar.config.edit import Entry, Update, update_config
from sidecar.errors import StorageError, UsageError
from sidecar.files import Snapshot, read_snapshot, remove_leftovers, replace_unchanged, resolve_symlinks, storage_errors

_MAX_ATTEMPTS = 5
_POLL_INTERVAL = 0.05


@dataclass(frozen=True)
class Outcome:
    """What a sync did or, with ``dry_run``, would do. ``path`` is the real file, with symlinks resolved."""

    path: Path
    before: bytes | None
    update: Update
    backup: Path | None = None

    @property
    def changed(self) -> bool:
        return self.update.text != (self.before or b"")


def sync_config(
    path: Path,
    entries: Sequence[Entry],
    *,
    backups: int = 10,
    adopt: bool = False,
    dry_run: bool = False,
    lock_timeout: float = 60.0,
) -> Outcome:
    """Make the managed entries of the config at ``path`` exactly ``entries``.

    Keeps the newest ``backups`` backups (0 disables them) and waits up to ``lock_timeout`` seconds for another
    sync. ``dry_run`` writes nothing and takes no lock. Raises UsageError for a config that cannot be edited and
    StorageError for a file that cannot be read or written; then the config is unchanged.
    """
    target = resolve_symlinks(path)
    if dry_run:
        return _plan(target, read_snapshot(target), entries, adopt)
    with _lock(target, lock_timeout):
        remove_leftovers(target)
        for _ in range(_MAX_ATTEMPTS):
            before = read_snapshot(target)
            outcome = _plan(target, before, entries, adopt)
            if not outcome.changed:
                return outcome
            backup = make_backup(target, before) if before and backups > 0 else None
            if replace_unchanged(target, outcome.update.text, before):
                if backup:
                    prune(target, backups)
                return Outcome(target, outcome.before, outcome.update, backup)
    raise _changing_error(target)


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
    with _lock(target, lock_timeout):
        remove_leftovers(target)
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
        for _ in range(_MAX_ATTEMPTS):
            before = read_snapshot(target)
            if before is not None and before.data == old.data:
                return chosen
            if before is not None:
                make_backup(target, before)
            if replace_unchanged(target, old.data, before, like=old):
                return chosen
    raise _changing_error(target)


def _changing_error(target: Path) -> StorageError:
    return StorageError(f"{target} keeps being changed by something else", hint="Try again once that has stopped.")


def _time_of(backup: Path) -> str:
    return backup.name.rpartition(".bak-")[2]


def _plan(target: Path, before: Snapshot | None, entries: Sequence[Entry], adopt: bool) -> Outcome:
    data = before.data if before else None
    try:
        return Outcome(target, data, update_config(data or b"", entries, adopt=adopt))
    except UsageError as error:
        raise UsageError(f"{target}: {error}", hint=error.hint) from error


@contextlib.contextmanager
def _lock(target: Path, timeout: float) -> Iterator[None]:
    """Hold the lock file next to ``target``. The kernel releases it when its holder exits, for whatever reason."""
    path = target.with_name(f".{target.name}.lock")
    deadline = time.monotonic() + timeout
    while True:
        with storage_errors(target, f"locked with {path.name} next to it"):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _acquire(descriptor, path, target, deadline)
            if _is_at(descriptor, path):
                try:
                    yield
                finally:
                    # Unlinked while held: a waiting process notices and opens the next one.
                    with contextlib.suppress(OSError):
                        os.unlink(path)
                return
            _give_up_after(deadline, target)
        finally:
            os.close(descriptor)


def _acquire(descriptor: int, path: Path, target: Path, deadline: float) -> None:
    while True:
        with storage_errors(target, f"locked with {path.name} next to it"):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                return
        _give_up_after(deadline, target)
        time.sleep(_POLL_INTERVAL)


def _give_up_after(deadline: float, target: Path) -> None:
    if time.monotonic() >= deadline:
        raise StorageError(
            f"another sync of {target} is still running", hint="Wait for it, or stop it, which releases its lock."
        )


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False
