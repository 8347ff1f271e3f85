"""``sync``: once, or a restored backup."""

from __future__ import annotations

import random
import threading
from types import SimpleNamespace

from sidecar.cli.output import say, say_diff
from sidecar.errors import UsageError
from sidecar.litellm_proxy.notify import notifies, notify_change, notify_restored
from sidecar.service.sync import run_once
from sidecar.settings import Settings
from sidecar.targets.base import Synced
from sidecar.text import printable


def command(arguments: SimpleNamespace, settings: Settings, stop: threading.Event) -> int:
    """The exit code: with ``--dry-run``, 1 if anything would change."""
    if arguments.restore is not None:
        return _restore(arguments, settings, stop)
    if not arguments.dry_run and stop.wait(random.uniform(0, settings.sync_jitter)):
        return 0
    result = run_once(
        settings,
        stop,
        adopt=arguments.adopt,
        create=arguments.create,
        dry_run=arguments.dry_run,
        accept_loss=arguments.accept_loss,
    )
    _report(result, settings, dry_run=arguments.dry_run)
    if arguments.dry_run:
        return int(result.change is not None)
    notify_change(settings, result, stop)
    if result.change is not None:
        say(_how_litellm_learns(settings))
    return 0


def _report(result: Synced, settings: Settings, *, dry_run: bool) -> None:
    if result.change is None:
        say(f"{result.target} is up to date: {result.models} models")
    else:
        say_diff(result.diff, settings)
        done = "created" if result.created else "changed"
        say(f"{result.target} {f'would be {done}' if dry_run else done}: {result.models} models")
        omitted = {item.label: item.reason for item in result.built.selection.omitted}
        for line in result.change.lines(omitted):
            say(f"  {line}")
    if result.skipped:
        names = ", ".join(map(printable, result.skipped))
        say(
            f"  {len(result.skipped)} are entries of your own, not kept in sync (--adopt takes Copilot's over): {names}"
        )


def _how_litellm_learns(settings: Settings) -> str:
    if notifies(settings):
        return "LiteLLM was notified, as the on-change settings say."
    if settings.configmap is not None:
        return "LiteLLM's hook follows when the kubelet has updated the volume, mostly within a minute."
    if settings.config_file is None:
        return "LiteLLM follows by itself if it runs with the hook; `doctor` checks that."
    if settings.follow_config == settings.config_file:
        return "LiteLLM's hook follows this config."
    return "LiteLLM reads its config when it starts: restart it, or have --on-change do that (docs/commands.md)."


def _restore(arguments: SimpleNamespace, settings: Settings, stop: threading.Event) -> int:
    from sidecar.config.file import restore_backup, restore_diff

    config, when = settings.config_file, arguments.restore or None
    if config is None:
        raise UsageError("--restore needs a config, and none is set", hint="Set --config or CONFIG_FILE.")
    if arguments.dry_run:
        backup, changes, diff = restore_diff(config, when)
        say_diff(diff, settings)
        say(f"{config} {f'would be restored from {backup}' if changes else f'is the same as {backup}'}")
        return int(changes)
    backup = restore_backup(config, when)
    say(f"{config} was restored from {backup}")
    notify_restored(settings, config, backup, stop)
    say(_how_litellm_learns(settings))
    return 0
