"""The history of changes in a file: ``changes.jsonl`` next to the models file, or a config's own, next to it.

It is replaced as a whole, so that a kill at any moment leaves all of it. What cannot be recorded is lost, and no sync
fails for it. A config's has the config's whole name in its own, as the record of absences has: it is in a directory of
the user's, where there may be other configs.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from sidecar.errors import StorageError, UsageError
from sidecar.files import refuse_special, remove_leftovers, replace_file, resolve_symlinks, storage_errors
from sidecar.litellm_hot_reload.bounded import read_up_to, regular_file
from sidecar.models.history import MAX_BYTES, Event, load_events, with_events
from sidecar.settings import Settings

log = logging.getLogger(__name__)

_failing = set[Path]()


def models_history(models_file: Path) -> Path:
    """Where the history of a models file is."""
    return models_file.with_name("changes.jsonl")


def config_history(config: Path) -> Path:
    """Where the history of a config is."""
    return config.with_name(f".{config.name}.changes.jsonl")


def history_file(settings: Settings) -> Path:
    """The history that the settings mean. Raises StorageError, and UsageError for a ConfigMap: it is in the object."""
    if settings.configmap is not None:
        raise UsageError(
            "the history of changes is in the ConfigMap, not in a file",
            hint="docs/changes.md shows how to read it with kubectl.",
        )
    if settings.config_file is not None:
        refuse_special(settings.config_file)
        return config_history(resolve_symlinks(settings.config_file))
    return models_history(settings.models_file)


def read_history(file: Path, limit: int | None = None) -> list[Event]:
    """The latest events, at most ``limit``, the oldest first; none if there is no file. Raises StorageError."""
    events = load_events(_read(file))
    return events if limit is None else events[len(events) - min(limit, len(events)) :]


def write_history(file: Path, events: Sequence[Event]) -> None:
    """Record what has changed. What cannot be written is lost, which is said once until it works again."""
    remove_leftovers(file)
    if not events:
        return
    try:
        old = _read(file)
        if (new := with_events(old, events)) != old:
            replace_file(file, new, mode=0o644)
        _failing.discard(file)
    except StorageError as error:
        if file not in _failing:
            _failing.add(file)
            log.warning("changes are not recorded: %s", error, extra={"event": "history.failed", "hint": error.hint})


def _read(file: Path) -> bytes:
    """The end of the file, as much as a history may hold; empty if there is none. Raises StorageError."""
    with storage_errors(file, "read"):
        try:
            with regular_file(file) as (content, about):
                content.seek(max(0, about.st_size - MAX_BYTES), os.SEEK_SET)
                return read_up_to(content, MAX_BYTES)
        except FileNotFoundError:
            return b""
