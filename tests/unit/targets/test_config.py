"""`sync` and `run` with a config: flags, dry runs, validation, restore, the record of absences, and log files."""

from __future__ import annotations

import json
import logging

import pytest
import yaml

from sidecar import logfile
from sidecar.errors import StorageError
from tests.fakes.catalog import model
from tests.unit.corpus.lookalikes import LOOKALIKES

OWN = "# mine\nmodel_list:\n- model_name: mine   # kept\n  litellm_params: {model: openai/gpt-4o}\n"
HAND = OWN + "- model_name: github_copilot/gpt-4o\n  litellm_params: {model: github_copilot/gpt-4o}\n"


@pytest.fixture
def config(bench, tmp_path):
    """A hand-written config beside a login."""
    bench.log_in()
    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc" / "config.yaml"
    path.write_text(OWN)
    return path


def names(path):
    return [item["model_name"] for item in yaml.safe_load(path.read_text())["model_list"]]


def test_flag_and_variable_are_one(bench, config):
    """--config wins over CONFIG_FILE; the models file is left alone, the record of absences is next to the config."""
    done = bench.run("sync", "--config", str(config), CONFIG_FILE="/nowhere/else.yaml")
    assert done.code == 0 and "added github_copilot/gpt-4o" in done.stdout
    assert names(config) == ["mine", "github_copilot/gpt-4o", "github_copilot/gpt-5-mini"]
    assert config.read_text().startswith(OWN)
    assert bench.names() is None
    assert (config.parent / ".config.yaml.memory.json").exists()
    again = bench.run("sync", CONFIG_FILE=str(config))
    assert again.code == 0 and "up to date" in again.stdout
    assert len(list(config.parent.glob("*.bak-*"))) == 1


def test_each_user_his_own_seat(bench, config):
    """COPILOT_CREDENTIAL_NAME reaches the generated entries of a config, and only those; unset it leaves again."""
    assert bench.run("sync", "--config", str(config), COPILOT_CREDENTIAL_NAME="team").code == 0
    own, *generated = yaml.safe_load(config.read_text())["model_list"]
    assert [item["litellm_params"]["litellm_credential_name"] for item in generated] == ["team", "team"]
    assert own["litellm_params"] == {"model": "openai/gpt-4o"}
    assert bench.run("sync", "--config", str(config)).code == 0
    assert "team" not in config.read_text()


def test_dry_run(bench, config):
    """--dry-run shows diff and fields, writes nothing, and ends with 1 or 0."""
    first = bench.run("sync", "--config", str(config), "--dry-run")
    assert first.code == 1 and "+- model_name: github_copilot/gpt-4o" in first.stdout
    assert config.read_text() == OWN and [path.name for path in config.parent.iterdir()] == ["config.yaml"]
    bench.run("sync", "--config", str(config))
    assert bench.run("sync", "--config", str(config), "--dry-run").code == 0
    bench.gh.set_catalog([model("gpt-4o", capabilities={"limits": {"max_output_tokens": 123}}), model("gpt-6")])
    before = config.read_bytes()
    done = bench.run("sync", "--config", str(config), "--dry-run", COPILOT_REMOVE_AFTER="1")
    assert done.code == 1 and config.read_bytes() == before
    assert "  added github_copilot/gpt-6" in done.stdout and "  removed github_copilot/gpt-5-mini" in done.stdout
    assert "changed github_copilot/gpt-4o: model_info.max_output_tokens from " in done.stdout


def test_dry_run_of_the_models_file(bench):
    """The same goes for the models file."""
    bench.log_in()
    assert bench.run("sync", "--dry-run").code == 1 and bench.names() is None
    bench.run("sync")
    assert bench.run("sync", "--dry-run").code == 0
    bench.gh.set_catalog([model("gpt-4o")])
    done = bench.run("sync", "--dry-run", COPILOT_REMOVE_AFTER="1")
    assert done.code == 1 and "  removed github_copilot/gpt-5-mini" in done.stdout


def test_dry_run_error(bench, config):
    """An error is neither 0 nor 1."""
    config.write_text("model_list: {")
    assert bench.run("sync", "--config", str(config), "--dry-run").code == 2
    bench.gh.down()
    assert bench.run("sync", "--dry-run").code == 4


def test_hand_written_entry(bench, config):
    """A hand-written entry stays, with a line in the log; --adopt replaces it."""
    config.write_text(HAND)
    done = bench.run("sync", "--config", str(config))
    assert names(config) == ["mine", "github_copilot/gpt-4o", "github_copilot/gpt-5-mini"]
    assert "github_copilot/gpt-4o stays as" in done.stderr
    assert "  1 are entries of your own, not kept in sync (--adopt" in done.stdout
    adopted = bench.run("sync", "--config", str(config), "--adopt")
    assert "  1 taken over: github_copilot/gpt-4o\n" in adopted.stdout
    ours = yaml.safe_load(config.read_text())["model_list"][1:]
    assert len(ours) == 2 and all("model_info" in item for item in ours)


def test_restore(bench, config):
    """--restore brings the newest backup back, or the one of a time, and tells of it."""
    bench.run("sync", "--config", str(config))
    backup = next(config.parent.glob("*.bak-*"))
    told = config.parent / "told"
    done = bench.run("sync", "--config", str(config), "--restore", "--on-change", f"tee {told}")
    assert done.code == 0 and config.read_text() == OWN
    assert json.loads(told.read_text())["event"] == "config_restored"
    stamp = backup.name.partition(".bak-")[2]
    assert bench.run("sync", "--config", str(config), "--restore", stamp).code == 0
    missing = bench.run("sync", "--config", str(config), "--restore", "19990101T000000Z")
    assert missing.code == 2 and stamp in missing.stderr


@pytest.mark.parametrize("flag", ["--restore", "--adopt", "--create"])
def test_needs_a_config(bench, flag):
    """Flags that are for a config say so."""
    bench.log_in()
    done = bench.run("sync", flag)
    assert done.code == 2 and "--config" in done.stderr


def test_empty_flag(bench):
    """An unset variable in somebody's script must not mean another target."""
    done = bench.run("sync", "--config", "")
    assert done.code == 2 and "empty" in done.stderr


def test_wrong_values(bench):
    """Wrong values are all named together, flags as flags; values that may hold a secret are not shown."""
    done = bench.run("sync", "--on-change-url", "ftp://secret", "--on-change", "'secret", COPILOT_CONFIG_BACKUPS="many")
    assert done.code == 2
    for name in ("--on-change-url=***", "--on-change=***", "COPILOT_CONFIG_BACKUPS='many'"):
        assert name in done.stderr
    assert "secret" not in done.stderr


def test_validation(bench, config):
    """A config that the user's own check refuses is taken back, no backup is lost, and nobody is told."""
    told = config.parent / "told"
    for known in (OWN, None):
        if known is None:
            config.unlink()
        flags = ["--create", "--validate", "grep -q no-such-text", "--on-change", f"touch {told}"]
        done = bench.run("sync", "--config", str(config), *flags)
        assert done.code == 2 and "validation command exited with 1" in done.stderr
        assert (config.read_text() if config.exists() else None) == known
        assert not list(config.parent.glob("*.bak-*")) and not told.exists()
    flags[2] = "grep -q gpt-5-mini"
    done = bench.run("sync", "--config", str(config), *flags)
    assert done.code == 0 and told.exists() and "was notified" in done.stdout


def test_not_told(bench, config):
    """A command that fails: exit code 6, and the config is up to date all the same."""
    done = bench.run("sync", "--config", str(config), "--on-change", "false")
    assert done.code == 6 and "github_copilot/gpt-4o" in names(config)


def test_service(bench, config):
    """`run` keeps the config in sync, sends notifications, and creates no models file."""
    told = config.parent / "told"
    service = bench.start("run", CONFIG_FILE=str(config), COPILOT_ON_CHANGE=f"tee {told}")
    service.saw("models published").saw("models_changed")
    assert "github_copilot/gpt-4o" in names(config) and told.exists()
    assert bench.ask("/readyz").status_code == 200
    assert service.signal() == 0
    assert list(bench.shared.iterdir()) == []


def test_record_keeps_an_absent_model(bench, config):
    """A model that is absent once stays in the config."""
    bench.run("sync", "--config", str(config))
    bench.gh.set_catalog([model("gpt-4o")])
    bench.run("sync", "--config", str(config))
    assert "github_copilot/gpt-5-mini" in names(config)


def test_log_file(bench, config, tmp_path):
    """COPILOT_LOG_FILE takes the log lines as JSON, of commands too; a directory is made."""
    file = tmp_path / "logs" / "sidecar.log"
    config.write_text(HAND)
    assert bench.run("sync", "--config", str(config), COPILOT_LOG_FILE=str(file)).code == 0
    assert any("stays as" in json.loads(line)["message"] for line in file.read_text().splitlines())


def test_log_file_cannot_be_written(bench):
    """A log file that cannot be written is refused before anything runs."""
    done = bench.run("sync", COPILOT_LOG_FILE="/dev/null/x")
    assert done.code == 5 and "log file /dev/null/x" in done.stderr and bench.gh.requests == []
    with pytest.raises(StorageError):
        logfile.Rotating(bench.shared)


def test_log_rotates(tmp_path):
    """At its limit a log file is renamed, five older ones are kept, and a second writer follows without loss."""
    one, two = (logfile.Rotating(tmp_path / "log", max_bytes=1000) for _ in range(2))
    for number in range(200):
        for handler in (one, two):
            handler.emit(logging.makeLogRecord({"msg": f"line {number:04d} " + "x" * 30}))
    one.close()
    two.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["log", "log.1", "log.2", "log.3", "log.4", "log.5"]
    lines = [line for name in reversed(files) for line in (tmp_path / name).read_text().splitlines()]
    assert all((tmp_path / name).stat().st_size <= 1000 for name in files)
    assert lines == sorted(lines) and len(lines) > 100 and lines[-1].startswith("line 0199")


@pytest.mark.parametrize("name", ["ConfigMap", "Helm template, unquoted value"])
def test_what_is_no_config_is_refused_everywhere(bench, config, name):
    """`sync`, `sync --dry-run` and `doctor` say the same of a file that only looks like a config, and write nothing."""
    config.write_bytes(next(text for label, text, _ in LOOKALIKES if label == name))
    before = config.read_bytes()
    for flags in ([], ["--dry-run"]):
        done = bench.run("sync", "--config", str(config), *flags)
        assert done.code == 2 and "it is not a LiteLLM config: this is a" in done.stderr and done.stdout == ""
    done = bench.run("doctor", "--config", str(config))
    assert done.code == 2 and "fail  config" in done.stdout and "it is not a LiteLLM config: this is a" in done.stdout
    assert config.read_bytes() == before and [path.name for path in config.parent.iterdir()] == ["config.yaml"]
