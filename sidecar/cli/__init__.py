"""The command line: ``python -m sidecar <command>``.

The one place where an error becomes a message, a hint and an exit code.
``main`` takes its arguments and environment as parameters. A command's modules are imported when it runs: those of all
take longer to import than a sync takes, and memory that the service would keep.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from types import SimpleNamespace

from sidecar.cli import progress
from sidecar.cli.output import documents, say, warn_of_typos
from sidecar.commands import SUPERVISED, alone, as_called, variables
from sidecar.errors import SidecarError, StorageError, UsageError, for_once
from sidecar.logs import configure
from sidecar.settings import Settings
from sidecar.signals import run_until_signalled
from sidecar.text import printable, redacted

log = logging.getLogger(__name__)

_OUTPUT_HINT = "Check the disk that standard output goes to."


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one command and return its exit code."""
    arguments = alone(argv) or _parsed(argv)
    configure("INFO", as_json=_as_json(arguments.command, environ.get("COPILOT_LOG_FORMAT", "").strip().lower()))
    try:
        settings = Settings.load(environ, variables(arguments))
        configure(settings.log_level, as_json=_as_json(arguments.command, settings.log_format), file=settings.log_file)
        if arguments.command == "run":
            from sidecar.cli import service

            return service.command(settings, environ)
        warn_of_typos(environ)
        with progress.shown(arguments.command) if arguments.command != "login" else nullcontext():
            return _run(arguments, settings, environ)
    except SidecarError as error:
        if arguments.command == "run":
            log.error("%s", error, extra={"event": "service.failed", "hint": error.hint, "error": type(error).__name__})
            if isinstance(error, UsageError) and SUPERVISED in environ:
                from sidecar.cli import service

                service.stay(error, environ)
        else:
            with suppress(OSError):  # nobody may be reading it
                print(
                    f"{arguments.command}: {printable(for_once(error), 2000)}\n  {as_called(redacted(error.hint))}",
                    file=sys.stderr,
                )
        return error.exit_code
    except BrokenPipeError:
        raise  # the reader has closed the pipe: not a bug
    except OSError as error:
        log.error("%s", printable(error, 2000), extra={"event": "output.failed", "hint": _OUTPUT_HINT})
        return StorageError.exit_code
    except Exception:
        log.exception("a bug in this program; please report it", extra={"event": "defect"})
        return SidecarError.exit_code


def _parsed(argv: Sequence[str]) -> SimpleNamespace:
    from sidecar.cli.parser import parser

    return parser(documents()).parse_args(argv, SimpleNamespace())


def _run(arguments: SimpleNamespace, settings: Settings, environ: Mapping[str, str]) -> int:
    match arguments.command:
        case "healthcheck":
            from sidecar.status.healthcheck import check

            problem = check(settings.health_port)
            print(problem or "alive and ready")
            return 1 if problem else 0
        case "login":
            from sidecar.cli import login

            return run_until_signalled(lambda stop: login.command(arguments, settings, stop))
        case "logout":
            from sidecar.cli import logout

            logout.command(settings)
            return 0
        case "sync":
            from sidecar.cli import sync

            return run_until_signalled(lambda stop: sync.command(arguments, settings, stop))
        case "prepare":
            from sidecar.service.loop import prepare

            prepare(settings)
            return 0
        case "status":
            from sidecar.cli import status

            return run_until_signalled(lambda _: status.command(arguments, settings))
        case "models":
            from sidecar.cli import models

            return run_until_signalled(lambda stop: models.command(arguments, settings, stop))
        case "changes":
            from sidecar.cli import changes

            changes.command(arguments, settings)
            return 0
        case "connect":
            from sidecar.cli import connect

            connect.command(arguments, settings, environ)
            return 0
        case "completion":
            from sidecar.cli import completion

            say(completion.script(arguments.shell), end="")
            return 0
        case _:
            from sidecar.cli import doctor

            return run_until_signalled(lambda stop: doctor.command(arguments, settings, stop))


def _as_json(command: str, log_format: str) -> bool:
    if log_format in {"text", "json"}:
        return log_format == "json"
    return command == "run" and not sys.stderr.isatty()


def entry() -> None:
    """The console script."""
    if "run" not in sys.argv:  # the others end before there is garbage worth collecting
        gc.disable()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    try:
        code = main(sys.argv[1:], os.environ)
    except BrokenPipeError:
        code = 0
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:  # or Python would fail to do it at the end, with an exit code of its own
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if stream is sys.stdout and not isinstance(error, BrokenPipeError):
                extra = {"event": "output.failed", "hint": _OUTPUT_HINT}
                log.error("standard output cannot be written: %s", error.strerror, extra=extra)
                code = StorageError.exit_code
    sys.exit(code)
