"""`docker compose up` with nothing set: LiteLLM has a key, nobody gets in without it, and README says how to use it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.containers.stack import MODEL, OURS, CommandFailed, Stack, docker
from tests.support import canary
from tests.support.documented import commands
from tests.support.paths import ROOT
from tests.support.ports import is_free
from tests.support.waiting import until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

TOKEN = canary.new("a")
COMPLETION = "hello from"
README_PORT = 4000
STRANGERS: dict[str, dict[str, str]] = {
    "another origin": {"Origin": "https://evil.example"},
    "no origin": {"Origin": "null"},
    "a rebinding host": {"Host": "evil.example", "Origin": "http://evil.example"},
    "a rebinding host with its port": {"Host": "evil.example:4000"},
    "a wrong key": {"Authorization": "Bearer sk-" + "0" * 43},
    "a key in another header": {"x-api-key": "sk-1234", "api-key": "sk-1234", "x-litellm-api-key": "sk-1234"},
}
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
CALLS: list[tuple[str, str, Any]] = [
    ("POST", "/v1/chat/completions", BODY),
    ("POST", "/chat/completions", BODY),
    ("POST", f"/engines/{quote(MODEL, safe='')}/chat/completions", BODY),
    ("POST", "/v1/messages", {**BODY, "max_tokens": 10}),
    ("POST", "/v1/responses", {"model": MODEL, "input": "hello"}),
    ("POST", "/utils/transform_request", {"call_type": "completion", "request_body": BODY}),
    ("POST", "/health/test_connection", {"litellm_params": {"model": MODEL}}),
    ("POST", "/config/update", {"litellm_settings": {}}),
    ("POST", "/model/new", {"model_name": "x", "litellm_params": {"model": MODEL}}),
    ("POST", "/key/generate", {}),
    *(
        ("GET", path, None)
        for path in (
            *("/v1/models", "/health", "/health/services", "/model/info", "/v1/model/info", "/v2/model/info"),
            *("/config/yaml", "/config/list", "/get/config/callbacks", "/copilot_hook", "/settings", "/key/info"),
        )
    ),
]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user gets: nothing but the files of the repository."""
    clone = tmp_path_factory.mktemp("clean") / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True, capture_output=True, timeout=60)
    return clone


@pytest.fixture(scope="module")
def stack(lasting_stacks: Callable[..., Stack], clone: Path) -> Stack:
    """A login, two workers, and otherwise nothing set; on README's own port, where it is free."""
    port = {"LITELLM_PORT": str(README_PORT)} if is_free(README_PORT) else {}
    made = lasting_stacks(token=TOKEN, clone=clone, LITELLM_WORKERS="2", **port)
    made.write_token(1000)
    made.up()
    made.wait_alive()
    made.wait_served(30)
    until(lambda: made.chat().status_code == 200, 30, "a chat completion")
    canary.add("k", made.key)
    return made


def shown(texts: dict[str, str]) -> list[str]:
    """Where a secret can be read: a token, or the key that was made."""
    return [place for place, text in texts.items() if canary.leaks(text.encode())]


@pytest.mark.parametrize("who", STRANGERS)
def test_nobody_gets_in_without_the_key(stack: Stack, who: str) -> None:
    """A foreign page and a rebinding host get neither token nor completion, however a browser may ask."""
    before = stack.control.count("/chat/completions")
    texts = {}
    for method, path, body in CALLS:
        ways: list[dict[str, Any]] = [{"json": body}]
        if body is not None:  # what a page may send without a preflight
            ways += [{"data": json.dumps(body), "headers": {"Content-Type": kind}} for kind in ("text/plain", "")]
        for number, way in enumerate(ways):
            headers = {**STRANGERS[who], **way.pop("headers", {})}
            answer = stack.request(method, path, key=False, headers=headers, **way)
            # A LiteLLM from PyPI, without the `prisma` package of the stock image, says 500 where that says 401.
            assert answer.status_code >= 400, (path, answer.text[:300])
            texts[f"{method} {path} {number}"] = f"{answer.headers}{answer.text}"
        preflight = {**STRANGERS[who], "Access-Control-Request-Method": method}
        answer = stack.request("OPTIONS", path, key=False, headers=preflight)
        texts[f"OPTIONS {path}"] = f"{answer.headers}{answer.text}"
    assert shown(texts) == []
    assert [place for place, text in texts.items() if COMPLETION in text or MODEL in text] == []
    assert stack.control.count("/chat/completions") == before


def test_no_route_at_all_gives_a_secret_away(stack: Stack) -> None:
    """Every route that LiteLLM has, asked by a foreign page: no secret in any answer, and no request to Copilot."""
    before = stack.control.count("/chat/completions")
    texts = {}
    for path, methods in stack.request("GET", "/openapi.json").json()["paths"].items():
        url = stack.url + re.sub(r"\{[^}]*\}", quote(MODEL, safe=""), path)
        for method in methods:
            sent = None if method == "get" else BODY
            answer = requests.request(method, url, json=sent, headers=STRANGERS["another origin"], timeout=30)
            texts[f"{method} {path}"] = f"{answer.headers}{answer.text}"
    print(f"{len(texts)} routes asked")
    assert len(texts) > 200
    assert shown(texts) == []
    assert [place for place, text in texts.items() if COMPLETION in text] == []
    assert stack.control.count("/chat/completions") == before


def test_with_the_key_every_worker_serves(stack: Stack) -> None:
    """Both workers have the same key: each new connection is let in with it, and none without it."""
    workers = re.compile(r"copilot-hook\[(\d+)\]")
    # LiteLLM's supervisor starts one anew that a busy machine has kept from answering it for five seconds.
    until(lambda: len(set(workers.findall(stack.logs("litellm")))) >= 2, 240, "both workers are up", every=0.5)
    for _ in range(20):
        assert stack.request("GET", "/v1/models").status_code == 200
        assert stack.request("GET", "/v1/models", key=False).status_code in {401, 500}


def as_written(stack: Stack, clone: Path, script: str) -> str:
    """What a script prints in a clone; the stack is the one that it finds."""
    env = {
        **stack.environment(),
        "COMPOSE_PROJECT_NAME": stack.project,
        "COMPOSE_FILE": ":".join(str(path) for path in stack.files()),
        "COMPOSE_DISABLE_ENV_FILE": "true",
    }
    done = subprocess.run(["bash", "-euc", script], cwd=clone, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_lines_of_readme_work_as_they_are_written(stack: Stack, clone: Path) -> None:
    """What README shows below "Two commands", word for word, in a clean clone."""
    section = (clone / "README.md").read_text().split("## Two commands")[1].split("\n## ")[0]
    (block,) = [block for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL) if "curl" in block]
    script = re.sub(r"^\$ ", "", block, flags=re.MULTILINE)
    assert script.count("curl ") == 2 and "docker compose exec" in script
    if stack.port != README_PORT:
        script = script.replace(f"localhost:{README_PORT}", f"localhost:{stack.port}")
    said = as_written(stack, clone, script)
    decoder = json.JSONDecoder()
    models, end = decoder.raw_decode(said)
    answer, _ = decoder.raw_decode(said[end:].lstrip())
    assert {item["id"] for item in models["data"]} == stack.published()
    assert COMPLETION in answer["choices"][0]["message"]["content"]


def test_the_documented_commands_work_as_they_are_written(stack: Stack, clone: Path) -> None:
    """What the documents do with the sidecar's container, word for word."""
    said = {
        command: as_written(stack, clone, command.replace("docker compose exec ", "docker compose exec -T "))
        for _, command in commands()
        if re.match(r"docker compose (run --rm|exec) copilot-sync ", command)
    }
    assert len(said) >= 5
    for command, word in (
        ("connect claude-code", "ANTHROPIC_BASE_URL"),
        ("models --all", "omitted:"),
        ("status", "octocat"),
    ):
        (text,) = [text for shown, text in said.items() if shown.endswith(command)]
        assert word in text


def test_the_doctor_has_the_key(stack: Stack) -> None:
    """`docker compose run --rm copilot-sync doctor` needs nothing set, either; nor does `status`, where they run."""
    said = stack.compose("run", "--rm", "-T", "copilot-sync", "doctor")
    assert "fail" not in said and "LiteLLM serves all" in said
    said = stack.exec("copilot-sync", "python", "-m", "sidecar", "status")
    assert "login        octocat" in said and "2 workers, in step" in said and "trouble" not in said


def test_the_key_is_told_of_and_shown_nowhere(stack: Stack) -> None:
    """The log says in one line how to see it; no log, configuration, argument, environment or volume has it."""
    log = stack.logs("copilot-sync")
    assert log.count("docker compose exec -T copilot-sync cat /keys/master-key") == 1
    texts = {}
    for service in OURS:
        container = stack.container(service)
        texts[f"the log of {service}"] = stack.logs(service)
        texts[f"the configuration of {service}"] = json.dumps(container)
        if container["State"]["Running"]:
            texts[f"the processes of {service}"] = docker("top", container["Id"], "-eo", "pid,args")
            texts[f"the environments of {service}"] = stack.exec(
                service, "sh", "-c", "cat /proc/[0-9]*/environ || true"
            )
    texts["the shared volume"] = stack.shell("cat $(find /shared -type f)")
    assert all(text.strip() for text in texts.values())
    assert shown(texts) == []
    assert stack.shell("cd /keys; ls -A; stat -c '%a %u' . *").split() == ["master-key", "700", "1000", "600", "1000"]
    with pytest.raises(CommandFailed, match="Read-only file system"):
        stack.exec("litellm", "touch", "/keys/x")
    with pytest.raises(CommandFailed, match="Permission denied"):
        stack.exec("litellm", "cat", "/keys/master-key", user="10001")


def test_the_rights_are_what_the_compose_file_says(stack: Stack) -> None:
    """LiteLLM, as root, may read what is not its own and nothing more; the sidecar has no right at all."""
    status = stack.exec("litellm", "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["0"] * 4
    assert {fields[name] for name in ("CapPrm", "CapEff", "CapBnd")} == {f"{1 << 2:016x}"}, "CAP_DAC_READ_SEARCH"
    assert (fields["NoNewPrivs"], int(fields["CapAmb"], 16)) == ("1", 0)
    assert set(stack.confinement("copilot-sync").values()) == {"1", "0" * 16}


# The tests from here on start the stack again.


def test_the_key_survives_a_restart_and_down(stack: Stack) -> None:
    """After a restart, and after `down` and `up`, the same key is good, and still the only one."""
    before = stack.made_key()
    for again in ("restart", "down"):
        if again == "restart":
            stack.compose("restart", "--timeout", "5")
        else:
            stack.compose("down")
            stack.variables["LITELLM_WORKERS"] = "1"  # what is asked from here on is the same for each
            stack.up()
        stack.wait_alive()
        assert stack.made_key() == before
        until(lambda: MODEL in stack.models(), 30, "the models, with the key of before")
        assert stack.chat(key=False).status_code in {401, 500}


def test_the_key_follows_the_token_to_another_owner(stack: Stack) -> None:
    """Once the token is another user's the sidecar runs as that one, and has the key of before."""
    before = stack.made_key()
    stack.shell("chown 1001:1001 /github_auth/access-token")
    until(lambda: stack.shell("stat -c '%a %u' /keys/master-key").split() == ["600", "1001"], 30, "the key follows")
    stack.wait_healthy("copilot-sync")
    assert stack.made_key() == before


@pytest.mark.nightly  # tests/litellm/test_master_key.py holds it without a container
def test_without_its_key_litellm_does_not_start(stack: Stack) -> None:
    """A key file that is missing, empty or a named pipe: LiteLLM ends and says why, and is open at no time."""
    start = ("litellm", "--config", "/app/config.yaml", "--port", "4000")
    for damage, reason in (
        ("rm master-key", "cannot be read"),
        (": > master-key", "is empty"),
        ("rm master-key; mkfifo master-key", "not a regular"),
    ):
        stack.shell(f"cd /keys; cp master-key kept; {damage}")
        try:
            with pytest.raises(CommandFailed, match=f"the master key file /keys/master-key .*{reason}") as failed:
                stack.run(*start)
            assert "Uvicorn running" not in failed.value.output
            if "rm" not in damage:  # the sidecar does not overwrite it, either
                with pytest.raises(CommandFailed, match="is empty"):
                    stack.run("copilot-sync", "run")
        finally:
            stack.shell("cd /keys; rm -f master-key; mv kept master-key; chown 1001:1001 master-key")


def test_whoever_wants_no_key_says_so(stack: Stack) -> None:
    """With LiteLLM's own variable for it, and not otherwise, requests without a key are served."""
    stack.variables["LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY"] = "true"
    stack.up("litellm")
    stack.wait_alive()
    until(lambda: stack.chat(key=False).status_code == 200, 30, "a chat completion without a key")
