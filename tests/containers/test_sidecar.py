"""The image, and the sidecar's container without LiteLLM: signals, users, wrong settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
import requests
import yaml

from tests.containers.stack import BASE_IMAGE, CONFINED, CommandFailed, Stack, command, docker
from tests.support import canary
from tests.support.paths import ROOT
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
    assert labels["org.opencontainers.image.version"] == "", "one that somebody builds is of no version"
    assert about["Config"]["Healthcheck"]["Test"][-1] == "healthcheck"
    assert about["Config"]["Entrypoint"] == ["/app/entrypoint/sidecar.sh"]
    assert about["Config"]["User"] == "10001:10001"


def test_the_image_holds_no_more_than_it_needs(image: str, about: dict[str, Any]) -> None:
    """No curl, no pip or other installer, nothing that its user could change; libyaml, stripped, works."""
    base = json.loads(docker("image", "inspect", BASE_IMAGE))[0]["Size"]
    print(f"the image adds {(about['Size'] - base) / 1e6:.1f} MB to its base of {base / 1e6:.1f} MB")
    assert about["Size"] - base < 7e6
    script = """
        id -u
        for name in curl wget git gcc; do ! command -v $name || echo "$name is there"; done
        ls /venv/bin | grep -E 'pip|wheel|easy_install' || true
        python -c 'import pip' 2>/dev/null && echo 'pip can be imported' || true
        python -c 'import yaml; yaml.load(yaml.dump([1], Dumper=yaml.CSafeDumper), yaml.CSafeLoader)' 2>&1
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


def ends_at_once(stack: Stack) -> None:
    """`docker stop` now: exit code 0, long before the ten seconds after which Docker kills, by the engine's clock."""
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
    assert seconds < 5


def test_sigterm_while_waiting(stack: Stack) -> None:
    """SIGTERM between two syncs ends the service at once, with 0."""
    stack.up("copilot-sync")
    until(lambda: stack.metric(SUCCESS) >= 1, 20, "a sync")
    ends_at_once(stack)


def test_sigterm_while_syncing(stack: Stack) -> None:
    """SIGTERM while the catalog is being read from a GitHub that does not answer: the same; no file has changed."""
    stack.control.fail(path="/models", how="hang")
    count = stack.control.count("/models")
    stack.up("copilot-sync")
    until(lambda: stack.control.count("/models") > count, 20, "the sync hangs")
    before = stack.listing("copilot-sync")
    ends_at_once(stack)
    stack.control.heal()
    stack.up("copilot-sync")
    assert stack.listing("copilot-sync") == before


def test_sigterm_while_waiting_for_a_login(stacks: Callable[..., Stack]) -> None:
    """SIGTERM to a sidecar that waits for a token, and to a login that waits for a person: both end at once."""
    stack = stacks()
    stack.up("github", "copilot-sync", "login")
    until(lambda: "no sync: no access token" in stack.logs("copilot-sync"), 20, "the sidecar waits for a token")
    ends_at_once(stack)
    until(lambda: "Waiting for the login" in stack.logs("login"), 20, "the login waits")
    assert stack.confinement("login") == CONFINED
    docker("stop", "--time", "20", stack.container("login")["Id"])
    assert stack.wait_exited("login") == 143


STUCK = """
import threading
from sidecar import cli
from sidecar.service import loop, watchdog
watchdog.TICK, watchdog.PATIENCE, loop.SYNC_TIMEOUT = 0.1, 5, 0.1
loop.run_once = lambda *_: threading.Event().wait()
cli.entry()
"""


def test_a_stuck_service_is_started_again(image: str) -> None:
    """A loop that is stuck for good ends its process, and the policy that the compose file names starts it again."""
    policy = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]["copilot-sync"]["restart"]
    options = ("--detach", "--restart", policy, "--entrypoint", "/venv/bin/python")
    identity = docker("run", *options, image, "-c", STUCK, "run").strip()
    try:
        until(lambda: json.loads(docker("inspect", identity))[0]["RestartCount"], 60, "it is started again")
        log = command("docker", "logs", identity)
        assert "the loop is stuck" in log and '"work"' in log
    finally:
        docker("rm", "--force", identity)


def test_wrong_settings_are_named_and_change_nothing(stack: Stack) -> None:
    """`sync` with COPILOT_MODEL_SYNC_INTERVAL=abc: exit code 2, a message with its name, and nothing changes."""
    stack.up("copilot-sync")
    until(lambda: stack.metric(SUCCESS) >= 1, 20, "a sync")
    before = {path: stack.listing("copilot-sync", path) for path in ("/github_auth", "/shared")}
    assert all(before.values())
    with pytest.raises(CommandFailed, match="COPILOT_MODEL_SYNC_INTERVAL='abc' is not a whole number") as failure:
        stack.run("copilot-sync", "sync", COPILOT_MODEL_SYNC_INTERVAL="abc")
    assert failure.value.code == 2
    assert {path: stack.listing("copilot-sync", path) for path in before} == before


def test_up_with_wrong_settings_fails(stacks: Callable[..., Stack]) -> None:
    """`up` fails with a wrong setting; the sidecar stays, unhealthy, and says why, until it is mended."""
    wrong = {"COPILOT_MODEL_SYNC_INTERVAL": "abc", "SYNC_COPILOT_MODELS_ON_STARTUP": "perhaps"}
    stack = stacks(probe="1s", **wrong)
    with pytest.raises(CommandFailed, match="copilot-sync-1 is unhealthy"):
        stack.compose("up", "--wait", "--no-build", "litellm")
    assert not stack.container("litellm")["State"]["Running"]
    container = stack.container("copilot-sync")
    assert (container["State"]["Health"]["Status"], container["RestartCount"]) == ("unhealthy", 0)
    address = f"http://127.0.0.1:{stack.health_port}"
    log = stack.logs("copilot-sync")
    probed = container["State"]["Health"]["Log"][-1]["Output"]
    for said in (log, probed, requests.get(f"{address}/api/status", timeout=20).json()["text"]):
        assert all(f"{name}='{value}'" in said for name, value in wrong.items()), said
    assert log.count("service.failed") == 1
    assert requests.get(f"{address}/readyz", timeout=20).status_code == 503
    assert stack.shell("ls -A /shared") == ""
    stack.variables.update(dict.fromkeys(wrong, ""))
    stack.up("copilot-sync")
    until(lambda: "no sync: no access token" in stack.logs("copilot-sync"), 20, "it serves")
