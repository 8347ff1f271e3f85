"""docker_startup.sh with the real LiteLLM: it serves, follows, survives what it is told, and ends cleanly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.fakes.catalog import model
from tests.support import canary
from tests.support.ports import free_port
from tests.support.waiting import until

LITELLM = os.environ.get("COPILOT_TEST_LITELLM") or str(Path(sys.executable).with_name("litellm"))
KEY = canary.new("k")


def children(pid):
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return [int(item) for item in found] + [deep for item in found for deep in children(int(item))]


def arguments(pid):
    try:
        return Path("/proc", str(pid), "cmdline").read_bytes().decode().split("\0")
    except OSError:
        return []


class Startup:
    """The script as a process, with its output in a file."""

    def __init__(self, clone, *flags, **environ):
        self.clone, self.port = clone, free_port()
        self.models_file = clone.home / "shared" / "copilot_models.yaml"
        self.output = clone.home / "output"
        config = clone.home / "litellm.yaml"
        config.write_text("litellm_settings: {drop_params: true}\n")
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    str(clone.root / "scripts" / "docker_startup.sh"),
                    "--host",
                    "127.0.0.1",
                    "--port",
                    str(self.port),
                    *flags,
                ],
                cwd="/",
                env={
                    **clone.environ,
                    "LITELLM": LITELLM,
                    "LITELLM_CONFIG": str(config),
                    "LITELLM_MASTER_KEY": KEY,
                    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                    "COPILOT_MODELS_FILE": str(self.models_file),
                    "COPILOT_MODEL_SYNC_INTERVAL": "1",
                    "COPILOT_REMOVE_AFTER": "1",
                    "COPILOT_HEALTH_PORT": "0",
                    **environ,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.watch = canary.Watch(self.process.pid)
        self.watch.start()

    def text(self):
        return self.output.read_text("utf-8", "replace")

    def models(self):
        try:
            answer = requests.get(
                f"http://127.0.0.1:{self.port}/v1/models", headers={"Authorization": f"Bearer {KEY}"}, timeout=60
            )
        except requests.RequestException:
            assert self.process.poll() is None, self.text()[-3000:]
            return None
        return {item["id"] for item in answer.json()["data"]} if answer.status_code == 200 else None

    def kill(self):
        self.watch.end()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(60)


@pytest.fixture
def start(clone):
    """Starts the script; whatever is left at the end is killed."""
    started = []

    def make(*flags, **environ):
        started.append(Startup(clone, *flags, **environ))
        return started[-1]

    yield make
    for item in started:
        item.kill()


@pytest.mark.litellm
def test_serves_follows_survives_and_ends(clone, start):
    """Sync, LiteLLM and hook in one go; no way of telling ends a uvicorn LiteLLM; SIGTERM ends both."""
    clone.log_in()
    startup = start()
    both = {"github_copilot/gpt-4o", "github_copilot/gpt-5-mini"}
    until(lambda: startup.models() == both, 180, "both models")

    clone.gh.set_catalog([model("gpt-4o"), model("gpt-6")])
    until(lambda: startup.models() == {"github_copilot/gpt-4o", "github_copilot/gpt-6"}, what="the new model")

    server = next(pid for pid in children(startup.process.pid) if LITELLM in arguments(pid))
    pidfile = clone.home / "pid"
    pidfile.write_text(str(server))
    other = str(clone.home / "other.yaml")
    told = subprocess.run(
        [sys.executable, "-m", "sidecar", "sync", "--config", other, "--create", "--on-change", "cat"],
        cwd=clone.root,
        env={
            **clone.environ,
            "COPILOT_ON_CHANGE_GUNICORN": str(pidfile),
            "COPILOT_ON_CHANGE_URL": f"http://127.0.0.1:{startup.port}/health/liveliness",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 6 and f"process {server} ({pidfile}) is not a gunicorn master" in told.stderr
    assert startup.models() and Path("/proc", str(server)).exists()

    # The background sync is started again when it dies; LiteLLM goes on.
    background = next(
        pid for pid in children(startup.process.pid) if arguments(pid)[1:][:4] == ["-P", "-m", "sidecar", "run"]
    )
    os.kill(background, signal.SIGKILL)
    until(lambda: "the background sync has exited" in startup.text(), what="the message")
    assert startup.models()

    processes = children(startup.process.pid)
    startup.process.terminate()
    startup.process.wait(60)
    until(lambda: not any(Path("/proc", str(pid)).exists() for pid in processes), what="the end of all")
    assert "LiteLLM has exited" in startup.text() and "Traceback" not in startup.text()
    log = (clone.root / "logs" / "startup.log").read_text()
    assert "checking the login" in log and "LiteLLM has exited" in log and "copilot-hook" in log
    assert (clone.tokens / "api-key.json").exists()


def test_signal_during_login(clone, start):
    """A signal while somebody is asked to log in ends the script, long before the code runs out."""
    startup = start()
    until(lambda: "enter the code" in startup.text(), what="the code")
    startup.process.terminate()
    assert startup.process.wait(60) == 143


def test_litellm_ends(clone, start, tmp_path):
    """When LiteLLM ends, so does the background sync, with LiteLLM's exit code."""
    clone.log_in()
    fake = tmp_path / "litellm"
    fake.write_text("#!/bin/sh\nsleep 1\nexit 7\n")
    fake.chmod(0o755)
    startup = start(LITELLM=str(fake))
    assert startup.process.wait(60) == 7
    assert "LiteLLM has exited (7)" in startup.text()
    assert subprocess.run(["pgrep", "-g", str(startup.process.pid)], capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"LITELLM": "no-such-litellm"}, "command not found"),
        ({"LITELLM_CONFIG": "/no.yaml"}, "/no.yaml cannot be read"),
        ({"LITELLM_CONFIG": ""}, "//config.yaml cannot be read"),
        ({"LITELLM_CONFIG": "", "CONFIG_FILE": "/other.yaml"}, "/other.yaml cannot be read"),
    ],
)
def test_refusals(clone, start, environ, text):
    """What is missing is said before anything is started."""
    startup = start(**environ)
    assert startup.process.wait(60) == 2 and text in startup.text()
