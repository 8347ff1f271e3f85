"""The shipped compose files as a project of its own on the local engine, with the stand-in for GitHub."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import requests

from scripts.litellm_versions import default_image
from tests.containers import searched
from tests.fakes.control import Control
from tests.fakes.marked import KINDS
from tests.support import canary
from tests.support.files import put_secret
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.waiting import until

IMAGE = f"litellm-copilot-model-sync:test-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"
"""Of this checkout: another one, tested on the same engine at the same time, must not replace it."""
BASE_IMAGE = os.environ.get("BASE_IMAGE") or "python:3.13-slim"
LITELLM_IMAGE = os.environ.get("LITELLM_IMAGE") or default_image()
OURS = ("login", "copilot-sync", "litellm")
MODEL = "github_copilot/claude-sonnet-4.6"
CONFINED = {"NoNewPrivs": "1", **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16)}
"""What /proc/1/status says of a process that can get no rights whatever it does."""
READS_ALL = {**CONFINED, **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), f"{1 << 2:016x}")}
"""The same of one that can read every file and search every directory, and nothing else: CAP_DAC_READ_SEARCH."""
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # Compose erases lines even with --ansi never
_SETTINGS = re.compile(r"(\w*COPILOT|LITELLM|SYNC|DEMO|COMPOSE)_|HTTPS?_PROXY|NO_PROXY|GITHUB_TOKEN", re.IGNORECASE)


class CommandFailed(AssertionError):
    """A command ended with an exit code other than 0; ``output`` is all that it wrote."""

    def __init__(self, command: list[str], code: int, output: str) -> None:
        super().__init__(f"{' '.join(command)} ended with {code}:\n{output[-6000:]}")
        self.code, self.output = code, output


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without anything that the compose files would take up."""
    own = {key: value for key, value in os.environ.items() if not _SETTINGS.match(key)}
    return {
        **own,
        "BASE_IMAGE": BASE_IMAGE,
        "LITELLM_IMAGE": LITELLM_IMAGE,
        "COPILOT_SYNC_IMAGE": IMAGE,
        # Long: a test decides itself when somebody confirms the login.
        "DEMO_APPROVE_AFTER": "86400",
        **changes,
    }


def command(*words: str, env: dict[str, str] | None = None, seconds: float = 60, only_stdout: bool = False) -> str:
    """Run a command in the repository and return what it wrote; CommandFailed when it fails."""
    done = subprocess.run(
        words,
        cwd=ROOT,
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if only_stdout else subprocess.STDOUT,
        timeout=seconds,
        check=False,
    )
    output = _CONTROL.sub("", done.stdout.decode("utf-8", "replace"))
    if done.returncode:
        errors = done.stderr.decode("utf-8", "replace") if done.stderr else ""
        raise CommandFailed(list(words), done.returncode, output + errors)
    return output


def docker(*words: str, seconds: float = 60) -> str:
    return command("docker", *words, seconds=seconds, only_stdout=True)


class Stack:
    """One project. ``token`` is an access token that the stand-in knows from its start; ``clone`` has the files;
    ``probe`` is how often the sidecar's health is checked, if not as in the image.

    ``GITHUB_COPILOT_AUTH`` and the other variables of the compose file are given as keyword arguments.
    """

    def __init__(
        self, home: Path, *, token: str | None = None, clone: Path = ROOT, probe: str = "", **variables: str
    ) -> None:
        self.home, self.token, self.clone, self.probe = home, token, clone, probe
        self.project = f"copilot-test-{secrets.token_hex(4)}"
        self.port = int(variables.get("LITELLM_PORT") or free_port())
        self.control_port, self.health_port = free_port(), free_port()
        self.variables = {"LITELLM_PORT": str(self.port), "COPILOT_STATUS_PORT": str(self.health_port), **variables}
        self._made_key = ""
        self.control = Control(f"http://127.0.0.1:{self.control_port}")
        self.url = f"http://127.0.0.1:{self.port}"
        self._attached: subprocess.Popen[bytes] | None = None
        self._no_env_file = home / "no.env"
        self._no_env_file.touch()
        self._override = home / "override.json"
        self._write_override()

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.ExitStack() as ending:
            ending.callback(self.compose, "down", "--volumes", "--remove-orphans", "--timeout", "2")
            if self._attached and self._attached.poll() is None:
                ending.callback(self._attached.wait, 20)
                ending.callback(self._attached.kill)
            searched.search(self)

    def _write_override(self) -> None:
        """Ports for the tests, a stand-in that knows ``token``, and a LiteLLM that needs no internet."""
        github: dict[str, Any] = {"ports": [f"127.0.0.1:{self.control_port}:8000"]}
        if self.token:
            program = ["python3", "-m", "tests.fakes.github", "--host", "0.0.0.0", "--port", "8000"]
            github["command"] = [*program, "--access-token", self.token]
        health = {"healthcheck": {"interval": self.probe, "start_period": self.probe}} if self.probe else {}
        services = {
            "github": github,
            "copilot-sync": health,
            "litellm": {"environment": {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}},
            "shell": {
                "profiles": ["shell"],
                "image": IMAGE,
                "entrypoint": ["/bin/sh", "-euc"],
                "user": "0",
                "network_mode": "none",
                "volumes": [
                    f"{self.variables.get('GITHUB_COPILOT_AUTH', 'github_auth')}:/github_auth",
                    "shared:/shared",
                    "keys:/keys",
                ],
            },
        }
        put_secret(self._override, json.dumps({"services": services}))
        canary.may_hold(self._override, "a", "what the stand-in is started with")

    # Compose

    def files(self) -> list[Path]:
        return [self.clone / "docker-compose.yml", self.clone / "docker-compose.demo.yml", self._override]

    def command_line(self, *words: str) -> list[str]:
        return [
            *("docker", "compose", "--ansi", "never", "--project-name", self.project),
            *(
                "--env-file",
                str(self._no_env_file),
                *(word for file in self.files() for word in ("--file", str(file))),
                *words,
            ),
        ]

    def environment(self) -> dict[str, str]:
        return environment(**self.variables)

    def compose(self, *words: str, seconds: float = 120, only_stdout: bool = False) -> str:
        return command(*self.command_line(*words), env=self.environment(), seconds=seconds, only_stdout=only_stdout)

    def up(self, *services: str) -> str:
        return self.compose("up", "--detach", "--no-build", *services)

    def up_attached(self) -> Path:
        """``docker compose up`` as a person runs it; returns the file that gets its output."""
        log = self.home / "up.log"
        with log.open("wb") as file:
            self._attached = subprocess.Popen(
                self.command_line("up", "--no-build"),
                cwd=ROOT,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        return log

    def ctrl_c(self, seconds: float = 60) -> int:
        """End the attached ``up`` as a person does, and return its exit code."""
        assert self._attached is not None
        os.killpg(self._attached.pid, signal.SIGINT)
        return self._attached.wait(seconds)

    def run(self, service: str, *words: str, **variables: str) -> str:
        """A one-off container of ``service``; CommandFailed when it fails."""
        options = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
        return self.compose("run", "--rm", "--no-deps", "-T", *options, service, *words)

    def shell(self, script: str) -> str:
        """Run a script as root in a container of its own that has both volumes; returns its standard output."""
        return self.compose("run", "--rm", "-T", "shell", script, only_stdout=True)

    def exec(self, service: str, *words: str, user: str = "0") -> str:
        return self.compose("exec", "-T", "--user", user, service, *words, only_stdout=True)

    def logs(self, *services: str) -> str:
        return self.compose("logs", "--no-color", *services)

    # Containers

    def container(self, service: str) -> dict[str, Any]:
        """``docker inspect`` of the service's container; an empty dict while there is none."""
        name = self.compose("ps", "--all", "--quiet", service, only_stdout=True).strip()
        with canary.may_see("".join(KINDS), "this is searched at the end, place by place"):
            return dict(json.loads(docker("inspect", name))[0]) if name else {}

    def life(self, *services: str) -> dict[str, tuple[str, str, int]]:
        """What a restart of a container changes: id, start time and the engine's count of restarts."""
        found = {service: self.container(service) for service in services}
        return {key: (item["Id"], item["State"]["StartedAt"], item["RestartCount"]) for key, item in found.items()}

    def wait_exited(self, service: str, seconds: float = 60) -> int:
        """Wait for a one-shot service and return its exit code."""
        state = until(
            lambda: (found := self.container(service).get("State", {})).get("Status") == "exited" and found,
            seconds,
            f"{service} ends",
            every=0.2,
        )
        return int(state["ExitCode"])

    def wait_healthy(self, service: str, seconds: float = 90) -> None:
        def healthy() -> bool:
            return bool(self.container(service).get("State", {}).get("Health", {}).get("Status") == "healthy")

        until(healthy, seconds, f"{service} is healthy", every=0.2)

    def kill_process(self, service: str) -> None:
        """SIGKILL to the container's main process, as the kernel's OOM killer sends it.

        Not ``docker kill``: the engine takes that as a person's wish and does not start it again. Needs no
        root here, because the process that sends the signal is in a container that sees the engine's processes.
        """
        number = self.container(service)["State"]["Pid"]
        options = ("--rm", "--pid=host", "--user", "0", "--entrypoint", "/bin/sh")
        docker("run", *options, IMAGE, "-c", f"kill -9 {number}")

    def confinement(self, service: str) -> dict[str, str]:
        """The lines of /proc/1/status that are in ``CONFINED``."""
        lines = self.exec(service, "cat", "/proc/1/status").splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines) if name in CONFINED}

    def listing(self, service: str, path: str = "/shared") -> dict[str, str]:
        """The files below a directory but locks: name → inode, owner, mode, size and time of the last change."""
        script = (
            'cd "$1"; find . -type f ! -name ".*.lock" ! -name ".*.leader" -exec stat -c "%n %i %u:%g %a %s %y" {} +'
        )
        lines = self.exec(service, "sh", "-euc", script, "sh", path).splitlines()
        return {name.removeprefix("./"): about for name, _, about in (line.partition(" ") for line in lines)}

    # The token

    def write_token(self, uid: int, *, directory: str = "") -> None:
        """Put ``token`` into the token directory, 0600 and owned by ``uid``; ``directory`` is a script to run there."""
        assert self.token is not None
        script = (
            f"cd /github_auth; umask 077; printf %s {self.token} > new; chown {uid}:{uid} new; mv -f new access-token"
        )
        with canary.may_see("a", "the test puts it there"):
            self.shell(f"{script}; {directory or 'true'}")

    def keep_login(self) -> None:
        """Let the stand-in know the access token of this login after its own restart, as GitHub would."""
        with canary.may_see("a", "the stand-in is told"):
            self.token = self.exec("copilot-sync", "cat", "/github_auth/access-token").strip()
        self._write_override()

    # What clients see

    @property
    def key(self) -> str:
        """LiteLLM's master key: the one that was given, or the one that the sidecar has made."""
        if given := self.variables.get("LITELLM_MASTER_KEY"):
            return given
        self._made_key = self._made_key or self.made_key()
        return self._made_key

    def made_key(self) -> str:
        """The key as README says to get it."""
        with canary.may_see("k", "a client needs it"):
            return self.compose("exec", "-T", "copilot-sync", "cat", "/keys/master-key", only_stdout=True).strip()

    def request(
        self, method: str, path: str, *, key: bool = True, headers: dict[str, str] | None = None, **kwargs: Any
    ) -> requests.Response:
        """A request with the master key, unless ``key`` is false."""
        sent = {**({"Authorization": f"Bearer {self.key}"} if key else {}), **(headers or {})}
        return requests.request(method, self.url + path, headers=sent, timeout=kwargs.pop("timeout", 30), **kwargs)

    def alive(self) -> bool:
        try:
            return self.request("GET", "/health/liveliness", key=False, timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def wait_alive(self, seconds: float = 300) -> None:
        until(self.alive, seconds, "LiteLLM is up", every=0.1)

    def models(self) -> set[str]:
        """What ``/v1/models`` lists; nothing while LiteLLM does not answer."""
        try:
            return {item["id"] for item in self.request("GET", "/v1/models").json()["data"]}
        except (requests.RequestException, KeyError):
            return set()

    def chat(self, model: str = MODEL, **kwargs: Any) -> requests.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
        return self.request("POST", "/v1/chat/completions", json=body, **kwargs)

    def published(self) -> set[str]:
        """The names in the models file."""
        text = self.exec("copilot-sync", "cat", "/shared/copilot_models.yaml")
        return set(re.findall(r"^\s*-?\s*model_name: [\"']?([^\s\"']+)", text, re.MULTILINE))

    def wait_served(self, seconds: float) -> set[str]:
        """Wait until LiteLLM lists models, and all those that are published; returns them."""
        until(self.models, seconds, "LiteLLM lists models")
        wanted = self.published()
        until(lambda: self.models() == wanted, seconds, f"LiteLLM lists {sorted(wanted)}")
        return wanted

    def metric(self, name: str) -> float:
        """A metric of the sidecar; 0 while it is not there."""
        try:
            text = requests.get(f"http://127.0.0.1:{self.health_port}/metrics", timeout=5).text
        except requests.RequestException:
            return 0.0
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0


class Traffic:
    """Clients that send chat completions without a pause, from threads of their own."""

    def __init__(self, stack: Stack, model: str = MODEL, clients: int = 2) -> None:
        self._stop = threading.Event()
        self._ask: Callable[[], requests.Response] = lambda: stack.chat(model)
        self.failures: list[str] = []
        self.answers: list[float] = []
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(40)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                answer = self._ask()
            except requests.RequestException as error:
                self.failures.append(type(error).__name__)
                continue
            if answer.status_code == 200:
                self.answers.append(time.monotonic())
            else:
                self.failures.append(f"{answer.status_code} {answer.text[:300]}")

    @property
    def longest_silence(self) -> float:
        """The longest time without an answer, in seconds."""
        times = sorted(self.answers)
        return max((later - earlier for earlier, later in pairwise(times)), default=0.0)
