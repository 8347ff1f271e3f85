"""The parser of the command line, made from the declarations in ``commands``."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable
from typing import Any, NoReturn

from sidecar import __version__
from sidecar.commands import COMMANDS, EXAMPLES, program
from sidecar.secret import without_secrets


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """As in argparse, which quotes what it does not understand."""
        super().error(without_secrets(message))


class _Command(_Parser):
    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse what this command does not know, with its own usage: argparse would show that of the program."""
        found, others = super().parse_known_args(args, namespace)
        if others:
            self.error(f"unrecognized arguments: {' '.join(others)}")
        return found, others


def parser(documents: str = "") -> argparse.ArgumentParser:
    """The argument parser; ``documents`` is where docs/ is, for the help."""
    form = argparse.RawDescriptionHelpFormatter
    settings = "Settings are environment variables; docs/reference.md lists them and the exit codes."
    more = f"{settings}\ndocs/ is in {documents}" if documents else settings
    top = _Parser(
        prog=program(),
        description="Keeps a LiteLLM proxy's model list in sync with what a GitHub Copilot account may use.",
        epilog=f"{_examples(['login', 'models', 'sync --config config.yaml', 'status', 'doctor'])}\n\n{more}",
        formatter_class=form,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True, metavar="command", parser_class=_Command)
    for name, (text, flags) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=text,
            description=textwrap.fill(text, 78),
            epilog=_examples(EXAMPLES.get(name, ())),
            formatter_class=form,
            allow_abbrev=False,
        )
        for flag, item in flags.items():
            if item.choices:
                command.add_argument(flag, choices=item.choices, metavar=item.value, help=item.help)
            elif not item.value:
                command.add_argument(flag, action="store_true", help=item.help)
            elif item.optional:
                command.add_argument(flag, nargs="?", const="", metavar=item.value, help=item.help)
            else:
                command.add_argument(flag, type=_not_empty, metavar=item.value, help=item.help)
    return top


def _examples(arguments: Iterable[str]) -> str:
    lines = [f"  {program()} {text}" for text in arguments]
    return "\n".join(["examples:", *lines]) if lines else ""


def _not_empty(text: str) -> str:
    """Reject an empty value: it would count as "not set" and hide a script's unset variable."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return text
