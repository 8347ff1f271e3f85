"""Selects the target of a sync."""

from __future__ import annotations

from sidecar.errors import UsageError
from sidecar.settings import Settings
from sidecar.targets.base import Target
from sidecar.targets.models_file import ModelsFileTarget


def select_target(settings: Settings, *, adopt: bool = False, create: bool = False, dry_run: bool = False) -> Target:
    """The target that the settings name: ``adopt`` and ``create`` are for a config, ``dry_run`` for a file.

    Raises UsageError.
    """
    config = settings.config_file
    if config is not None and settings.configmap is not None:
        raise UsageError(
            "CONFIG_FILE and COPILOT_CONFIGMAP are both set", hint="A sync has only one target: unset one of them."
        )
    flag = "--adopt" if adopt else "--create" if create else ""
    if flag and config is None:
        raise UsageError(f"{flag} needs a config, and none is set", hint="Set --config or CONFIG_FILE.")
    if dry_run and settings.configmap is not None:
        raise UsageError("--dry-run does not support ConfigMaps", hint="Unset COPILOT_CONFIGMAP.")
    # Most services have neither, and need not keep in memory what edits a config or asks a cluster.
    if config is not None:
        from sidecar.targets.config import ConfigTarget

        return ConfigTarget(settings, config, adopt=adopt, create=create, dry_run=dry_run)
    if settings.configmap is not None:
        from sidecar.targets.configmap import configmap_target

        return configmap_target(settings.configmap, settings)
    return ModelsFileTarget(settings.models_file, dry_run=dry_run)
