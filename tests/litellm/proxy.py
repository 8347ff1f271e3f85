"""A real LiteLLM proxy as a process, with the hook, on a port of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
import yaml

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-" + "test" * 6
CONFIG: dict[str, Any] = {
    "include": ["models.yaml"],
    "model_list": [],
    "litellm_settings": {"disable_copilot_system_to_assistant": True, "drop_params": True},
}


def litellm_command() -> str:
    """The LiteLLM to test: COPILOT_TEST_LITELLM, or the one beside this Python."""
    return os.environ.get("COPILOT_TEST_LITELLM") or str(Path(sys.executable).with_name("litellm"))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def until(check: Callable[[], Any], seconds: float, what: str, every: float = 0.05) -> Any:
    """Wait until ``check`` gives something true and return it; AssertionError after ``seconds``."""
    end = time.monotonic() + seconds
    while not (result := check()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(every)
    return result


class Proxy:
    """LiteLLM in ``home``: home/models.yaml is the models file, home/auth the token directory (read-only use)."""

    def __init__(
        self, home: Path, env: dict[str, str], *, workers: int = 1, hook: bool = True, config: dict | None = None
    ) -> None:
        self.home, self.workers, self.port = home, workers, free_port()
        self.models_file, self.token_dir = home / "models.yaml", home / "auth"
        self.api_key_file, self.log_file = home / "api-key.json", home / "litellm.log"
        self.token_dir.mkdir(exist_ok=True)
        self.config = home / "config.yaml"
        settings = {**CONFIG, "include": [str(self.models_file)], **(config or {})}
        self.config.write_text(yaml.safe_dump(settings, sort_keys=False))
        if not self.models_file.exists():
            self.models_file.write_text("model_list: []\n")
        shutil.copy(ROOT / "entrypoint" / "litellm_hot_reload.py", home)
        self.env = {
            **{key: value for key, value in os.environ.items() if "COPILOT" not in key and "LITELLM" not in key},
            "GITHUB_COPILOT_TOKEN_DIR": str(self.token_dir),
            "GITHUB_COPILOT_API_KEY_FILE": str(self.api_key_file),
            "COPILOT_MODELS_FILE": str(self.models_file),
            "LITELLM_MASTER_KEY": KEY,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_TELEMETRY": "False",
            "PYTHONPATH": str(home),
            "PYTHONWARNINGS": "ignore",
            **({"LITELLM_WORKER_STARTUP_HOOKS": "litellm_hot_reload:start"} if hook else {}),
            **env,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Proxy:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, wait: bool = True) -> None:
        command = [litellm_command(), "--config", str(self.config), "--host", "127.0.0.1", "--port", str(self.port)]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--num_workers", str(self.workers)],
                env=self.env,
                cwd=self.home,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds: float = 120) -> None:
        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"LiteLLM ended:\n{self.log()[-4000:]}"
            if len(set(re.findall(r"copilot-hook\[(\d+)\] INFO following", self.log()))) < self.workers and (
                "LITELLM_WORKER_STARTUP_HOOKS" in self.env
            ):
                return False
            try:
                return requests.get(f"{self.url}/health/readiness", timeout=2).status_code == 200
            except requests.RequestException:
                return False

        until(ready, seconds, "LiteLLM ready", every=0.2)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, number)
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
        except ProcessLookupError:
            pass
        self.process = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        return self.log_file.read_text("utf-8", "replace")

    def hook_log(self) -> list[str]:
        return [line for line in self.log().splitlines() if "copilot-hook[" in line]

    def pids(self) -> set[str]:
        """Process ids of the workers that follow."""
        return set(re.findall(r"copilot-hook\[(\d+)\] INFO following", self.log()))

    def request(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {KEY}", **kwargs.pop("headers", {})}
        return requests.request(method, self.url + path, headers=headers, timeout=kwargs.pop("timeout", 60), **kwargs)

    def models(self) -> set[str]:
        return {item["id"] for item in self.request("GET", "/v1/models").json()["data"]}

    def info(self) -> dict[str, Any]:
        """``/model/info`` by model name."""
        return {item["model_name"]: item for item in self.request("GET", "/model/info").json()["data"]}

    def chat(self, model: str, text: str = "hello", **kwargs: Any) -> requests.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **kwargs}
        return self.request("POST", "/v1/chat/completions", json=body, stream=bool(kwargs.get("stream")))

    def login(self, token: str, name: str = "access-token") -> None:
        file = self.token_dir / name
        file.write_text(token)
        file.chmod(0o600)
