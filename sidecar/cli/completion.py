"""``completion``: what makes a shell complete the commands and flags of the installed program."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.commands import COMMANDS, INSTALLED, Flag
from sidecar.connect.clients import CLIENTS

_TOP = ("--help", "--version")

_BASH = """\
_copilot_model_sync() {{
  local word words=''
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    words='{commands}'
  else
    case "${{COMP_WORDS[1]}} ${{COMP_WORDS[COMP_CWORD - 1]}}" in
      {valued}) return ;;
    esac
    case "${{COMP_WORDS[1]}}" in
{flags}
    esac
  fi
  while IFS='' read -r word; do COMPREPLY+=("$word"); done < <(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}")
}}
complete -o default -F _copilot_model_sync {program}
"""
"""A flag's value is completed as a file, by bash itself."""
_ZSH = """\
#compdef {program}
_copilot_model_sync() {{
  local -a commands=({commands})
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
{flags}
  esac
}}
compdef _copilot_model_sync {program}
"""


def script(shell: str) -> str:
    """The text for ``shell``: bash, zsh or fish."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def _bash() -> str:
    valued = [
        f"'{name} {flag}'"
        for name, (_, flags) in COMMANDS.items()
        for flag, item in flags.items()
        if item.value and flag.startswith("-")
    ]
    words = [
        f"      {name}) words='{' '.join([*_words(flags), '--help'])}' ;;" for name, (_, flags) in COMMANDS.items()
    ]
    commands = " ".join([*COMMANDS, *_TOP])
    return _BASH.format(program=INSTALLED, commands=commands, valued=" | ".join(valued), flags="\n".join(words))


def _words(flags: dict[str, Flag]) -> Iterator[str]:
    for flag, item in flags.items():
        yield from [flag] if flag.startswith("-") else _choices(flag, item)


def _choices(argument: str, item: Flag) -> tuple[str, ...]:
    return tuple(CLIENTS) if argument == "client" else item.choices


def _zsh() -> str:
    commands = " ".join(_quoted(f"{name}:{text}") for name, (text, _) in COMMANDS.items())
    lines = []
    for name, (_, flags) in COMMANDS.items():
        specs = [_zsh_spec(flag, item) for flag, item in flags.items()]
        lines.append(f"    {name}) _arguments {' '.join([*specs, _quoted('--help[show the help]')])} ;;")
    return _ZSH.format(program=INSTALLED, commands=commands, flags="\n".join(lines))


def _zsh_spec(flag: str, item: Flag) -> str:
    if not flag.startswith("-"):
        return _quoted(f"1:{':' * item.optional}{flag}:({' '.join(_choices(flag, item))})")
    text = item.help.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
    value = f":{':' * item.optional}{item.value}:_files" if item.value else ""
    return _quoted(f"{flag}[{text}]{value}")


def _fish() -> str:
    base = f"complete -c {INSTALLED}"
    lines = [f"{base} -f", *(f"{base} -n __fish_use_subcommand -l {flag.strip('-')}" for flag in _TOP)]
    for name, (text, _) in COMMANDS.items():
        lines.append(f"{base} -n __fish_use_subcommand -a {name} -d {_fish_quoted(text)}")
    for name, (_, flags) in COMMANDS.items():
        here = f"{base} -n '__fish_seen_subcommand_from {name}'"
        for flag, item in flags.items():
            if not flag.startswith("-"):
                lines.append(f"{here} -a '{' '.join(_choices(flag, item))}'")
            else:
                value = " -r -F" if item.value and not item.optional else ""
                lines.append(f"{here} -l {flag.strip('-')}{value} -d {_fish_quoted(item.help)}")
        lines.append(f"{here} -l help -d 'show the help'")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """For bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
