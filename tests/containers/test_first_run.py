"""`docker compose up` from nothing, and what follows on the same stack: changes, kills, stopping, starting again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.containers import searched
from tests.containers.stack import CONFINED, MODEL, OURS, CommandFailed, Stack, Traffic
from tests.fakes.catalog import model
from tests.support import canary
from tests.support.waiting import until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

RECORD = ".copilot_models.yaml.memory.json"
CODE = re.compile(r"\b[A-Z0-9]{4}-[A-Z0-9]{4}\b")


@dataclass
class FirstRun:
    """A stack that has just been brought up from nothing, and what was seen on the way."""

    stack: Stack
    log: Path
    shown: str
    models_before: set[str]
    lives_before: dict[str, tuple[str, str, int]]
    lives_after: dict[str, tuple[str, str, int]]
    login_code: int
    seconds_to_models: float
    answer: requests.Response


@pytest.fixture(scope="module")
def first(lasting_stacks: Callable[..., Stack]) -> FirstRun:
    stack = lasting_stacks(COPILOT_MODEL_SYNC_INTERVAL="2", COPILOT_ACCEPT_LOSS_AFTER="3")
    log = stack.up_attached()
    until(lambda: CODE.search(log.read_text()) and "Waiting for the login" in log.read_text(), 60, "a code in the log")
    shown = log.read_text()
    stack.wait_healthy("copilot-sync")
    stack.wait_alive()
    models_before = stack.models()
    lives_before = stack.life("github", "copilot-sync", "litellm")
    assert stack.container("login")["State"]["Running"]

    assert stack.control.approve() == 1
    until(lambda: "Logged in as" in log.read_text(), 30, "the login is done")
    done = time.monotonic()
    stack.wait_served(30)
    until(lambda: stack.chat().status_code == 200, 30, "a chat completion")
    seconds = time.monotonic() - done
    answer = stack.chat()
    return FirstRun(
        stack=stack,
        log=log,
        shown=shown,
        models_before=models_before,
        lives_before=lives_before,
        lives_after=stack.life("github", "copilot-sync", "litellm"),
        login_code=stack.wait_exited("login"),
        seconds_to_models=seconds,
        answer=answer,
    )


def test_from_nothing_to_a_chat_completion(first: FirstRun) -> None:
    """One `up`, one code typed in, and a chat completion is served; no container was started twice on the way."""
    assert first.answer.status_code == 200, first.answer.text
    assert first.answer.json()["choices"][0]["message"]["content"] == "hello from claude-sonnet-4.6"
    assert first.models_before == set()
    assert first.lives_after == first.lives_before
    assert all(restarts == 0 for _, _, restarts in first.lives_after.values())
    assert first.seconds_to_models < 5
    assert first.stack.control.refusals == []


def test_the_log_shows_what_to_do(first: FirstRun) -> None:
    """The attached log shows the address, the code that GitHub gave out, and how much time is left."""
    codes = [item["user_code"] for item in first.stack.control.state()["device_codes"]]
    assert len(codes) == 1
    lines = re.findall(r"^(?:\x1b\[2K)?login-1 +\| (.*)$", first.shown, re.MULTILINE)
    assert any("http://github:8000/login/device" in line for line in lines)
    assert any(codes[0] in line for line in lines)
    assert any(re.search(r"Waiting for the login … \d+:\d\d left", line) for line in lines)
    assert sum("####" in line for line in lines) >= 2, "the code stands out"


def test_the_login_ends_and_stores_the_token(first: FirstRun) -> None:
    """The login container ends with 0, and the token is 0600 and belongs to the sidecar's user."""
    assert first.login_code == 0
    assert first.stack.exec("copilot-sync", "stat", "-c", "%a %u", "/github_auth/access-token").split() == [
        "600",
        "10001",
    ]
    assert re.search(
        r"^Uid:\s+10001\s+10001\s", first.stack.exec("copilot-sync", "cat", "/proc/1/status"), re.MULTILINE
    )


def test_the_models_are_those_of_the_catalog(first: FirstRun) -> None:
    """`/v1/models` lists what the account may call and nothing else."""
    names = first.stack.models()
    assert names == first.stack.published()
    assert {MODEL, "github_copilot/gemini-3-pro", "github_copilot/claude-fable-5"} <= names
    disabled, completion, no_picker = "grok-4.6", "gpt-41-copilot", "claude-3-opus"
    assert not {f"github_copilot/{name}" for name in (disabled, completion, no_picker)} & names


def test_no_secret_can_be_seen_anywhere(first: FirstRun) -> None:
    """Neither token nor the master key is in a log, a container's configuration, an argument or the shared volume."""
    stack = first.stack
    canary.search("the output of `up`", first.log.read_text())
    searched.search(stack)
    assert canary.found == []
    assert stack.exec("copilot-sync", "ls", "-A", "/github_auth").split() == ["access-token"]


def test_the_port_is_for_this_machine_alone(first: FirstRun) -> None:
    """LiteLLM's port is bound to 127.0.0.1; the sidecar publishes none."""
    bound = first.stack.container("litellm")["NetworkSettings"]["Ports"]["4000/tcp"]
    assert [(item["HostIp"], item["HostPort"]) for item in bound] == [("127.0.0.1", str(first.stack.port))]


def test_every_file_system_is_closed(first: FirstRun) -> None:
    """The sidecar cannot write to its root file system, and has no rights over anything but its own files."""
    container = first.stack.container("copilot-sync")
    assert container["HostConfig"]["ReadonlyRootfs"] is True
    for path in ("/x", "/app/x", "/venv/x", "/etc/x"):
        with pytest.raises(CommandFailed, match="Read-only file system"):
            first.stack.exec("copilot-sync", "touch", path)
    for service in ("copilot-sync", "litellm"):
        with pytest.raises(CommandFailed, match="Read-only file system"):
            first.stack.exec(service, "touch", "/github_auth/x")
    with pytest.raises(CommandFailed, match="Read-only file system"):
        first.stack.exec("litellm", "touch", "/shared/x")
    assert first.stack.confinement("copilot-sync") == CONFINED


def test_a_changed_catalog_is_served_within_three_seconds(first: FirstRun) -> None:
    """A model that GitHub adds, changes or retires is so in LiteLLM within 3 s of its publication."""
    stack = first.stack
    before = stack.control.catalog

    def limit(name: str) -> object:
        found = stack.request("GET", "/model/info").json()["data"]
        return next((item["model_info"]["max_output_tokens"] for item in found if item["model_name"] == name), None)

    def publish(catalog: list[dict[str, Any]], shown: Callable[[], object]) -> float:
        assert not shown()
        changed = "copilot_sync_last_change_timestamp_seconds"
        before = stack.metric(changed)
        stack.control.set_catalog(items=catalog)
        until(lambda: stack.metric(changed) > before, 20, "the catalog is published")
        published = time.monotonic()
        until(shown, 20, "LiteLLM serves the change")
        return time.monotonic() - published

    new = "github_copilot/brand-new-model"
    with Traffic(stack) as traffic:
        added = publish([*before, model("brand-new-model", output=4096)], lambda: limit(new) == 4096)
        assert stack.chat(new).status_code == 200
        changed = publish([*before, model("brand-new-model", output=8192)], lambda: limit(new) == 8192)
        removed = publish(before, lambda: new not in stack.models())
    print(f"served after {added:.2f}, {changed:.2f}, {removed:.2f} s; longest silence {traffic.longest_silence:.2f} s")
    assert max(added, changed, removed) < 3
    assert traffic.failures == [] and len(traffic.answers) > 20


def published(stack: Stack) -> dict[str, str]:
    """What is on the shared volume, without the time of the record, which is that of the last sync."""
    found = stack.listing("copilot-sync")
    found[RECORD] = " ".join(found[RECORD].split()[:4])
    return found


def test_an_unchanged_catalog_touches_nothing(first: FirstRun) -> None:
    """Further syncs of the same catalog leave every file on the shared volume as it is, but for the record's time."""
    stack = first.stack
    success = 'copilot_sync_total{result="success"}'
    count = stack.metric(success)
    until(lambda: stack.metric(success) > count, 20, "a sync")
    before = published(stack)
    assert "copilot_models.yaml" in before
    count = stack.metric(success)
    until(lambda: stack.metric(success) >= count + 2, 20, "two syncs")
    assert published(stack) == before


def test_a_killed_sidecar_comes_back_and_litellm_never_notices(first: FirstRun) -> None:
    """SIGKILL: the engine starts the sidecar again, it syncs, and LiteLLM answers every request meanwhile."""
    stack = first.stack
    life = stack.life("litellm", "github")
    restarts = stack.container("copilot-sync")["RestartCount"]
    with Traffic(stack) as traffic:
        until(lambda: len(traffic.answers) > 5, 30, "traffic")
        stack.kill_process("copilot-sync")
        until(
            lambda: stack.container("copilot-sync")["RestartCount"] == restarts + 1, 30, "the sidecar is started again"
        )
        until(lambda: stack.metric('copilot_sync_total{result="success"}') >= 1, 30, "the sidecar syncs")
        stack.wait_healthy("copilot-sync")
    assert traffic.failures == []
    print(f"{len(traffic.answers)} answers, longest silence {traffic.longest_silence:.2f} s")
    assert stack.life("litellm", "github") == life
    assert stack.models() == stack.published()


def test_a_killed_litellm_comes_back_with_all_models(first: FirstRun) -> None:
    """SIGKILL: the engine starts LiteLLM again; it serves every model, and nobody has to log in."""
    stack = first.stack
    life = stack.life("login", "copilot-sync")
    names = stack.models()
    restarts = stack.container("litellm")["RestartCount"]
    stack.kill_process("litellm")
    until(lambda: stack.container("litellm")["RestartCount"] == restarts + 1, 30, "LiteLLM is started again")
    stack.wait_alive()
    until(lambda: stack.models() == names, 30, "all models are back")
    assert stack.chat().status_code == 200
    assert stack.life("login", "copilot-sync") == life


# The tests from here on stop the stack.


def test_ctrl_c_and_up_again(first: FirstRun) -> None:
    """Ctrl-C ends `up`; after it `up` finds the login, says whose it is, and serves as before."""
    stack = first.stack
    names = stack.models()
    stack.keep_login()
    token = stack.listing("copilot-sync", "/github_auth")
    stack.ctrl_c()
    assert not any(stack.container(service)["State"]["Running"] for service in OURS)

    stack.up()
    assert stack.wait_exited("login") == 0
    assert "Already logged in as octocat" in stack.logs("login")
    assert not CODE.search(stack.logs("login").split("Already logged in")[0].split("Logged in as")[-1])
    stack.wait_alive()
    until(lambda: stack.models() == names, 30, "all models are back")
    assert stack.chat().status_code == 200
    assert stack.listing("copilot-sync", "/github_auth") == token


def test_down_and_up_again(first: FirstRun) -> None:
    """`down` keeps the volumes: after it `up --wait litellm` ends with the login and the models there."""
    stack = first.stack
    names = stack.models()
    assert names
    before = stack.listing("copilot-sync", "/github_auth"), published(stack)
    stack.compose("down")
    stack.up("github", "login")
    assert stack.wait_exited("login") == 0
    assert "Already logged in as octocat" in stack.logs("login") and not CODE.search(stack.logs("login"))
    stack.compose("up", "--wait", "--no-build", "litellm")
    assert stack.alive()
    until(lambda: stack.models() == names, 30, "all models are back")
    assert stack.chat().status_code == 200
    assert (stack.listing("copilot-sync", "/github_auth"), published(stack)) == before
