"""The commands, their flags and the exit codes, declared once for the parser and the reference.

A flag with a variable sets that setting for this run; it takes precedence over the environment.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from sidecar import __version__
from sidecar.secret import without_secrets

EXIT_CODES = {
    0: "success",
    1: "`sync --dry-run`: there would be changes; `healthcheck`: not alive or not ready",
    2: "a flag, an environment variable or a user's file is invalid",
    3: "a login is required, or the account has no access to Copilot",
    4: "GitHub or the API server did not answer, or returned an unusable response",
    5: "a file, or an object in the API server, cannot be read or written",
    6: "LiteLLM does not answer, is not in sync, or could not be notified of a change (which is kept)",
    70: "a bug in this program",
    130: "interrupted by SIGINT (`run`: 0)",
    143: "terminated by SIGTERM (`run`: 0)",
}


@dataclass(frozen=True)
class Flag:
    """A flag: its help, the name of its value (none: a switch), the variable it sets, and whether the value may
    be omitted (then it is empty)."""

    help: str
    value: str = ""
    variable: str = ""
    optional: bool = False


_JSON = Flag("print JSON instead of a table")

COMMANDS: dict[str, tuple[str, dict[str, Flag]]] = {
    "login": (
        "log in to GitHub (device flow) and store the access token",
        {
            "--json": Flag("also write github_token.json"),
            "--import": Flag(
                "instead of logging in, import a token stored by LiteLLM or an editor (at PATH or in the usual places)",
                "PATH",
                optional=True,
            ),
        },
    ),
    "sync": (
        "read the catalog once and update the models file, or a config",
        {
            "--config": Flag("keep this LiteLLM config in sync instead of the models file", "CONFIG", "CONFIG_FILE"),
            "--adopt": Flag("also replace hand-written entries for Copilot models in the config"),
            "--dry-run": Flag("only show what would change; exits with 1 if anything would"),
            "--restore": Flag(
                "instead of syncing, restore the config's backup of TIME (as in its name), or the newest",
                "TIME",
                optional=True,
            ),
            "--validate": Flag(
                "run this with the config's path after a change; if it fails, the old config is restored",
                "CMD",
                "COPILOT_VALIDATE",
            ),
            "--on-change": Flag(
                "run this after a change, with the change as JSON on its standard input", "CMD", "COPILOT_ON_CHANGE"
            ),
            "--on-change-url": Flag("POST the change as JSON to this address", "URL", "COPILOT_ON_CHANGE_URL"),
            "--on-change-gunicorn": Flag(
                "send SIGHUP to the gunicorn master named in this file, and to nothing else",
                "PIDFILE",
                "COPILOT_ON_CHANGE_GUNICORN",
            ),
        },
    ),
    "prepare": ("install the hook, create an empty models file if there is none, and exit", {}),
    "run": ("the service: sync at startup and every COPILOT_MODEL_SYNC_INTERVAL seconds", {}),
    "healthcheck": ("check whether the running service is alive and ready", {}),
    "models": (
        "read the catalog and show the models that LiteLLM gets; writes nothing",
        {"--all": Flag("also show the omitted models, with the reasons"), "--json": _JSON},
    ),
    "doctor": (
        "check every hop from the access token to LiteLLM and say how to fix what fails; writes nothing",
        {"--config": Flag("the config that is kept in sync, if any", "CONFIG", "CONFIG_FILE")},
    ),
}
"""Every command: what it does, and its flags."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """As in argparse, which quotes what it does not understand."""
        super().error(without_secrets(message))


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    top = _Parser(
        prog="python -m sidecar",
        description="Keeps a LiteLLM proxy's model list in sync with what a GitHub Copilot account may use.",
        epilog="Settings are environment variables; docs/reference.md lists them and the exit codes.",
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    for name, (text, flags) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        for flag, item in flags.items():
            if not item.value:
                command.add_argument(flag, action="store_true", help=item.help)
            elif item.optional:
                command.add_argument(flag, nargs="?", const="", metavar=item.value, help=item.help)
            else:
                command.add_argument(flag, type=_not_empty, metavar=item.value, help=item.help)
    return top


def variables(arguments: argparse.Namespace) -> Mapping[str, tuple[str, str]]:
    """The variables set by this run's flags: variable → (flag, value)."""
    flags = COMMANDS[arguments.command][1]
    given = {flag: getattr(arguments, flag.strip("-").replace("-", "_")) for flag in flags}
    return {
        item.variable: (flag, given[flag]) for flag, item in flags.items() if item.variable and given[flag] is not None
    }


def _not_empty(text: str) -> str:
    """Reject an empty value: it would count as "not set" and hide a script's unset variable."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return text
