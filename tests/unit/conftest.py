"""What the tests of the package share: a stand-in with an account, the command line as a real process, and the
search for tokens where none may be."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
import requests
import yaml

from sidecar.settings import Settings
from tests.fakes.catalog import model
from tests.fakes.github import GitHub

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
EXCHANGE, MODELS, USER = "/copilot_internal/v2/token", "/models", "/user"
DEVICE, POLL = "/login/device/code", "/login/oauth/access_token"


def until(condition, timeout=15.0, what="the condition"):
    """Wait until ``condition()`` is truthy and return what it gave."""
    end = time.monotonic() + timeout
    while not (result := condition()):
        assert time.monotonic() < end, f"{what} did not come within {timeout} s"
        time.sleep(0.01)
    return result


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def used_secrets(gh):
    """Every access token, Copilot token and device code that anybody has sent to the stand-in."""
    secrets = set()
    for request in gh.requests:
        secrets.add(request.headers.get("authorization", "").partition(" ")[2])
        if isinstance(request.body, dict):
            secrets.add(str(request.body.get("device_code", "")))
    return {secret for secret in secrets if len(secret) >= 8}


def assert_no_secret(gh, *texts, more=()):
    """None of the secrets in use is in any of the texts."""
    for secret in used_secrets(gh) | set(more):
        for text in texts:
            assert secret not in text, "a secret got out"


def files_under(directory):
    """The content of every file in a directory by its relative path; the token directory is left out."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and "tokens" not in path.parts
    }


@contextlib.contextmanager
def unprivileged():
    """As root, file permissions hold nobody back: be nobody for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


class Process:
    """A command of the package as a real process; its output is collected as it comes."""

    def __init__(self, arguments, environ):
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "sidecar", *arguments],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.out, self.err = bytearray(), bytearray()
        pairs = ((self.popen.stdout, self.out), (self.popen.stderr, self.err))
        self.readers = [threading.Thread(target=self._read, args=pair, daemon=True) for pair in pairs]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def _read(stream, kept):
        with stream:
            while chunk := stream.read1(65536):
                kept += chunk

    @property
    def stdout(self):
        return bytes(self.out).decode()

    @property
    def stderr(self):
        return bytes(self.err).decode()

    @property
    def records(self):
        """The log lines of the service; each has to be one JSON object."""
        return [json.loads(line) for line in self.stderr.splitlines(keepends=True) if line.endswith("\n")]

    def messages(self):
        return [record["message"] for record in self.records]

    def saw(self, text, timeout=15.0):
        """Wait until the output holds ``text``."""

        def seen():
            return text in self.stdout + self.stderr or self.popen.poll() is not None

        until(seen, timeout, repr(text))
        if text not in self.stdout + self.stderr:
            self.end()
        assert text in self.stdout + self.stderr
        return self

    def end(self, timeout=20.0):
        """Wait for the end and return the exit code."""
        code = self.popen.wait(timeout)
        for reader in self.readers:
            reader.join(5)
        return code

    def signal(self, number=signal.SIGTERM):
        """Send a signal; the exit code and the seconds until the process was gone."""
        start = time.monotonic()
        self.popen.send_signal(number)
        code = self.popen.wait(20)
        seconds = time.monotonic() - start
        self.end()
        return code, seconds


class Bench:
    """An account at the stand-in, a token directory, a shared volume, and the environment that names them."""

    def __init__(self, gh, directory):
        self.gh = gh
        self.tokens = directory / "tokens"
        self.shared = directory / "shared"
        self.tokens.mkdir()
        self.shared.mkdir()
        self.models_file = self.shared / "copilot_models.yaml"
        self.port = free_port()
        self.environ = {
            **gh.env(),
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "GITHUB_COPILOT_TOKEN_DIR": str(self.tokens),
            "COPILOT_MODELS_FILE": str(self.models_file),
            "COPILOT_HEALTH_PORT": str(self.port),
            "PYTHONWARNINGS": "error",
        }
        self.processes = []

    @property
    def token_file(self):
        return self.tokens / "access-token"

    def log_in(self, **how):
        """Put a valid access token into the token directory."""
        token = self.gh.new_access_token(**how)
        self.token_file.write_text(token)
        return token

    def settings(self, **changes):
        return Settings.load({**self.environ, **changes})

    def start(self, *arguments, **changes):
        process = Process(arguments, {**self.environ, **changes})
        self.processes.append(process)
        return process

    def run(self, *arguments, **changes):
        """A command from start to end."""
        process = self.start(*arguments, **changes)
        process.code = process.end()
        return process

    def names(self):
        """The ``model_name`` of every entry in the models file; None when there is no file."""
        if not self.models_file.exists():
            return None
        return [item["model_name"] for item in yaml.safe_load(self.models_file.read_bytes())["model_list"]]

    def ask(self, path):
        """The answer of the running service to a health request; None while nothing answers."""
        try:
            return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=5)
        except requests.ConnectionError:
            return None

    def close(self):
        for process in self.processes:
            if process.popen.poll() is None:
                process.popen.kill()
            process.end()
        assert_no_secret(self.gh, *(process.stdout + process.stderr for process in self.processes))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """The tests speak to this machine only, whatever proxies its environment names."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def gh():
    """A stand-in with two models that are in the picker."""
    with GitHub([model("gpt-4o"), model("gpt-5-mini")]) as github:
        yield github


@pytest.fixture
def bench(gh, tmp_path, caplog):
    """A bench without a token; nothing that is run on it may show a token in its output, its log or its files."""
    bench = Bench(gh, tmp_path)
    yield bench
    bench.close()
    said = [f"{record.getMessage()} {record.__dict__}" for record in caplog.get_records("call")]
    content = b"\n".join(files_under(tmp_path).values()).decode("utf-8", "replace")
    assert_no_secret(gh, content, *said)


@pytest.fixture
def outside():
    """A directory that every user may enter, outside of pytest's own, which is private."""
    directory = Path(tempfile.mkdtemp(prefix="sidecar-test-"))
    directory.chmod(0o755)
    yield directory
    for path in [directory, *directory.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(directory)


@pytest.fixture
def stop():
    """The event that ends waits."""
    return threading.Event()
