"""``connect``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

from sidecar.cli.output import say
from sidecar.config.backups import make_backup
from sidecar.connect.choose import Models
from sidecar.connect.clients import CLIENTS, KEY, Client, Setup, new_file
from sidecar.connect.merge import CannotMergeError, merged
from sidecar.errors import StorageError, UsageError
from sidecar.files import read_named, read_snapshot, replace_unchanged, resolve_symlinks, storage_errors
from sidecar.litellm_hot_reload.allowed import entry_problem
from sidecar.parsers import expanded
from sidecar.settings import Settings
from sidecar.targets.models_file import entries_in
from sidecar.text import printable

_SHOW_KEY = "docker compose exec -T copilot-sync cat /keys/master-key"


def command(arguments: SimpleNamespace, settings: Settings, environ: Mapping[str, str]) -> None:
    """Show a client's settings for the published models, or write them into its own file."""
    name = arguments.client
    if not name:
        if arguments.write:
            raise UsageError("--write needs a client", hint=f"One of: {', '.join(CLIENTS)}.")
        width = max(map(len, CLIENTS))
        say("\n".join(f"{name:{width}}  {client.title}" for name, client in CLIENTS.items()))
        return
    if name not in CLIENTS:
        raise UsageError(
            f"{printable(name, 40)!r} is not a client that is known", hint=f"One of: {', '.join(CLIENTS)}."
        )
    client = CLIENTS[name]
    setup = client.make(_published(settings), settings.client_url or settings.litellm_url)
    path = client.path(environ)
    if not arguments.write:
        say(f"{client.title}: {path}\n\n" if client.file else "", end="")
        say(new_file(client, setup))
    elif client.file:
        say(_write(client, setup, expanded(str(path))))
    else:
        raise UsageError(
            f"{client.title} has no settings file that could be edited",
            hint=f"Copy what `connect {name}` prints.",
        )
    key = f"export {KEY}=…   # LiteLLM's key; in the compose setup: $({_SHOW_KEY})"
    say("\n".join(["To use it:", *(f"  {line}" for line in (key, *setup.then))]))


def _published(settings: Settings) -> Models:
    """What is served now, by the config that is kept in sync, else the models file; of entries that are whole."""
    path = settings.config_file or settings.models_file
    data = read_named(path)
    entries = [entry for entry in entries_in(data).values() if entry_problem(entry) is None]
    if not entries:
        problem = "does not exist" if data is None else "has no models of Copilot"
        raise UsageError(
            f"{path} {problem}: nothing has been published yet",
            hint="Run `docker compose up`, or `python -m sidecar sync` without containers. The models are where "
            "COPILOT_MODELS_FILE, --config or CONFIG_FILE says.",
        )
    return Models(entries)


def _write(client: Client, setup: Setup, path: Path) -> str:
    """Merge the settings into the client's file, and say what was done."""
    real = resolve_symlinks(path)
    before = read_snapshot(real)
    try:
        old = before.data.decode() if before else ""
        data = merged(path.suffix, old, setup.values, setup.missing).encode()
    except (CannotMergeError, UnicodeError) as error:
        why = str(error) if isinstance(error, CannotMergeError) else "is not UTF-8"
        raise UsageError(
            f"{path} {why}; it was left alone",
            hint="Put in by hand what `connect` prints without --write.",
        ) from None
    if before and data == before.data:
        return f"{path} is up to date"
    if before is None:
        with storage_errors(real.parent, "made"):
            os.makedirs(real.parent, exist_ok=True)
    backup = make_backup(real, before) if before else None
    if not replace_unchanged(real, data, before):
        raise StorageError(f"{path} was changed by something else meanwhile", hint="Run the command again.")
    return f"{path} was written" + (f"; what it was is in {backup}" if backup else "")
