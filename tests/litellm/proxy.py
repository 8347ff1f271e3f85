"""A real LiteLLM proxy as a process, with the hook, on a port of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from sidecar.files import replace_file
from sidecar.litellm_hot_reload.exchange import fingerprint
from sidecar.litellm_hot_reload.managed import PROVIDER
from sidecar.litellm_hot_reload.record import Shared
from sidecar.litellm_proxy.hook_package import install_hook
from sidecar.models.entries import models_file_bytes
from tests.fakes.copilot import CHAT, RESPONSES, endpoints_of
from tests.support import canary
from tests.support.entries import entries_of
from tests.support.files import put_secret
from tests.support.ports import free_port
from tests.support.waiting import until

from . import quick_start

KEY = canary.new("k")
CONFIG: dict[str, Any] = {
    "include": ["models.yaml"],
    "model_list": [],
    "litellm_settings": {"disable_copilot_system_to_assistant": True, "drop_params": True},
}


# A model of another provider, and a hand-written one for Copilot's by-chat, with the headers that such an entry needs.
OTHER = {"model_name": "other", "litellm_params": {"model": "openai/x", "api_key": "x", "mock_response": "hello"}}
EDITOR = {"editor-version": "vscode/1", "editor-plugin-version": "chat/1", "copilot-integration-id": "vscode-chat"}
OWN = {
    "model_name": "mine",
    "litellm_params": {
        "model": PROVIDER + "by-chat",
        "extra_headers": {**EDITOR, "user-agent": "Chat/1"},
    },
}


def litellm_command() -> str:
    """The LiteLLM to test: COPILOT_TEST_LITELLM, or the one beside this Python."""
    return os.environ.get("COPILOT_TEST_LITELLM") or str(Path(sys.executable).with_name("litellm"))


@dataclass
class Answer:
    """An answer of the proxy, and the seconds that it took."""

    status: int
    headers: dict[str, str]
    content: bytes
    seconds: float

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def cost(self) -> float:
        """What LiteLLM says that the request cost, in USD."""
        return float(self.headers["x-litellm-response-cost"])


class Worker:
    """A connection, and so one worker of the proxy: it always reaches the same one."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.connection.connect()
        self.connection.auto_open = 0
        self.source_port = self.connection.sock.getsockname()[1]
        self.pid = ""

    def __repr__(self) -> str:
        return f"worker {self.pid}"

    def request(self, method: str, path: str, body: Any = None) -> Answer:
        began = time.monotonic()
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.connection.getresponse()
        content = answer.read()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, names, content, time.monotonic() - began)

    def close(self) -> None:
        self.connection.close()

    def models(self) -> set[str]:
        return {item["id"] for item in self.request("GET", "/v1/models").json()["data"]}

    def info(self) -> dict[str, Any]:
        """``/model/info`` by model name."""
        return {item["model_name"]: item for item in self.request("GET", "/model/info").json()["data"]}

    def chat(self, model: str, text: str = "hello", **more: Any) -> Answer:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return self.request("POST", "/v1/chat/completions", body)

    def serves(self, item: dict[str, Any]) -> bool:
        """Whether a catalog item's model answers, on the endpoint that it has."""
        name, reachable = PROVIDER + item["id"], endpoints_of(item)
        if {CHAT, RESPONSES} & set(reachable):
            answer = self.chat(name)
        else:
            body = {"model": name, "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
            answer = self.request("POST", "/v1/messages", body)
        return answer.status == 200 and f"hello from {item['id']}" in answer.text


class Proxy:
    """LiteLLM in ``home``: home/models.yaml is the models file, home/auth the token directory (read-only use)."""

    def __init__(
        self,
        home: Path,
        env: dict[str, str],
        *,
        workers: int = 1,
        hook: bool = True,
        config: dict[str, Any] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.arguments = arguments
        self.home, self.workers, self.hook, self.port = home, workers, hook, free_port()
        self.models_file, self.token_dir = home / "models.yaml", home / "auth"
        self.api_key_file, self.log_file = home / "api-key.json", home / "litellm.log"
        self.token_dir.mkdir(exist_ok=True)
        self.config = home / "config.yaml"
        settings = {**CONFIG, "include": [str(self.models_file)], **(config or {})}
        self.config.write_text(yaml.safe_dump(settings, sort_keys=False))
        if not self.models_file.exists():
            self.models_file.write_text("model_list: []\n")
        install_hook(home)
        self.env = {
            **{key: value for key, value in os.environ.items() if "COPILOT" not in key and "LITELLM" not in key},
            "GITHUB_COPILOT_TOKEN_DIR": str(self.token_dir),
            "GITHUB_COPILOT_API_KEY_FILE": str(self.api_key_file),
            "COPILOT_MODELS_FILE": str(self.models_file),
            "LITELLM_MASTER_KEY": KEY,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_TELEMETRY": "False",
            # Where many start at once a worker does not answer within the usual five seconds, and is given up again and
            # again before it has come up.
            "TIMEOUT_WORKER_HEALTHCHECK": "60",
            "PYTHONPATH": str(home),
            "PYTHONWARNINGS": "ignore",
            **({"LITELLM_WORKER_STARTUP_HOOKS": "litellm_hot_reload:start"} if hook else {}),
            **env,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self._clients: list[Worker] = []

    def __enter__(self) -> Proxy:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start_quickly(self) -> None:
        """A stock LiteLLM is left as it is."""
        site, hooks = self.home / "sitecustomize.py", "LITELLM_WORKER_STARTUP_HOOKS"
        if not self.hook or "quick_start" in self.env[hooks]:
            return
        said = site.read_text() if site.exists() else ""
        if not said.startswith(quick_start.SITE):
            site.write_text(quick_start.SITE + said)
            shutil.copy(quick_start.__file__, self.home)
        self.env[hooks] = f"quick_start:start,{self.env[hooks]}"

    def start(self, wait: bool = True) -> None:
        self._start_quickly()
        command = [litellm_command(), "--config", str(self.config), "--host", "127.0.0.1", "--port", str(self.port)]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--num_workers", str(self.workers), "--keepalive_timeout", "300", *self.arguments],
                env=self.env,
                cwd=self.home,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # On its own, LiteLLM (before 1.110) leaves its token readable by everybody.
                umask=-1 if self.hook else 0o077,
            )
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds: float = 240) -> None:
        """Wait until LiteLLM answers, and as many workers follow as there are; a minute, on a busy machine."""

        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"LiteLLM ended:\n{self.log()[-4000:]}"
            if self.hook and len(self.pids()) < self.workers:
                return False
            try:
                return requests.get(f"{self.url}/health/readiness", timeout=2).status_code == 200
            except requests.RequestException:
                return False

        try:
            until(ready, seconds, "LiteLLM ready", every=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.log()[-4000:]}") from None

    def stop(self, number: int = signal.SIGTERM) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()
        if self.process is None:
            return
        for pid in canary.descendants(self.process.pid):
            canary.search_process(pid)
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
        found = set(re.findall(r"copilot-hook\[(\d+)\] INFO following", self.log()))
        return {pid for pid in found if Path("/proc", pid).exists()}

    @property
    def clients(self) -> list[Worker]:
        """One client for each worker."""
        if not self._clients:
            self._clients = self.connect()
        return list(self._clients)

    def connect(self) -> list[Worker]:
        """A new connection to each worker."""
        found: dict[str, Worker] = {}

        def complete() -> bool:
            client = self.reach_one()
            if client and client.pid in found:
                client.close()
            elif client:
                found[client.pid] = client
            return len(found) == self.workers

        try:
            until(complete, 30, "a connection to each worker", every=0)
        except BaseException:
            for client in found.values():
                client.close()
            raise
        return list(found.values())

    def reach_one(self) -> Worker | None:
        """A new connection to one of the workers that follow; None if it reached another, or one that just ended."""
        client = None
        with contextlib.suppress(OSError, http.client.HTTPException):
            client = Worker(self.port)
            client.request("GET", "/health/liveliness")
            client.pid = self._owner(client.source_port)
        if client and client.pid:
            return client
        if client:
            client.close()
        return None

    def _owner(self, source_port: int) -> str:
        """The worker at the other end of a connection, by what Linux says of its sockets; none: empty."""
        here, there = f"0100007F:{self.port:04X}", f"0100007F:{source_port:04X}"
        rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines())
        socket_name = next((f"socket:[{row[9]}]" for row in rows if row[1:3] == [here, there]), "")
        for pid in self.pids():
            for link in Path("/proc", pid, "fd").iterdir():
                with contextlib.suppress(OSError):
                    if os.readlink(link) == socket_name:
                        return pid
        return ""

    def token_file(self, **changes: Any) -> dict[str, Any]:
        """LiteLLM's api-key.json, after ``changes`` were made in it."""
        record: dict[str, Any] = json.loads(self.api_key_file.read_text())
        if changes:
            record |= changes
            # Not by a temporary file of the hook's name, which the hook would take for a leftover.
            new = self.api_key_file.with_suffix(".new")
            put_secret(new, json.dumps(record))
            os.replace(new, self.api_key_file)
        return record

    def publish(self, items: Iterable[dict[str, Any]], **environ: str) -> float:
        """Publish catalog items as the sidecar does; the moment at which it was done."""
        return self.write(models_file_bytes(entries_of(items, **environ)))

    def write(self, data: bytes) -> float:
        """Replace the models file by ``data``; the moment at which it was done."""
        replace_file(self.models_file, data, mode=0o644)
        return time.monotonic()

    def request(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """A request on a connection of its own, to any worker."""
        headers = {"Authorization": f"Bearer {KEY}", **kwargs.pop("headers", {})}
        return requests.request(method, self.url + path, headers=headers, timeout=kwargs.pop("timeout", 60), **kwargs)

    def models(self) -> set[str]:
        return {item["id"] for item in self.request("GET", "/v1/models").json()["data"]}

    def info(self) -> dict[str, Any]:
        """``/model/info`` by model name."""
        return {item["model_name"]: item for item in self.request("GET", "/model/info").json()["data"]}

    def chat(self, model: str, text: str = "hello", **more: Any) -> requests.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return self.request("POST", "/v1/chat/completions", json=body, stream=bool(more.get("stream")))

    def login(self, token: str, name: str = "access-token") -> None:
        put_secret(self.token_dir / name, token)

    def exchanged(self, token: str) -> str:
        """Log in with ``token``; the Copilot token that GitHub gave for it, once the workers share that."""
        self.login(token)

        def is_of_it() -> bool:
            return self.api_key_file.exists() and self.token_file().get("login") == fingerprint(token)

        until(is_of_it, 30, "the login's Copilot token")
        return str(self.token_file()["token"])

    def forget_exchanges(self) -> None:
        """Let the workers ask GitHub as if they had not done so in this hour."""
        lock = Shared(self.api_key_file).lock
        if lock.exists():
            with lock.open("r+") as file:
                file.truncate()


class Both:
    """LiteLLM with one worker and LiteLLM with two, on the same files and log; a context manager.

    What is not said here is the same for both, or asked of the one.
    """

    workers = 3

    def __init__(self, home: Path, env: dict[str, str], config: dict[str, Any]) -> None:
        self.one = Proxy(home, env, workers=1, config=config)
        self.two = Proxy(home, env, workers=2, config=config)

    def __enter__(self) -> Both:
        for proxy in (self.one, self.two):
            proxy.start(wait=False)
        for proxy in (self.one, self.two):
            proxy.wait_ready()
        until(lambda: len(self.one.pids()) == self.workers, 30, "every worker")
        return self

    def __exit__(self, *_: object) -> None:
        self.two.stop()
        self.one.stop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.one, name)

    @property
    def clients(self) -> list[Worker]:
        return self.one.clients + self.two.clients

    def connect(self) -> list[Worker]:
        return self.one.connect() + self.two.connect()
