"""The commands as they are declared: help, examples, mistakes, completion, and Pythons that are too old."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import runpy
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from sidecar.cli import main
from sidecar.cli.completion import script
from sidecar.cli.parser import parser
from sidecar.commands import COMMANDS, EXAMPLES, INSTALLED, alone
from tests.support.paths import ROOT

OLD = [
    path
    for path in sorted(Path.home().glob(".pyenv/versions/*/bin/python"))
    if tuple(map(int, path.parts[-3].split("."))) < (3, 11)
]


def refused(capsys, *arguments, environ=None):
    """What is said of a wrong command line, which ends with 2."""
    with pytest.raises(SystemExit) as caught:
        main(arguments, environ or {})
    assert caught.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_it_takes(name, capsys):
    """The help of each command ends with examples, and the parser takes them."""
    with contextlib.suppress(SystemExit):
        parser().parse_args([name, "--help"])
    shown = capsys.readouterr().out
    assert "examples:\n" in shown and EXAMPLES[name]
    for example in EXAMPLES[name]:
        assert f"\n  python -m sidecar {example}\n" in shown
        words = [word for word in shlex.split(example) if not word.startswith(">")]
        assert parser().parse_args(words).command == name


def test_a_command_alone_needs_no_parser():
    """It comes to the same as what the parser makes of it, and whatever is more, or not enough, is left to that."""
    parsed = {}
    for name in COMMANDS:
        with contextlib.suppress(SystemExit):
            parsed[name] = vars(parser().parse_args([name]))
    assert {name: vars(found) for name in COMMANDS if (found := alone([name]))} == parsed
    assert len(parsed) == len(COMMANDS) - 1, "completion needs the shell"
    assert [alone(argv) for argv in ([], ["frob"], ["--version"], ["sync", "--dry-run"], ["completion"])] == [None] * 5


@pytest.mark.parametrize(
    ("started_as", "shown"),
    [("/usr/lib/sidecar/__main__.py", "python -m sidecar"), (f"/home/x/.local/bin/{INSTALLED}", INSTALLED)],
)
def test_its_own_name(started_as, shown, monkeypatch, capsys):
    """Help and mistakes name the program as it was started."""
    monkeypatch.setattr("sys.argv", [started_as])
    with contextlib.suppress(SystemExit):
        parser().parse_args(["--help"])
    text = capsys.readouterr().out
    assert text.startswith(f"usage: {shown} [") and f"  {shown} sync --config config.yaml\n" in text
    assert refused(capsys, "sync", "--frob").startswith(f"usage: {shown} sync ")


@pytest.mark.parametrize("command", ["sync", "doctor", "status"])
def test_hints_name_what_can_be_typed(command, bench, monkeypatch, capsys):
    """Where the program is installed, a hint does not name a module that only its own environment has."""
    monkeypatch.setattr("sys.argv", [INSTALLED])
    assert main([command], bench.environ) == 3
    said = capsys.readouterr()
    assert f"`{INSTALLED} login`" in said.out + said.err and "python -m" not in said.out + said.err


@pytest.mark.parametrize("arguments", [("sync", "--dry"), ("models", "--js"), ("--vers",)])
def test_no_abbreviations(arguments, capsys):
    """A flag is written out: what is an abbreviation today may mean two flags tomorrow."""
    assert arguments[-1] in refused(capsys, *arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_mistake_shows_the_command_s_own_usage(name, capsys):
    """The usage is that of the command, with its flags, and the mistake is named."""
    said = refused(capsys, name, *(["bash"] if name == "completion" else []), "--frobnicate")
    assert said.startswith(f"usage: python -m sidecar {name} ") and "--frobnicate" in said
    assert all(flag in said for flag in COMMANDS[name][1] if flag.startswith("-"))


def completed(line, tmp_path):
    """What a real bash offers at the end of the line, in a directory with a file ``config.yaml``."""
    (tmp_path / "config.yaml").touch()
    (tmp_path / "completion.bash").write_text(script("bash"))
    # What readline does: ask the function, and where it has nothing, offer files.
    text = f"""
    source completion.bash
    COMP_WORDS=({line}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
    _copilot_model_sync
    printf '%s\\n' "${{COMPREPLY[@]}}"
    complete -p {INSTALLED}
    """
    done = subprocess.run(["bash", "-uc", text], cwd=tmp_path, capture_output=True, text=True, check=True)
    *words, how = done.stdout.splitlines()
    assert done.stderr == "" and "-o default" in how
    return [word for word in words if word]


def test_bash_completes(tmp_path):
    """Commands, the flags of a command, and the choices of an argument; a flag's value is left to bash, as a file."""
    assert completed(f"{INSTALLED} ''", tmp_path) == [*COMMANDS, "--help", "--version"]
    assert completed(f"{INSTALLED} do", tmp_path) == ["doctor"]
    assert completed(f"{INSTALLED} sync --dr", tmp_path) == ["--dry-run"]
    assert completed(f"{INSTALLED} login ''", tmp_path) == ["--force", "--json", "--import", "--help"]
    assert completed(f"{INSTALLED} sync --config conf", tmp_path) == []
    assert completed(f"{INSTALLED} completion z", tmp_path) == ["zsh"]
    assert completed(f"{INSTALLED} connect cod", tmp_path) == ["codex"]
    assert completed(f"{INSTALLED} nonsense --x", tmp_path) == []


def test_completion_is_printed(capsys):
    """The command prints it for the shell that is named, whatever the settings."""
    assert main(["completion", "fish"], {}) == 0
    assert capsys.readouterr().out == script("fish")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_it(shell, tmp_path):
    """zsh and fish, where they are installed, find no fault with theirs, and offer what starts alike."""
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed here")
    (tmp_path / "completion").write_text(script(shell))
    ask = {
        "zsh": "autoload -U compinit; compinit -D; source ./completion; print $_comps[copilot-model-sync]",
        "fish": f"source ./completion; complete -C '{INSTALLED} sync --dr'; complete -C '{INSTALLED} stat'",
    }
    command = [shell, *(["-f"] if shell == "zsh" else []), "-c", ask[shell]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert ("_copilot_model_sync" if shell == "zsh" else "--dry-run\t") in done.stdout
    assert shell == "zsh" or "status\t" in done.stdout


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_every_flag(shell):
    """Each command and each flag is in the text for them too."""
    text = script(shell)
    for name, (_, flags) in COMMANDS.items():
        assert name in text
        for flag in flags:
            assert (flag if shell == "zsh" else f"-l {flag.strip('-')} ") in text or not flag.startswith("-")


def test_an_old_python_is_refused(monkeypatch, capsys):
    """One sentence that names both versions, and an exit code that means nothing else."""
    monkeypatch.setattr("sys.version_info", (3, 10, 13, "final", 0))
    monkeypatch.setattr("sys.version", "3.10.13 (main)")
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(ROOT / "sidecar" / "__main__.py"))
    said = capsys.readouterr().err
    assert caught.value.code == 2 and said.count("\n") == 1
    assert re.match(r"sidecar needs Python 3\.11 or newer, and this is 3\.10\.13: /", said)


@pytest.mark.parametrize("name", ["__init__", "__main__"])
def test_an_old_python_can_read_what_refuses_it(name):
    """Both files that it reads are in the language of Python 3.6."""
    ast.parse((ROOT / "sidecar" / f"{name}.py").read_text("ascii"), feature_version=(3, 6))


@pytest.mark.parametrize("python", OLD, ids=str)
def test_a_real_old_python_is_refused(python):
    """Where there is one, it says the sentence, and no SyntaxError."""
    done = subprocess.run([python, "-m", "sidecar", "sync"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("sidecar needs Python 3.11 or newer, and this is ")


def test_any_case_of_a_level(bench, capsys):
    """A log level, as every choice, may be written in any case."""
    assert bench.settings(COPILOT_LOG_LEVEL="debug").log_level == "DEBUG"
    assert bench.settings(COPILOT_LOG_FORMAT="Text").log_format == "text"
    bench.log_in()
    assert main(["sync"], {**os.environ, **bench.environ, "COPILOT_LOG_LEVEL": "Debug"}) == 0
    assert "debug: catalog read" in capsys.readouterr().err
