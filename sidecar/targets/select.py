"""Selects the target of a sync."""

from __future__ import annotations

from sidecar.errors import UsageError
from sidecar.settings import Settings
from sidecar.targets.base import Target
from sidecar.targets.config import ConfigTarget
from sidecar.targets.configmap import configmap_target
from sidecar.targets.models_file import ModelsFileTarget


def select_target(settings: Settings, *, adopt: bool = False, dry_run: bool = False) -> Target:
    """The target that the settings name. ``adopt`` is for a config, ``dry_run`` for a file. Raises UsageError."""
    config, cluster = settings.config_file, configmap_target(settings)
    if config is not None and cluster is not None:
        raise UsageError(
            "CONFIG_FILE and COPILOT_CONFIGMAP are both set", hint="A sync has only one target: unset one of them."
        )
    if adopt and config is None:
        raise UsageError("--adopt needs a config, and none is set", hint="Set --config or CONFIG_FILE.")
    if dry_run and cluster is not None:
        raise UsageError("--dry-run does not support ConfigMaps", hint="Unset COPILOT_CONFIGMAP.")
    if config is not None:
        return ConfigTarget(settings, config, adopt=adopt, dry_run=dry_run)
    return cluster or ModelsFileTarget(settings.models_file, dry_run=dry_run)
