"""The command line as real processes with real signals: messages, exit codes, and what stays on disk."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
import requests

from sidecar import __version__
from sidecar.cli import main
from sidecar.service.loop import POLL_INTERVAL
from tests.fakes.catalog import model
from tests.support.files import files_under
from tests.support.github_paths import EXCHANGE, MODELS
from tests.support.paths import ROOT
from tests.support.waiting import until


def failed(process, code):
    """The message of a command that ended with ``code``, followed by an indented hint."""
    assert process.code == code and "Traceback" not in process.stderr
    message, hint = process.stderr.splitlines()[-2:]
    assert hint.startswith("  ") and len(hint) > 10 and process.stdout == ""
    return message


def test_sync(bench):
    """`sync` publishes, says what changed, and the second time that nothing did."""
    bench.log_in()
    first, second = bench.run("sync"), bench.run("sync")
    assert (first.code, second.code, first.stderr, second.stderr) == (0, 0, "", "")
    assert "2 models" in first.stdout and "  added github_copilot/gpt-4o\n" in first.stdout
    assert "up to date: 2 models" in second.stdout


@pytest.mark.parametrize(
    ("prepare", "environ", "code", "said"),
    [
        (
            None,
            {"COPILOT_HEALTH_PORT": "x", "COPILOT_REMOVE_AFTER": "x"},
            2,
            "COPILOT_REMOVE_AFTER.*COPILOT_HEALTH_PORT",
        ),
        (None, {"COPILOT_INSECURE_HTTP": "false"}, 2, "GITHUB_COPILOT_API_KEY_URL.*not https"),
        (None, {"COPILOT_MODELS_EXCLUDE": "*"}, 2, "COPILOT_MODELS_EXCLUDE"),
        (lambda bench: bench.token_file.unlink(), {}, 3, "no access token in .*tokens"),
        (lambda bench: bench.gh.revoke(bench.token_file.read_text()), {}, 3, "revoked"),
        (lambda bench: bench.gh.no_subscription(), {}, 3, "No access to GitHub Copilot found"),
        (lambda bench: bench.gh.down(), {}, 4, "connection refused"),
        (lambda bench: bench.gh.rate_limit(9), {}, 4, "rate"),
        (lambda bench: bench.models_file.mkdir(), {}, 5, "copilot_models.yaml"),
        (None, {"COPILOT_MODELS_FILE": "/nowhere/copilot_models.yaml"}, 5, "/nowhere/copilot_models.yaml"),
    ],
)
def test_exit_codes(bench, prepare, environ, code, said):
    """Each kind of failure has its exit code, a message that names what is wrong, and a hint; nothing is written."""
    bench.log_in()
    if prepare:
        prepare(bench)
    assert re.search(said, failed(bench.run("sync", **environ), code))
    assert files_under(bench.shared) == {}


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["sync", "--frobnicate"]])
def test_wrong_arguments(bench, arguments):
    """A command or flag that does not exist ends with 2 and the usage."""
    process = bench.run(*arguments)
    assert process.code == 2 and "usage:" in process.stderr


def test_help_and_version(bench):
    """Help and version need no settings, and end with 0."""
    assert "healthcheck" in bench.run("--help", COPILOT_HEALTH_PORT="x").stdout
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", bench.run("--version").stdout)


def test_typo(bench):
    """A misspelled variable is pointed out, and does not stop the command."""
    bench.log_in()
    process = bench.run("sync", COPILOT_MODELS_INCLUDES="x")
    assert process.code == 0 and "COPILOT_MODELS_INCLUDES" in process.stderr
    assert "did you mean COPILOT_MODELS_INCLUDE?" in process.stderr


def test_defect(bench, monkeypatch, capsys):
    """A defect of the program ends with 70 and its traceback, not with 0."""
    monkeypatch.setattr("sidecar.cli.sync.run_once", lambda *_, **__: 1 / 0)
    assert main(["sync"], bench.environ) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_reader_goes_away(bench):
    """A reader that closes the pipe early makes no noise."""
    bench.log_in()
    command = f"{sys.executable} -m sidecar sync | true"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, env=bench.environ, capture_output=True, timeout=60)
    assert done.stderr == b"" and bench.names()


@pytest.mark.parametrize(("hop", "number", "code"), [(EXCHANGE, signal.SIGTERM, 143), (MODELS, signal.SIGINT, 130)])
def test_sync_is_interrupted(bench, hop, number, code):
    """A signal while GitHub does not answer ends `sync` within a second, with nothing written."""
    bench.log_in()
    bench.gh.fail(hop, how="hang")
    process = bench.start("sync")
    until(lambda: bench.gh.count(hop))
    assert (process.ends_at_once(number), process.stdout, process.stderr) == (code, "", "")
    assert files_under(bench.shared) == {}


def test_service(bench):
    """The service is healthy before any login, notices one, publishes, and ends with 0 on SIGTERM."""
    service = bench.start("run")
    until(lambda: bench.ask("/readyz"))
    assert bench.names() == [] and bench.gh.requests == []
    assert bench.run("healthcheck").code == 0
    bench.log_in()
    until(bench.names, what="the models")
    until(lambda: 'copilot_sync_models{state="served"} 2\n' in bench.ask("/metrics").text)
    assert service.ends_at_once() == 0 and service.stdout == ""
    assert service.messages()[-1] == "stopped" and "models published" in service.messages()
    assert bench.run("healthcheck").code == 1


def test_log_of_the_service(bench):
    """Every line is one JSON object with time, level and message, whatever GitHub and the user send."""
    bench.gh.set_catalog([model("good", name="\x1b[31m\n"), model("b\nad"), model("\ud800")])
    bench.log_in()
    environ = {"COPILOT_LOG_LEVEL": "DEBUG", "COPILOT_MODEL_NAME": "x"}
    service = bench.start("run", **environ).saw("models published")
    bench.gh.fail(EXCHANGE, status=403, body={"error_details": {"title": "\x1b[31m\nline"}})
    service.signal()
    assert all({"time", "level", "logger", "message"} <= record.keys() for record in service.records)
    assert len(service.records) == len(service.stderr.splitlines()) >= 4 and "\x1b" not in service.stderr
    assert any("COPILOT_MODEL_NAME " in message for message in service.messages())


@pytest.mark.parametrize(("hop", "number"), [(EXCHANGE, signal.SIGINT), (MODELS, signal.SIGTERM)])
def test_service_is_stopped_in_mid_sync(bench, hop, number):
    """A signal while GitHub does not answer ends the service within a second, with 0."""
    bench.log_in()
    bench.gh.fail(hop, how="hang")
    service = bench.start("run")
    until(lambda: bench.gh.count(hop))
    assert service.ends_at_once(number) == 0 and service.messages()[-1] == "stopped"
    assert bench.names() == []


@pytest.mark.parametrize(
    ("environ", "seen"),
    [
        ({}, "models published"),
        ({"COPILOT_MODEL_SYNC_INTERVAL": "0"}, "models published"),
        ({"COPILOT_MODEL_SYNC_INTERVAL": "0", "SYNC_COPILOT_MODELS_ON_STARTUP": "false"}, "nothing will be synced"),
        ({"SYNC_COPILOT_MODELS_ON_STARTUP": "false"}, "empty models file"),
        ({"GITHUB_COPILOT_TOKEN_DIR": "/nowhere"}, "no access token"),
    ],
)
def test_service_is_stopped_in_mid_wait(bench, environ, seen):
    """SIGTERM ends each kind of wait at once, with 0."""
    bench.log_in()
    assert bench.start("run", **environ).saw(seen).ends_at_once() == 0


def test_service_is_killed(bench):
    """After SIGKILL the models file is whole, and the next start goes on with it."""
    bench.log_in()
    service = bench.start("run").saw("models published")
    service.signal(signal.SIGKILL)
    before = bench.models_file.stat().st_ino
    assert len(bench.names()) == 2
    bench.start("run").saw("models are up to date")
    assert bench.models_file.stat().st_ino == before


def test_github_comes_back(bench):
    """The service starts while GitHub is down, stays healthy, and publishes with the first answer of its return."""
    bench.log_in()
    bench.gh.down()
    service = bench.start("run").saw("connection refused")
    assert bench.run("healthcheck").code == 0 and bench.names() == []
    bench.gh.up()
    until(bench.names, what="the models")
    assert (bench.gh.count(EXCHANGE), bench.gh.count(MODELS)) == (1, 1) and service.popen.poll() is None


@pytest.mark.parametrize("environ", [{"COPILOT_MODEL_SYNC_INTERVAL": "soon"}, {"COPILOT_MODEL_SYNC_INTERVAL": "-1"}])
def test_service_with_wrong_settings(bench, environ):
    """The service refuses wrong settings by name, as JSON, with the hint, before it writes anything."""
    process = bench.run("run", **environ)
    (record,) = process.records
    assert process.code == 2 and "COPILOT_MODEL_SYNC_INTERVAL" in record["message"] and record["hint"]
    assert files_under(bench.shared) == {}


def test_wrong_settings_where_the_service_is_started_again(bench):
    """With the mark of the entry point it says them once and stays, unready, until it is stopped, and ends with 2."""
    wrong = {"SIDECAR_SUPERVISED": "1", "COPILOT_MODEL_SYNC_INTERVAL": "soon"}
    service = bench.start("run", **wrong).saw("COPILOT_MODEL_SYNC_INTERVAL")
    address = f"http://127.0.0.1:{bench.port}"
    stays(service, threads=3)
    state = requests.get(f"{address}/api/status", timeout=20).json()
    assert (state["state"], state["error"], state["alive"], state["ready"]) == ("settings", "UsageError", True, False)
    assert "COPILOT_MODEL_SYNC_INTERVAL='soon'" in state["text"] and state["cure"]
    assert "COPILOT_MODEL_SYNC_INTERVAL" in requests.get(address, timeout=20).text
    assert requests.get(f"{address}/readyz", timeout=20).status_code == 503
    probe = bench.run("healthcheck", **wrong)
    assert probe.code == 2 and "COPILOT_MODEL_SYNC_INTERVAL='soon'" in probe.stderr
    assert service.ends_at_once() == 2
    assert [record["event"] for record in service.records] == ["service.failed"]
    assert files_under(bench.shared) == {}


@pytest.mark.parametrize("off", [True, False])
def test_wrong_settings_without_a_port_to_show_them_on(bench, off):
    """It stays as well where the port is switched off, or in use."""
    with socket.create_server(("", bench.port)):
        environ = {"COPILOT_HEALTH_PORT": "0" if off else str(bench.port), "COPILOT_REMOVE_AFTER": "x"}
        service = bench.start("run", SIDECAR_SUPERVISED="1", **environ).saw("COPILOT_REMOVE_AFTER")
        stays(service, threads=2)
        assert service.ends_at_once() == 2 and len(service.records) == 1


def stays(service, *, threads):
    """Wait until it waits, which is in the last one of its threads: signals are handled, and the port is open."""
    until(lambda: len(os.listdir(f"/proc/{service.popen.pid}/task")) == threads)


def test_service_without_its_volume(bench):
    """Without the shared directory the service ends with 5 and names it."""
    process = bench.run("run", COPILOT_MODELS_FILE="/nowhere/models.yaml")
    assert process.code == 5 and "/nowhere" in process.records[-1]["message"]


def test_the_first_line(bench):
    """It says the version and where the service listens; what is wrong with the settings comes after it."""
    service = bench.start("run", COPILOT_MODEL_NAME="x").saw("COPILOT_MODEL_NAME ")
    service.signal()
    first, second, *_ = service.records
    assert (first["event"], first["version"], first["port"]) == ("service.started", __version__, bench.port)
    assert f"listens on port {bench.port}" in first["message"] and second["event"] == "setting.unknown"
    assert bench.start("run", COPILOT_HEALTH_PORT="0").saw("listens on no port").saw("no sync").signal() == 0


def test_a_signal_asks_for_a_sync(bench):
    """SIGUSR1 starts a sync at once, one a minute; what it does to the other commands is as before."""
    bench.log_in()
    service = bench.start("run").saw("models published")
    bench.gh.set_catalog([*bench.gh.catalog, model("new")])
    service.popen.send_signal(signal.SIGUSR1)
    until(lambda: "github_copilot/new" in bench.names(), what="the sync that was asked for")
    for _ in range(20):
        service.popen.send_signal(signal.SIGUSR1)
    time.sleep(2 * POLL_INTERVAL)
    assert service.ends_at_once() == 0 and bench.gh.count(MODELS) == 2
    assert [record["event"] for record in service.records].count("sync.asked") == 1
    bench.gh.fail(EXCHANGE, how="hang")
    command = bench.start("sync")
    until(lambda: bench.gh.count(EXCHANGE) == 3)
    assert command.signal(signal.SIGUSR1) == -signal.SIGUSR1


def test_log_format(bench):
    """The service logs text to a terminal, JSON to anything else, and commands text; or as COPILOT_LOG_FORMAT says."""
    terminal, stderr = pty.openpty()
    command = [sys.executable, "-m", "sidecar", "run"]
    with subprocess.Popen(command, cwd=ROOT, env=bench.environ, stderr=stderr) as process:
        assert os.read(terminal, 4096).startswith(b"info: version ")
        process.terminate()
    os.close(terminal)
    os.close(stderr)
    text = bench.start("run", COPILOT_LOG_FORMAT="text").saw("no sync")
    assert text.signal() == 0 and text.stderr.startswith("info: version ")
    bench.gh.fail(EXCHANGE, how="reset", times=1)
    bench.log_in()
    assert bench.run("sync", COPILOT_LOG_FORMAT="json").records[0]["event"] == "request.retried"
    wrong = bench.run("run", COPILOT_LOG_FORMAT="xml")
    assert (
        wrong.code == 2 and "COPILOT_LOG_FORMAT='xml' is not one of: auto, text, json" in wrong.records[-1]["message"]
    )


def test_port_taken(bench):
    """A port that is taken is named by its variable."""
    with socket.create_server(("", bench.port)):
        process = bench.run("run")
    assert process.code == 2 and f"COPILOT_HEALTH_PORT={bench.port}" in process.records[-1]["message"]


def test_without_health_server(bench):
    """Port 0 switches the health server off."""
    bench.log_in()
    bench.start("run", COPILOT_HEALTH_PORT="0").saw("models published")
    assert bench.ask("/livez") is None


def test_healthcheck_without_a_service(bench):
    """Without a service the health check fails and says so."""
    process = bench.run("healthcheck")
    assert process.code == 1 and str(bench.port) in process.stdout


def test_token_in_the_environment(bench):
    """GITHUB_TOKEN serves `sync` where there is no file, as in CI."""
    assert bench.run("sync", GITHUB_TOKEN=bench.gh.new_access_token()).code == 0
    assert len(bench.names()) == 2


@pytest.mark.parametrize("name", ["LITELLM_MASTER_KEY", "GITHUB_TOKEN", "COPILOT_USER_AGENT", "COPILOT_EDITOR_VERSION"])
@pytest.mark.parametrize("command", ["doctor", "run", "sync"])
def test_a_line_break_in_a_key(bench, command, name):
    """A value that cannot be part of a request is named with the cure, without a traceback and without the key."""
    done = bench.run(command, **{name: "sk-canary0123\nx-evil: canary"})
    text = done.stdout + done.stderr
    assert done.code == 2 and f"{name}=" in text and "Correct or unset" in text
    assert "Traceback" not in text and ("canary" not in text or name.startswith("COPILOT"))


def test_a_missing_bundle_of_certificates(bench):
    """A CA bundle that is not there is named, with the cure."""
    bench.log_in()
    done = bench.run("sync", GITHUB_COPILOT_API_KEY_URL="https://127.0.0.1:1/", SSL_CERT_FILE="/nowhere/ca.pem")
    assert (done.code, done.stderr.count("\n")) == (2, 2)
    assert "SSL_CERT_FILE=/nowhere/ca.pem cannot be read: No such file" in done.stderr
