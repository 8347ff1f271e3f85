"""The commands, their flags and the exit codes, declared once for the parser and the reference.

A flag with a variable sets that setting for this run; it takes precedence over the environment.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

EXIT_CODES = {
    0: "success",
    1: "`sync --dry-run`: there would be changes; `healthcheck`: not alive or not ready; `status`: `run` is stuck",
    2: "a flag, an environment variable or a user's file is invalid; started by the compose file, `run` first waits, "
    "unready, until it is stopped",
    3: "a login is required, or the account has no access to Copilot",
    4: "GitHub or the API server did not answer, or returned an unusable response",
    5: "a file, or an object in the API server, cannot be read or written",
    6: "LiteLLM does not answer, is not in sync, or could not be notified of a change (which is kept)",
    70: "a bug in this program",
    75: "`run`: its loop was stuck, and it ended itself to be started again; the log shows where each thread stood",
    130: "interrupted by SIGINT (`run`: 0)",
    143: "terminated by SIGTERM (`run`: 0)",
}


class Flag(NamedTuple):
    """A flag: its help, the name of its value (none: a switch), the variable it sets, and whether the value may
    be omitted (then it is empty). Without dashes in its name it is an argument, one of ``choices``."""

    help: str
    value: str = ""
    variable: str = ""
    optional: bool = False
    choices: tuple[str, ...] = ()


_JSON = Flag("print JSON instead of a table")

COMMANDS: dict[str, tuple[str, dict[str, Flag]]] = {
    "login": (
        "log in to GitHub (device flow) and store the access token",
        {
            "--force": Flag("log in anew although the stored token works; it stays until there is a new one"),
            "--json": Flag("also write github_token.json"),
            "--import": Flag(
                "instead of logging in, import a token stored by LiteLLM or an editor (at PATH or in the usual places)",
                "PATH",
                optional=True,
            ),
        },
    ),
    "logout": ("remove the stored access token, and say where to revoke it", {}),
    "sync": (
        "read the catalog once and update the models file, or a config",
        {
            "--config": Flag("keep this LiteLLM config in sync instead of the models file", "CONFIG", "CONFIG_FILE"),
            "--adopt": Flag("take over the config's own entries for Copilot models, those of the older tool too"),
            "--create": Flag("make the config if it does not exist, which is an error otherwise"),
            "--dry-run": Flag("only show what would change, by --restore too; exits with 1 if anything would"),
            "--accept-loss": Flag("remove at once what the catalog no longer lists, however many models that are"),
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
            "--on-change-format": Flag(
                "what is POSTed: json, slack or discord (COPILOT_ON_CHANGE_FORMAT)",
                "FORMAT",
                "COPILOT_ON_CHANGE_FORMAT",
            ),
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
    "status": (
        "show who is logged in, the last sync, the models, and whether LiteLLM has them; writes nothing",
        {
            "--config": Flag("the config that is kept in sync, if any", "CONFIG", "CONFIG_FILE"),
            "--json": Flag("print JSON instead of text"),
        },
    ),
    "models": (
        "read the catalog and show the models that LiteLLM gets; writes nothing",
        {"--all": Flag("also show the omitted models, with the reasons"), "--json": _JSON},
    ),
    "changes": (
        "show what has changed and when, the oldest first; asks nobody and writes nothing",
        {
            "--config": Flag("the config that is kept in sync, if any", "CONFIG", "CONFIG_FILE"),
            "--since": Flag("only since this date or time (UTC, as in ISO 8601), or for so long: 7d, 12h", "WHEN"),
            "--json": _JSON,
        },
    ),
    "connect": (
        "show the settings with which a client uses the models that are published; without CLIENT, list the clients",
        {
            "client": Flag("claude-code, codex, opencode, …", "CLIENT", optional=True),
            "--write": Flag("merge them into the client's own file, with a backup next to it"),
            "--url": Flag("LiteLLM's address, as the client reaches it", "URL", "COPILOT_CLIENT_URL"),
            "--config": Flag("the config that is kept in sync, if any", "CONFIG", "CONFIG_FILE"),
        },
    ),
    "doctor": (
        "check every hop from the access token to LiteLLM and say how to fix what fails; writes nothing",
        {
            "--config": Flag("the config that is kept in sync, if any", "CONFIG", "CONFIG_FILE"),
            "--json": Flag("print JSON instead of text"),
        },
    ),
    "completion": (
        "print what makes a shell complete commands and flags",
        {"shell": Flag("the shell", "SHELL", choices=("bash", "zsh", "fish"))},
    ),
}
"""Every command: what it does, and its flags."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "login": ("login", "login --import ~/.config/github-copilot", "login --force"),
    "logout": ("logout",),
    "sync": (
        "sync",
        "sync --config config.yaml --dry-run",
        "sync --config config.yaml --on-change 'systemctl restart litellm'",
    ),
    "prepare": ("prepare",),
    "run": ("run",),
    "healthcheck": ("healthcheck",),
    "status": ("status", "status --config config.yaml", "status --json"),
    "models": ("models", "models --all", "models --json"),
    "changes": ("changes", "changes --since 7d"),
    "connect": ("connect", "connect claude-code", "connect codex --write"),
    "doctor": ("doctor", "doctor --config config.yaml", "doctor --json"),
    "completion": ("completion bash >~/.local/share/bash-completion/completions/copilot-model-sync",),
}
"""Of each command, what a person may type."""

SUPERVISED = "SIDECAR_SUPERVISED"
"""The variable by which entrypoint/sidecar.sh says that `run` is started again, by way of it, whenever it ends."""

INSTALLED = "copilot-model-sync"
"""The program's name where it is installed."""


def program(started_as: str | None = None) -> str:
    """What people type to run this program: as it was started."""
    return INSTALLED if Path(started_as or sys.argv[0]).name == INSTALLED else "python -m sidecar"


def as_called(text: str) -> str:
    """``text`` with the commands in it as this program was started."""
    return text.replace("python -m sidecar ", f"{program()} ")


def alone(argv: Sequence[str]) -> SimpleNamespace | None:
    """What the parser makes of a command without any flag, as services, health checks and cron give it: to import a
    parser takes longer than a look at the health. None where it is something else, or needs more.
    """
    flags = COMMANDS[argv[0]][1] if len(argv) == 1 and argv[0] in COMMANDS else None
    if flags is None or any(item.choices for item in flags.values()):
        return None
    return SimpleNamespace(
        command=argv[0], **{_name(flag): None if item.value else False for flag, item in flags.items()}
    )


def variables(arguments: SimpleNamespace) -> Mapping[str, tuple[str, str]]:
    """The variables set by this run's flags: variable → (flag, value)."""
    flags = COMMANDS[arguments.command][1]
    given = {flag: getattr(arguments, _name(flag)) for flag in flags}
    return {
        item.variable: (flag, given[flag]) for flag, item in flags.items() if item.variable and given[flag] is not None
    }


def _name(flag: str) -> str:
    return flag.strip("-").replace("-", "_")
