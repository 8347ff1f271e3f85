"""The image, and the sidecar's container without LiteLLM: signals, users, wrong settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.containers.stack import BASE_IMAGE, CONFINED, CommandFailed, Stack, docker
from tests.support import canary
from tests.support.waiting import until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

SUCCESS = 'copilot_sync_total{result="success"}'


@pytest.fixture(scope="module")
def about(image: str) -> dict[str, Any]:
    """``docker image inspect`` of the sidecar image."""
    return dict(json.loads(docker("image", "inspect", image))[0])


def test_the_image_says_what_it_is(about: dict[str, Any]) -> None:
    """OCI labels, a health check, an entry point, and a user who is not root."""
    labels = about["Config"]["Labels"]
    for name in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{name}" in labels
    assert labels["org.opencontainers.image.version"] == "0.1.0"
    assert about["Config"]["Healthcheck"]["Test"][-1] == "healthcheck"
    assert about["Config"]["Entrypoint"] == ["/app/entrypoint/sidecar.sh"]
    assert about["Config"]["User"] == "10001:10001"


def test_the_image_holds_no_more_than_it_needs(image: str, about: dict[str, Any]) -> None:
    """No curl, no pip or other installer in the virtual environment, nothing that its user could change."""
    base = json.loads(docker("image", "inspect", BASE_IMAGE))[0]["Size"]
    print(f"the image adds {(about['Size'] - base) / 1e6:.1f} MB to its base of {base / 1e6:.1f} MB")
    assert about["Size"] - base < 40e6
    script = """
        id -u
        for name in curl wget git gcc; do ! command -v $name || echo "$name is there"; done
        ls /venv/bin | grep -E 'pip|wheel|easy_install' || true
        python -c 'import pip' 2>/dev/null && echo 'pip can be imported' || true
        find / -xdev -writable ! -type l ! -path '/proc/*' ! -path '/sys/*' ! -path '/dev/*' 2>/dev/null || true
    """
    options = ("--rm", "--entrypoint", "/bin/sh")
    uid, *found = docker("run", *options, image, "-uc", script).split("\n")
    assert uid == "10001"
    own = ("/github_auth", "/shared", "/keys", "/tmp", "/var/tmp", "/run/lock", "/var/lock")
    assert [line for line in found if line and line not in own] == []


def test_any_uid_on_a_read_only_file_system(image: str, stacks: Callable[..., Stack]) -> None:
    """`sync` works as uid 12345 without root, without any capability and with nothing writable but /shared."""
    stack = stacks(token=canary.new("a"))
    stack.up("github")
    until(stack.control.healthy, 20, "the stand-in is up")
    # The engine gives an empty volume the owner that the image's directory has, each time that it is mounted.
    stack.write_token(12345, directory="chown 12345:0 . /shared; chmod 0700 .; touch /shared/filled")
    with canary.may_see("a", "the stand-in's own arguments are in it"):
        config = json.loads(stack.compose("config", "--format", "json", only_stdout=True))
    service = config["services"]["copilot-sync"]
    variables = {key: value for key, value in service["environment"].items() if "://github" in (value or "")}
    words = ["run", "--rm", "--user", "12345:0", "--read-only", "--cap-drop", "ALL"]
    words += ["--security-opt", "no-new-privileges", "--network", f"{stack.project}_default"]
    words += ["--volume", f"{stack.project}_github_auth:/github_auth:ro", "--volume", f"{stack.project}_shared:/shared"]
    words += ["--env", "COPILOT_INSECURE_HTTP=true", *(f"--env={name}={value}" for name, value in variables.items())]
    said = docker(*words, image, "sync")
    assert "added github_copilot/claude-sonnet-4.6" in said
    assert "up to date" in docker(*words, image, "sync")
    assert stack.shell("stat -c '%u %a' /shared/copilot_models.yaml").strip() == "12345 644"


@pytest.fixture(scope="module")
def stack(lasting_stacks: Callable[..., Stack]) -> Stack:
    """The stand-in and a token; the sidecar is up when a test has said so."""
    made = lasting_stacks(token=canary.new("a"))
    made.write_token(1001)
    made.up("github")
    return made


def ends_within_a_second(stack: Stack) -> None:
    """`docker stop` now: exit code 0, within a second of the signal, by the engine's own clock."""
    identity = stack.container("copilot-sync")["Id"]
    docker("stop", "--time", "20", identity)
    state = stack.container("copilot-sync")["State"]
    assert state["ExitCode"] == 0, stack.logs("copilot-sync")[-2000:]
    events = docker(
        *("events", "--since", state["StartedAt"], "--until", state["FinishedAt"], "--format", "{{json .}}"),
        *("--filter", f"container={identity}", "--filter", "event=kill"),
    )
    sent = [json.loads(line) for line in events.splitlines()]
    assert [event["Actor"]["Attributes"]["signal"] for event in sent] == ["15"]
    seconds = datetime.fromisoformat(state["FinishedAt"]).timestamp() - sent[0]["timeNano"] / 1e9
    print(f"ended {seconds:.2f} s after SIGTERM")
    assert seconds < 1


def test_sigterm_while_waiting(stack: Stack) -> None:
    """SIGTERM between two syncs ends the service at once, with 0."""
    stack.up("copilot-sync")
    until(lambda: stack.metric(SUCCESS) >= 1, 20, "a sync")
    ends_within_a_second(stack)


def test_sigterm_while_syncing(stack: Stack) -> None:
    """SIGTERM while the catalog is being read from a GitHub that does not answer: the same; no file has changed."""
    stack.control.fail(path="/models", how="hang")
    count = stack.control.count("/models")
    stack.up("copilot-sync")
    until(lambda: stack.control.count("/models") > count, 20, "the sync hangs")
    before = stack.listing("copilot-sync")
    ends_within_a_second(stack)
    stack.control.heal()
    stack.up("copilot-sync")
    assert stack.listing("copilot-sync") == before


def test_sigterm_while_waiting_for_a_login(stacks: Callable[..., Stack]) -> None:
    """SIGTERM to a sidecar that waits for a token, and to a login that waits for a person: both end at once."""
    stack = stacks()
    stack.up("github", "copilot-sync", "login")
    until(lambda: "no sync: no access token" in stack.logs("copilot-sync"), 20, "the sidecar waits for a token")
    ends_within_a_second(stack)
    until(lambda: "Waiting for the login" in stack.logs("login"), 20, "the login waits")
    assert stack.confinement("login") == CONFINED
    docker("stop", "--time", "20", stack.container("login")["Id"])
    assert stack.wait_exited("login") == 143


def test_wrong_settings_are_named_and_change_nothing(stack: Stack) -> None:
    """COPILOT_MODEL_SYNC_INTERVAL=abc: exit code 2, a message with its name, and the volumes stay as they are."""
    stack.up("copilot-sync")
    until(lambda: stack.metric(SUCCESS) >= 1, 20, "a sync")
    before = {path: stack.listing("copilot-sync", path) for path in ("/github_auth", "/shared")}
    assert all(before.values())
    with pytest.raises(CommandFailed, match="COPILOT_MODEL_SYNC_INTERVAL='abc' is not a whole number") as failure:
        stack.run("copilot-sync", COPILOT_MODEL_SYNC_INTERVAL="abc")
    assert failure.value.code == 2
    assert {path: stack.listing("copilot-sync", path) for path in before} == before


def test_up_with_wrong_settings_fails(stacks: Callable[..., Stack]) -> None:
    """`up` itself fails with a wrong setting: LiteLLM is not started, and the sidecar's log says why."""
    stack = stacks(COPILOT_MODEL_SYNC_INTERVAL="abc", SYNC_COPILOT_MODELS_ON_STARTUP="perhaps")
    with pytest.raises(CommandFailed, match="copilot-sync"):
        stack.up()
    log = stack.logs("copilot-sync")
    assert "COPILOT_MODEL_SYNC_INTERVAL='abc'" in log and "SYNC_COPILOT_MODELS_ON_STARTUP='perhaps'" in log
    assert not stack.container("litellm")["State"]["Running"]
    assert stack.shell("ls -A /shared") == ""
