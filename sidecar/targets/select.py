"""Where a sync puts its result: the models file, a config of the user's, or a ConfigMap.

A target keeps two things together: the entries, and the memory of earlier catalogs. It hands out the memory it
holds, and is given both back.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Protocol

from sidecar.errors import UsageError
from sidecar.files import read_file, replace_file
from sidecar.models.absences import absences_file
from sidecar.settings import Settings
from sidecar.targets.config import ConfigTarget, DryRunTarget
from sidecar.targets.configmap import Make, configmap_target
from sidecar.targets.models_file import Change, publish_models


class Target(Protocol):
    """A place for entries and memory; ``name`` is what people call it."""

    name: str

    def update(self, make: Make, stop: threading.Event) -> Change | None:
        """Bring it up to date; None when the entries were the same. Raises SidecarError; then nothing has changed."""


class ModelsFileTarget:
    """The models file, with the memory in a file beside it."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)

    def update(self, make: Make, stop: threading.Event) -> Change | None:
        """As in ``Target``."""
        memory_file = absences_file(self.path)
        stored = read_file(memory_file)
        entries, remembered = make(stored)
        change = publish_models(self.path, entries)
        if remembered != stored:
            replace_file(memory_file, remembered, mode=0o644)
        return change


def select_target(settings: Settings, *, adopt: bool = False, dry_run: bool = False) -> Target:
    """The target that the settings name. ``adopt`` is for a config, ``dry_run`` for a file. Raises UsageError."""
    config, cluster = settings.config_file, configmap_target(settings)
    if config is not None and cluster is not None:
        raise UsageError("CONFIG_FILE and COPILOT_CONFIGMAP are both set", hint="A sync has one target: unset one.")
    if adopt and config is None:
        raise UsageError("--adopt is for a config, and none is named", hint="Name it with --config or CONFIG_FILE.")
    if dry_run and cluster is not None:
        raise UsageError("--dry-run does not know ConfigMaps", hint="Unset COPILOT_CONFIGMAP.")
    if config is not None:
        return ConfigTarget(settings, config, adopt=adopt, dry_run=dry_run)
    if cluster is not None:
        return cluster
    return DryRunTarget(settings.models_file) if dry_run else ModelsFileTarget(settings.models_file)
