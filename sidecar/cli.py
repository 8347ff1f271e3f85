"""The command line: ``python -m sidecar <command>``.

The one place where an error becomes a message, a hint and an exit code.
``main`` takes its arguments and environment as parameters.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import sys
import threading
from collections.abc import Mapping, Sequence

from sidecar.commands import parser, variables
from sidecar.config.file import restore_backup
from sidecar.errors import SidecarError, UsageError
from sidecar.github.login import log_in
from sidecar.github.token_import import import_token
from sidecar.litellm_proxy.notify import notify_change, notify_restored
from sidecar.logs import configure
from sidecar.models.table import models_document, models_table
from sidecar.parsers import expanded
from sidecar.service.doctor import diagnose
from sidecar.service.health import Status, check, serve
from sidecar.service.loop import prepare, run
from sidecar.service.sync import entries_for, fetch_catalog, run_once
from sidecar.settings import Settings, likely_typos
from sidecar.signals import run_until_signalled
from sidecar.text import printable

log = logging.getLogger(__name__)


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one command and return its exit code."""
    arguments = parser().parse_args(argv)
    configure("INFO", as_json=arguments.command == "run")
    try:
        settings = Settings.load(environ, variables(arguments))
        configure(settings.log_level, as_json=arguments.command == "run", file=settings.log_file)
        for written, meant in likely_typos(environ):
            log.warning("%s is not a known setting; did you mean %s?", printable(written), meant)
        return _run(arguments, settings)
    except SidecarError as error:
        if arguments.command == "run":
            log.error("%s", error, extra={"hint": error.hint, "error": type(error).__name__})
        else:
            print(f"{arguments.command}: {printable(error, 2000)}", file=sys.stderr)
            print(f"  {error.hint}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        raise  # the reader has closed the pipe: not a bug
    except Exception:
        log.exception("a bug in this program; please report it")
        return SidecarError.exit_code


def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    match arguments.command:
        case "healthcheck":
            problem = check(settings.health_port)
            print(problem or "alive and ready")
            return 1 if problem else 0
        case "login":
            return run_until_signalled(lambda stop: _login(arguments, settings, stop))
        case "sync":
            return run_until_signalled(lambda stop: _sync(arguments, settings, stop))
        case "prepare":
            prepare(settings)
            return 0
        case "models":
            return run_until_signalled(lambda stop: _models(arguments, settings, stop))
        case "doctor":
            return run_until_signalled(lambda stop: diagnose(settings, stop))
        case _:
            return _serve(settings)


def _login(arguments: argparse.Namespace, settings: Settings, stop: threading.Event) -> None:
    given = getattr(arguments, "import")
    if given is not None:
        import_token(settings, expanded(given) if given else None, stop, as_json=arguments.json)
    else:
        log_in(settings, stop, as_json=arguments.json)


def _sync(arguments: argparse.Namespace, settings: Settings, stop: threading.Event) -> int:
    if arguments.restore is not None:
        return _restore(arguments.restore, settings, stop)
    if not arguments.dry_run and stop.wait(random.uniform(0, settings.sync_jitter)):
        return 0
    result = run_once(settings, stop, adopt=arguments.adopt, dry_run=arguments.dry_run)
    if result.change is None:
        print(f"{result.target} is up to date: {result.models} models")
    else:
        print(result.diff, end="")
        print(f"{result.target}{' would change' if arguments.dry_run else ''}: {result.models} models")
        for line in result.change.lines():
            print(f"  {line}")
    if arguments.dry_run:
        return int(result.change is not None)
    notify_change(settings, result, stop)
    return 0


def _restore(when: str, settings: Settings, stop: threading.Event) -> int:
    if settings.config_file is None:
        raise UsageError("--restore needs a config, and none is set", hint="Set --config or CONFIG_FILE.")
    backup = restore_backup(settings.config_file, when or None)
    print(f"{settings.config_file} was restored from {backup}")
    notify_restored(settings, settings.config_file, backup, stop)
    return 0


def _models(arguments: argparse.Namespace, settings: Settings, stop: threading.Event) -> None:
    selected, entries = entries_for(fetch_catalog(settings, stop), settings)
    for note in selected.notes:
        log.warning("%s", note)
    if arguments.json:
        omitted = selected.omitted if arguments.all else None
        print(json.dumps(models_document(selected.models, entries, omitted), indent=2))
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print(models_table(selected.models, selected.omitted if arguments.all else (), width))


def _serve(settings: Settings) -> int:
    if settings.configmap:
        raise UsageError("COPILOT_CONFIGMAP is only supported by `sync`, in a CronJob", hint="Unset it for `run`.")
    status = Status()
    server = serve(settings.health_port, status) if settings.health_port else None
    try:
        code = run_until_signalled(lambda stop: run(settings, stop, status))
    finally:
        if server:
            server.close()
    log.info("stopped")
    return 0 if code in {130, 143} else code


def entry() -> None:
    """The console script."""
    try:
        code = main(sys.argv[1:], os.environ)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)
