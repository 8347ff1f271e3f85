"""A config that cannot work, is the wrong one, or is not there: each is refused with the cure, by all commands."""

from __future__ import annotations

import os
import re
import shlex

import pytest
import yaml

from sidecar.cli import main
from sidecar.targets import config as config_target
from tests.fakes.catalog import model
from tests.support.older import older_config

INCLUDES = "include:\n  - other.yaml\n  - {}\nmodel_list: []\n"


@pytest.fixture
def run(bench, capsys, monkeypatch):
    """Runs a command in this process: its exit code and all that it said."""
    bench.log_in()
    bench.environ["LITELLM_URL"] = "http://127.0.0.1:1"

    def call(*arguments, **changes):
        code = main(arguments, {**bench.environ, **changes})
        said = capsys.readouterr()
        return code, said.out + said.err

    return call


@pytest.fixture
def config(tmp_path):
    directory = tmp_path / "etc"
    directory.mkdir()
    return directory / "config.yaml"


def test_a_config_of_the_older_tool(bench, run, config):
    """`sync`, `--dry-run` and `doctor` refuse it alike and name one command, which makes it work and tells plainly."""
    before = older_config(["gpt-4o", "gpt-5-mini", "gpt-3.5-turbo"])
    config.write_text(before)
    commands = set()
    for arguments in (["sync"], ["sync", "--dry-run"], ["doctor"]):
        code, said = run(*arguments, "--config", str(config))
        assert code == 2 and "3 entries of an older tool" in said and "up to date" not in said
        assert "gpt-3.5-turbo (line" in said
        commands |= set(re.findall(r"`(COPILOT_MODEL_NAMES=.*?--adopt)`", said))
    assert config.read_text() == before and [path.name for path in config.parent.iterdir()] == ["config.yaml"]

    (command,) = commands
    variable, _, _, _, *arguments = shlex.split(command)
    code, said = run(*arguments, **dict([variable.split("=")]))
    assert code == 0, said
    assert f"{config} changed: 2 models\n" in said
    assert "  2 taken over: gpt-4o, gpt-5-mini\n" in said
    assert "  1 removed because Copilot no longer has them: gpt-3.5-turbo\n" in said
    assert "adopted" not in said and "restart it" in said
    assert [item["model_name"] for item in yaml.safe_load(config.read_text())["model_list"]] == ["gpt-4o", "gpt-5-mini"]
    (backup,) = config.parent.glob("*.bak-*")
    assert backup.read_text() == before
    code, said = run("sync", "--config", str(config), COPILOT_MODEL_NAMES="bare")
    assert code == 0 and "up to date" in said


def test_a_model_that_settings_leave_out_is_not_called_gone(bench, run, config):
    """Its removal says why it is left out."""
    config.write_text(older_config(["gpt-4o", "gpt-5-mini"]))
    flags = {"COPILOT_MODEL_NAMES": "bare", "COPILOT_MODELS_EXCLUDE": "gpt-5*"}
    code, said = run("sync", "--config", str(config), "--adopt", **flags)
    assert code == 0 and "  1 removed because they are left out: gpt-5-mini (" in said and "no longer" not in said


@pytest.mark.parametrize(
    "name", ["/shared/copilot_models.yaml", "copilot_models.yaml", "{models}", "../shared/x/../m.yaml"]
)
def test_a_config_that_includes_the_models_file(bench, run, config, name):
    """It is refused by `sync` and `doctor` with line, reason and both cures, and is not changed."""
    bench.environ["COPILOT_MODELS_FILE"] = str(bench.shared / "m.yaml")
    config.write_text(INCLUDES.format(name.format(models=bench.shared / "m.yaml")))
    before = config.read_bytes()
    for command in ("sync", "doctor"):
        code, said = run(command, "--config", str(config))
        assert code == 2 and "line 3 includes the models file" in said and "each model from both" in said
        assert "leave out --config" in said and "remove that file from the config's `include:`" in said
    assert config.read_bytes() == before
    config.write_text(INCLUDES.format("others.yaml"))
    assert run("sync", "--config", str(config))[0] == 0


def test_the_config_of_the_clone(bench, run, config, monkeypatch):
    """The one that is shipped is refused by its real path; the same file elsewhere is anybody's."""
    monkeypatch.setattr(config_target, "_CLONE", config.parent)
    config.write_text("model_list: []\n")
    assert run("sync", "--config", str(config))[0] == 0  # no clone: nothing else of it is there
    config.write_text("model_list: []\n")
    (config.parent / "pyproject.toml").touch()
    link = bench.shared / "link.yaml"
    link.symlink_to(config)
    code, said = run("sync", "--config", str(link))
    assert code == 2 and f"{config} is not edited in place" in said and "Name a config of your own" in said
    assert config.read_text() == "model_list: []\n"


def test_a_missing_config_is_not_made_by_mistake(bench, run, config):
    """`sync` and `--dry-run` refuse one that is not there, `--create` makes it, and each says what it did."""
    typo = config.with_name("confg.yaml")
    for flags in ([], ["--dry-run"], ["--adopt"]):
        code, said = run("sync", "--config", str(typo), *flags)
        assert code == 2 and f"{typo} does not exist" in said and "`sync --create`" in said and "CONFIG_FILE" in said
    assert list(config.parent.iterdir()) == []
    code, said = run("sync", "--config", str(typo), "--create", "--dry-run")
    assert code == 1 and f"{typo} would be created: 2 models\n" in said and not typo.exists()
    code, said = run("sync", "--config", str(typo), "--create")
    assert code == 0 and f"{typo} created: 2 models\n" in said and typo.exists()
    bench.gh.set_catalog([*bench.gh.catalog, model("new")])
    code, said = run("sync", "--config", str(typo))
    assert code == 0 and f"{typo} changed: 3 models\n" in said
    typo.unlink()
    code, said = run("sync", "--config", str(typo))
    assert code == 2 and "`sync --restore`" in said and not typo.exists()


def test_restore_can_be_tried(bench, run, config):
    """`--restore --dry-run` shows what would come back, masked, ends with 1 or 0, and writes nothing."""
    config.write_text("# mine\nmodel_list:\ngeneral_settings: {master_key: hidden}\n")
    before = config.read_bytes()
    assert run("sync", "--config", str(config))[0] == 0
    now, files = config.read_bytes(), sorted(config.parent.iterdir())
    (backup,) = config.parent.glob("*.bak-*")
    told = bench.shared / "told"
    code, said = run("sync", "--config", str(config), "--restore", "--dry-run", "--on-change", f"touch {told}")
    assert code == 1 and f"would be restored from {backup}" in said and "- model_name: github_copilot/gpt-4o" in said
    assert "hidden" not in said and not told.exists()
    assert config.read_bytes() == now and sorted(config.parent.iterdir()) == files
    os.utime(config, (1e9, 1e9))
    assert run("sync", "--config", str(config), "--restore")[0] == 0 and config.read_bytes() == before
    code, said = run("sync", "--config", str(config), "--restore", backup.name, "--dry-run")
    assert code == 0 and "is the same as" in said
    assert run("sync", "--config", str(config), "--restore", "19990101T000000Z", "--dry-run")[0] == 2


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "follows by itself if it runs with the hook"),
        ({"CONFIG_FILE": "{}"}, "restart it, or have --on-change do that"),
        ({"CONFIG_FILE": "{}", "COPILOT_FOLLOW_CONFIG": "{}"}, "hook follows this config"),
        ({"CONFIG_FILE": "{}", "COPILOT_ON_CHANGE": "true"}, "was notified, as the on-change settings say"),
    ],
)
def test_how_litellm_learns_of_it(run, config, environ, said):
    """After a change one line says how LiteLLM learns of it; where nothing has changed there is none."""
    config.write_text("model_list: []\n")
    environ = {name: value.format(config) for name, value in environ.items()}
    assert said in run("sync", **environ)[1]
    assert "LiteLLM" not in run("sync", **environ)[1]
