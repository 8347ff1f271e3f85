"""The command line: ``python -m sidecar <command>``.

The one place where an error becomes a message, a hint and an exit code, and where signals are handled.
``main`` takes its arguments and environment as parameters.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence

from sidecar import __version__, health, loop, table
from sidecar.errors import SidecarError, Stopped
from sidecar.login import login
from sidecar.logs import configure
from sidecar.settings import Settings, likely_typos
from sidecar.sync import choose, fetch, sync
from sidecar.text import printable

log = logging.getLogger(__name__)

LAST_WORDS = 0.7
"""Seconds that work under way is given to end by itself after a signal."""

EXIT_CODES = {
    0: "done",
    1: "`healthcheck` only: not alive or not ready",
    2: "a flag, a variable or a file of the user's is wrong",
    3: "a login is needed, or GitHub refuses the account",
    4: "GitHub did not answer, or not as it should",
    5: "a file cannot be read or written",
    70: "a defect of this program",
    130: "ended by SIGINT (`run`: 0)",
    143: "ended by SIGTERM (`run`: 0)",
}

COMMANDS: dict[str, tuple[str, dict[str, str]]] = {
    "login": ("log in to GitHub (device flow) and store the access token", {}),
    "sync": ("read the catalog once and bring the models file up to date", {}),
    "run": ("the service: sync at start-up and every COPILOT_MODEL_SYNC_INTERVAL seconds", {}),
    "healthcheck": ("ask the running service whether it is alive and ready", {}),
    "models": (
        "read the catalog and show the models that LiteLLM is given; writes nothing",
        {"--all": "also the models that are left out, with the reason", "--json": "JSON for programs, not a table"},
    ),
}
"""Every command: what it does, and its flags. The reference is generated from this and from EXIT_CODES."""


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    top = argparse.ArgumentParser(
        prog="python -m sidecar",
        description="Keeps a LiteLLM proxy's model list exactly what a GitHub Copilot account may use.",
        epilog="Settings are environment variables; docs/reference.md lists them, and what the exit codes mean.",
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    for name, (text, flags) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        for flag, help_text in flags.items():
            command.add_argument(flag, action="store_true", help=help_text)
    return top


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one command and return its exit code."""
    arguments = parser().parse_args(argv)
    configure("INFO", as_json=arguments.command == "run")
    try:
        settings = Settings.load(environ)
        configure(settings.log_level, as_json=arguments.command == "run")
        for written, meant in likely_typos(environ):
            log.warning("%s is set but not known; is %s meant?", printable(written), meant)
        return _run(arguments, settings)
    except SidecarError as error:
        if arguments.command == "run":
            log.error("%s", error, extra={"hint": error.hint, "error": type(error).__name__})
        else:
            print(f"{arguments.command}: {printable(error, 2000)}", file=sys.stderr)
            if error.hint:
                print(f"  {error.hint}", file=sys.stderr)
        return error.exit_code
    except Exception:
        log.exception("a defect of this program; please report it")
        return SidecarError.exit_code


def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    match arguments.command:
        case "healthcheck":
            problem = health.check(settings.health_port)
            print(problem or "alive and ready")
            return 1 if problem else 0
        case "login":
            return _until_signalled(lambda stop: login(settings, stop))
        case "sync":
            return _until_signalled(lambda stop: _sync(settings, stop))
        case "models":
            return _until_signalled(lambda stop: _models(arguments, settings, stop))
        case _:
            return _serve(settings)


def _sync(settings: Settings, stop: threading.Event) -> None:
    result = sync(settings, stop)
    if result.change is None:
        print(f"{settings.models_file} is up to date: {result.models} models")
        return
    print(f"{settings.models_file}: {result.models} models")
    for word in ("added", "removed", "changed"):
        for name in getattr(result.change, word):
            print(f"  {word} {name}")


def _models(arguments: argparse.Namespace, settings: Settings, stop: threading.Event) -> None:
    selected, entries = choose(fetch(settings, stop), settings)
    for note in selected.notes:
        log.warning("%s", note)
    if arguments.json:
        left_out = selected.left_out if arguments.all else None
        print(json.dumps(table.document(selected.models, entries, left_out), indent=2))
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print(table.table(selected.models, selected.left_out if arguments.all else (), width))


def _serve(settings: Settings) -> int:
    status = health.Status()
    server = health.serve(settings.health_port, status) if settings.health_port else None
    try:
        code = _until_signalled(lambda stop: loop.run(settings, stop, status))
    finally:
        if server:
            server.server_close()
    log.info("stopped")
    return 0 if code in {130, 143} else code


def _until_signalled(work: Callable[[threading.Event], None]) -> int:
    """Run ``work`` in a thread and end within a second of SIGTERM or SIGINT, even in mid-request.

    Python restarts an interrupted system call, so a signal alone would not end a read from the network;
    what is abandoned here has no effect, because files are only ever replaced whole.
    """
    stop, received, failure = threading.Event(), [], []

    def handler(number: int, _frame: object) -> None:
        received.append(number)
        stop.set()

    def target() -> None:
        try:
            work(stop)
        except BaseException as error:
            failure.append(error)
        finally:
            stop.set()

    previous = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        worker = threading.Thread(target=target, name="work", daemon=True)
        worker.start()
        stop.wait()
        worker.join(LAST_WORDS if received else None)
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
    if received and (not failure or isinstance(failure[0], SidecarError)):
        return 128 + received[0]
    if failure and not isinstance(failure[0], Stopped):
        raise failure[0]
    return 0


def entry() -> None:
    """The console script."""
    try:
        code = main(sys.argv[1:], os.environ)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)
