"""All that a run of the package needs around it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import requests
import yaml

from sidecar.settings import Settings
from tests.fakes.github import GitHub

from .files import put_secret
from .ports import free_port
from .processes import Process


class Bench:
    """An account at the stand-in, a token directory, a shared volume, and the environment that names them."""

    def __init__(self, gh: GitHub, directory: Path) -> None:
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
        self.processes: list[Process] = []

    @property
    def token_file(self) -> Path:
        return self.tokens / "access-token"

    def log_in(self, **how: Any) -> str:
        """Put a valid access token into the token directory."""
        token = self.gh.new_access_token(**how)
        put_secret(self.token_file, token)
        return token

    def settings(self, **changes: str) -> Settings:
        return Settings.load({**self.environ, **changes})

    def start(self, *arguments: str, **changes: str) -> Process:
        _age(changes.get("CONFIG_FILE", ""), *arguments)
        process = Process(arguments, {**self.environ, **changes})
        self.processes.append(process)
        return process

    def run(self, *arguments: str, **changes: str) -> Process:
        """A command from start to end."""
        process = self.start(*arguments, **changes)
        process.end()
        return process

    def names(self) -> list[str] | None:
        """The ``model_name`` of every entry in the models file; None when there is no file."""
        if not self.models_file.exists():
            return None
        return [item["model_name"] for item in yaml.safe_load(self.models_file.read_bytes())["model_list"]]

    def ask(self, path: str) -> requests.Response | None:
        """The answer of the running service to a health request; None while nothing answers."""
        try:
            return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=60)
        except requests.ConnectionError:
            return None

    def close(self) -> None:
        for process in self.processes:
            if process.popen.poll() is None:
                process.popen.kill()
            process.end()


def _age(*files: str) -> None:
    """Make what a test has just written look as if it had been there for long: a config has to settle first."""
    for file in files:
        if os.path.isfile(file):
            os.utime(file, (1e9, 1e9))
