"""`connect`, as it is called."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from sidecar.cli import main
from sidecar.connect.clients import CLIENTS
from sidecar.models.entries import models_file_bytes
from tests.fakes.catalog import demo_catalog
from tests.support.entries import entries_of
from tests.support.paths import ROOT

FILES = {
    "claude-code": ".claude/settings.json",
    "codex": ".codex/config.toml",
    "opencode": ".config/opencode/opencode.json",
    "aider": ".aider.conf.yml",
    "continue": ".continue/config.yaml",
}


@pytest.fixture
def environ(tmp_path, monkeypatch):
    """A home, and a models file of the demonstration catalog."""
    models = tmp_path / "models.yaml"
    models.write_bytes(
        models_file_bytes(entries_of(demo_catalog(), COPILOT_EMBEDDINGS="true", COPILOT_CLAUDE_NAMES="true"))
    )
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return {"HOME": str(tmp_path / "home"), "COPILOT_MODELS_FILE": str(models)}


def connect(environ, capsys, *argv: str) -> tuple[int, str, str]:
    code = main(["connect", *argv], environ)
    return code, *capsys.readouterr()


def test_the_list(environ, capsys):
    """Without a client it lists them, and asks for no models file."""
    code, out, _ = connect({}, capsys)
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == list(CLIENTS)
    assert connect({}, capsys, "--write")[0] == 2


@pytest.mark.parametrize("name", CLIENTS)
def test_the_page_shows_what_is_printed(name, environ, capsys):
    """docs/clients.md has each client's page, and exactly what `connect` prints for the demonstration catalog."""
    code, out, err = connect(environ, capsys, name)
    assert (code, err) == (0, "")
    section = (ROOT / "docs" / "clients.md").read_text("utf-8").partition(f"\n## {CLIENTS[name].title}\n")[2]
    section = section.partition("\n## ")[0]
    assert f"$ python -m sidecar connect {name}\n{out}" in section
    assert CLIENTS[name].docs in section
    assert ("--write" in section) == bool(CLIENTS[name].file)


@pytest.mark.parametrize("name", CLIENTS)
def test_only_models_that_are_there_and_no_key(name, environ, capsys):
    """Every model that is named is published, the address is the one that was given, and the key is a variable."""
    out = connect(environ, capsys, name, "--url", "https://llm.example.com/base/")[1]
    published = re.findall(r"(?m)^- model_name: (\S+)$", Path(environ["COPILOT_MODELS_FILE"]).read_text())
    named = re.findall(r"(?:github_copilot/|\bclaude-(?=[a-z]+-\d))[\w.-]*\w", out)
    assert named and set(named) <= set(published)
    assert "https://llm.example.com/base" in out and "localhost:4000" not in out and "LITELLM_API_KEY" in out


@pytest.mark.parametrize("name", FILES)
def test_write(name, environ, capsys):
    """The file is made as it is shown; a second time nothing is done; what the user has is kept, and backed up."""
    path = Path(environ["HOME"], FILES[name])
    shown = connect(environ, capsys, name)[1]
    code, out, _ = connect(environ, capsys, name, "--write")
    assert code == 0 and f"{path} was written\n" in out
    assert path.read_text() in shown and f"~/{FILES[name]}" in shown
    again = connect(environ, capsys, name, "--write")
    assert again[0] == 0 and "is up to date" in again[1]
    mine = path.read_text().replace("http://localhost:4000", "http://elsewhere")
    path.write_text(mine)
    path.chmod(0o600)
    code, out, _ = connect(environ, capsys, name, "--write")
    backup = Path(out.partition("what it was is in ")[2].splitlines()[0])
    assert code == 0 and backup.read_text() == mine and backup.parent == path.parent
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert path.read_text() in shown


def test_write_where_the_client_looks(environ, capsys, tmp_path):
    """The variables with which clients move their files are obeyed, and a symlink is followed."""
    for name, variable in (("claude-code", "CLAUDE_CONFIG_DIR"), ("codex", "CODEX_HOME")):
        place = tmp_path / name
        assert connect({**environ, variable: str(place)}, capsys, name, "--write")[0] == 0
        assert (place / CLIENTS[name].file).exists()
    real, link = tmp_path / "dotfiles.yml", Path(environ["HOME"], ".aider.conf.yml")
    real.write_text("dark-mode: true # mine\n")
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(real)
    assert connect(environ, capsys, "aider", "--write")[0] == 0
    assert link.is_symlink() and real.read_text().startswith("dark-mode: true # mine\nmodel: openai/")


@pytest.mark.parametrize("old", [b'{\n  // mine\n  "model": "opus"\n}\n', b"\xff\xfe{}", b'{"env": []}'])
def test_write_refuses_what_it_cannot_keep(old, environ, capsys):
    """A file that cannot be merged is left alone, without a backup, and the cure is said."""
    path = Path(environ["HOME"], ".claude", "settings.json")
    path.parent.mkdir(parents=True)
    path.write_bytes(old)
    code, out, err = connect(environ, capsys, "claude-code", "--write")
    assert (code, out, path.read_bytes(), len(list(path.parent.iterdir()))) == (2, "", old, 1)
    assert "left alone" in err and "without --write" in err


def test_names_come_from_the_config_that_is_kept_in_sync(environ, capsys, tmp_path):
    """With --config, it is that config's generated entries."""
    config = tmp_path / "config.yaml"
    config.write_text("# mine\n" + Path(environ["COPILOT_MODELS_FILE"]).read_text())
    environ.pop("COPILOT_MODELS_FILE")
    assert connect(environ, capsys, "curl", "--config", str(config))[0] == 0


@pytest.mark.parametrize(
    ("argv", "environ_change", "said"),
    [
        (["vim"], {}, "'vim' is not a client"),
        (["curl", "--write"], {}, "no settings file"),
        (
            ["curl"],
            {"COPILOT_MODELS_FILE": "/nowhere/m.yaml"},
            "/nowhere/m.yaml does not exist: nothing has been published",
        ),
        (["curl"], {"COPILOT_MODELS_FILE": "/dev/null"}, "not a regular file"),
        (["curl", "--url", "localhost:4000"], {}, "--url"),
    ],
)
def test_mistakes(argv, environ_change, said, environ, capsys):
    """Each gets a message that names it, and a hint."""
    code, out, err = connect({**environ, **environ_change}, capsys, *argv)
    assert (code, out) == (2, "") and said in err and err.splitlines()[1].startswith("  ")


def test_an_empty_models_file(environ, capsys):
    """As it is before the first login: the message says what to do."""
    Path(environ["COPILOT_MODELS_FILE"]).write_bytes(models_file_bytes([]))
    code, _, err = connect(environ, capsys, "codex")
    assert (
        code == 2 and "has no models of Copilot: nothing has been published yet" in err and "docker compose up" in err
    )


def test_an_entry_that_somebody_has_edited(environ, capsys, tmp_path):
    """A name that a shell would take apart, or an entry without its parts, is not offered."""
    config = tmp_path / "config.yaml"
    prefix = "{model_info: {id: github_copilot/managed/"
    config.write_text(
        f"model_list:\n- {prefix}a}}}}\n"
        f"- {prefix}b}}, model_name: '$(reboot)', litellm_params: {{model: github_copilot/b}}}}\n"
    )
    code, _, err = connect(environ, capsys, "curl", "--config", str(config))
    assert code == 2 and "has no models of Copilot" in err


def test_claude_models_under_other_names(environ, capsys):
    """Where no name begins with claude-, the setting that adds such names is named."""
    Path(environ["COPILOT_MODELS_FILE"]).write_bytes(models_file_bytes(entries_of(demo_catalog())))
    out = connect(environ, capsys, "claude-code")[1]
    assert "github_copilot/claude-opus-4.7" in out and "COPILOT_CLAUDE_NAMES=true" in out
