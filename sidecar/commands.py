"""The commands, their flags and the exit codes, declared once. The parser and the reference are made from this.

A flag that has a value sets an environment variable for this run: both are the same setting, and the flag wins.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

from sidecar import __version__

EXIT_CODES = {
    0: "done",
    1: "`sync --dry-run`: it would change something; `healthcheck`: not alive or not ready",
    2: "a flag, a variable or a file of the user's is wrong",
    3: "a login is needed, or GitHub refuses the account",
    4: "GitHub did not answer, or not as it should",
    5: "a file cannot be read or written",
    6: "LiteLLM does not answer, is not in step, or could not be told of a change (which stands)",
    70: "a defect of this program",
    130: "ended by SIGINT (`run`: 0)",
    143: "ended by SIGTERM (`run`: 0)",
}


@dataclass(frozen=True)
class Flag:
    """A flag: its help, the name of its value (none: a switch), the variable it sets, whether the value may be
    left away (then it is empty)."""

    help: str
    value: str = ""
    variable: str = ""
    optional: bool = False


_JSON = Flag("JSON for programs, not a table")

COMMANDS: dict[str, tuple[str, dict[str, Flag]]] = {
    "login": (
        "log in to GitHub (device flow) and store the access token",
        {
            "--json": Flag("write github_token.json as well"),
            "--import": Flag(
                "no login: take over a token that LiteLLM or an editor has stored (at PATH, or where they keep it)",
                "PATH",
                optional=True,
            ),
        },
    ),
    "sync": (
        "read the catalog once and bring the models file, or a config, up to date",
        {
            "--config": Flag("keep this LiteLLM config in step, instead of the models file", "CONFIG", "CONFIG_FILE"),
            "--adopt": Flag("replace hand-written entries for Copilot models in the config too"),
            "--dry-run": Flag("only show what would change; ends with 1 if something would"),
            "--restore": Flag(
                "no sync: bring back the config's backup of TIME (as in its name), or the newest",
                "TIME",
                optional=True,
            ),
            "--validate": Flag(
                "run this when the config has changed, with its path; if it fails, the old one comes back",
                "CMD",
                "COPILOT_VALIDATE",
            ),
            "--on-change": Flag(
                "run this after a change, with the change as JSON on its input", "CMD", "COPILOT_ON_CHANGE"
            ),
            "--on-change-url": Flag("POST the change there as JSON", "URL", "COPILOT_ON_CHANGE_URL"),
            "--on-change-gunicorn": Flag(
                "send SIGHUP to the gunicorn master named in this file; to nothing else",
                "PIDFILE",
                "COPILOT_ON_CHANGE_GUNICORN",
            ),
        },
    ),
    "prepare": ("place the hook, and an empty models file if there is none, and end", {}),
    "run": ("the service: sync at start-up and every COPILOT_MODEL_SYNC_INTERVAL seconds", {}),
    "healthcheck": ("ask the running service whether it is alive and ready", {}),
    "models": (
        "read the catalog and show the models that LiteLLM is given; writes nothing",
        {"--all": Flag("also the models that are left out, with the reason"), "--json": _JSON},
    ),
    "doctor": (
        "check every hop from the access token to LiteLLM, and say what to do about what fails; writes nothing",
        {"--config": Flag("the config that is kept in step, if one is", "CONFIG", "CONFIG_FILE")},
    ),
}
"""Every command: what it does, and its flags."""


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
        for flag, item in flags.items():
            if not item.value:
                command.add_argument(flag, action="store_true", help=item.help)
            elif item.optional:
                command.add_argument(flag, nargs="?", const="", metavar=item.value, help=item.help)
            else:
                command.add_argument(flag, type=_not_empty, metavar=item.value, help=item.help)
    return top


def variables(arguments: argparse.Namespace) -> Mapping[str, tuple[str, str]]:
    """Which variables the flags of this run set: variable → (flag, value)."""
    flags = COMMANDS[arguments.command][1]
    given = {flag: getattr(arguments, flag.strip("-").replace("-", "_")) for flag in flags}
    return {
        item.variable: (flag, given[flag]) for flag, item in flags.items() if item.variable and given[flag] is not None
    }


def _not_empty(text: str) -> str:
    """An empty value would count as "not set", and a script's unset variable would go unnoticed."""
    if not text.strip():
        raise argparse.ArgumentTypeError("its value is empty")
    return text
