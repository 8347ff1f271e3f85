"""A token that is there already, whoever owns it: nothing has to be edited, and it stays as it is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.containers.stack import CONFINED, MODEL, READS_ALL, Stack, docker
from tests.support import canary
from tests.support.paths import ROOT
from tests.support.waiting import until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

TOKEN = canary.new("a")
SUCCESS = 'copilot_sync_total{result="success"}'


@pytest.fixture
def host_directory(image: str, tmp_path: Path) -> Iterator[Path]:
    """A directory of this machine; what containers leave in it is ours again in the end."""
    directory = tmp_path / "tokens"
    directory.mkdir()
    yield directory
    owner = f"{os.getuid()}:{os.getgid()}"
    options = ("--rm", "--user", "0", "--volume", f"{directory}:/tokens", "--entrypoint", "chown")
    docker("run", *options, image, "-R", owner, "/tokens")


def about(stack: Stack, path: str) -> str:
    return stack.exec("copilot-sync", "stat", "-c", "%u %a", path).strip()


@pytest.mark.parametrize("uid", [0, 1000])
def test_a_token_in_the_volume_is_used_as_it_is(stacks: Callable[..., Stack], uid: int) -> None:
    """0600 of root or of uid 1000 in the volume: `up` finds it, the sidecar runs as its owner, LiteLLM serves."""
    stack = stacks(token=TOKEN)
    stack.write_token(uid)
    serves_with_nothing_edited(stack, uid)


def test_a_token_in_a_directory_of_the_host_is_used_as_it_is(
    stacks: Callable[..., Stack], host_directory: Path
) -> None:
    """0600 of uid 1001 in a directory (0700) of the same user, given as GITHUB_COPILOT_AUTH: the same."""
    stack = stacks(token=TOKEN, GITHUB_COPILOT_AUTH=str(host_directory))
    stack.write_token(1001, directory="chown 1001:1001 .; chmod 0700 .")
    serves_with_nothing_edited(stack, 1001)
    assert about(stack, "/github_auth") == "1001 700"


def serves_with_nothing_edited(stack: Stack, uid: int) -> None:
    before = stack.shell("stat -c '%i %y' /github_auth/access-token")
    stack.up()
    assert stack.wait_exited("login") == 0
    assert "Already logged in as octocat" in stack.logs("login")
    stack.wait_alive()
    assert MODEL in stack.wait_served(10)
    assert stack.chat().status_code == 200
    runs_as(stack, uid)
    assert stack.exec("copilot-sync", "stat", "-c", "%i %y", "/github_auth/access-token") == before
    assert {key: life[2] for key, life in stack.life("copilot-sync", "litellm").items()} == {
        "copilot-sync": 0,
        "litellm": 0,
    }


def runs_as(stack: Stack, uid: int) -> None:
    """The sidecar is the token's owner and can get no other right; the token is 0600 and still its owner's."""
    status = stack.exec("copilot-sync", "cat", "/proc/1/status")
    assert [line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")] == [[str(uid)] * 4]
    assert stack.confinement("copilot-sync") == CONFINED
    assert about(stack, "/github_auth/access-token") == f"{uid} 600"


def sidecar_and_litellm_read_it(stack: Stack) -> None:
    stack.up("github", "copilot-sync")
    until(lambda: stack.metric(SUCCESS) >= 1, 20, "a sync")
    with canary.may_see("a", "LiteLLM reads it"):
        read = stack.compose(
            *("run", "--rm", "--no-deps", "-T", "--entrypoint", "cat", "litellm", "/github_auth/access-token"),
            only_stdout=True,
        )
    assert read == TOKEN


@pytest.mark.parametrize(
    ("uid", "directory"),
    [(1001, "true"), (1000, "chown 0:0 .; chmod 0755 ."), (1001, "chown 1001:1001 .; chmod 0700 .")],
    ids=["made by compose", "of root", "of the same user"],
)
def test_the_volume_may_belong_to_anybody(stacks: Callable[..., Stack], uid: int, directory: str) -> None:
    """A token of uid 1000 or 1001 is read by both containers, whoever owns the directory of the volume."""
    stack = stacks(token=TOKEN)
    stack.write_token(uid, directory=directory)
    sidecar_and_litellm_read_it(stack)
    runs_as(stack, uid)


def test_a_token_of_another_owner_is_taken_up(stacks: Callable[..., Stack]) -> None:
    """A token put in while the sidecar runs, of uid 1001 and then of root: it becomes that user, each time once."""
    stack = stacks(token=TOKEN)
    stack.up("github", "copilot-sync")
    until(lambda: stack.metric('copilot_sync_total{result="LoginNeeded"}') >= 1, 20, "it waits for a token")

    def restarts() -> int:
        return int(stack.container("copilot-sync")["RestartCount"])

    for count, uid in enumerate((1001, 0), 1):
        stack.write_token(uid)
        until(lambda: restarts() >= count and stack.metric(SUCCESS) >= 1, 30, "a sync as the new owner")  # noqa: B023
        runs_as(stack, uid)
        assert restarts() == count


def test_a_token_of_root_in_a_closed_directory_of_a_user(stacks: Callable[..., Stack], host_directory: Path) -> None:
    """A token that a container wrote as root into a user's own directory (0700): it works, with the right to read."""
    stack = stacks(token=TOKEN, GITHUB_COPILOT_AUTH=str(host_directory))
    stack.write_token(0, directory="chown 1000:1000 .; chmod 0700 .")
    sidecar_and_litellm_read_it(stack)
    assert about(stack, "/github_auth/access-token") == "0 600" and about(stack, "/github_auth") == "1000 700"
    assert stack.confinement("copilot-sync") == READS_ALL


def test_a_revoked_token_of_another_user_is_replaced(stacks: Callable[..., Stack]) -> None:
    """`login` can replace root's token in a directory that is not root's, the sidecar goes on, `logout` removes it."""
    stack = stacks(token=TOKEN)
    stack.write_token(0)
    stack.up("github", "copilot-sync")
    until(lambda: stack.metric(SUCCESS) >= 1, 20, "a sync")
    stack.control.revoke(token=TOKEN)
    stack.control.device_flow(mode="approve", interval=1)
    said = stack.run("login")
    assert "a new login is needed" in said and "Logged in as octocat" in said
    with canary.may_see("a", "the new one"):
        assert stack.exec("copilot-sync", "cat", "/github_auth/access-token") != TOKEN
    stack.compose("restart", "--timeout", "2", "copilot-sync")
    until(lambda: stack.metric(SUCCESS) >= 1, 20, "a sync with the new token")
    runs_as(stack, 0)
    assert "Next: `docker compose up -d`" in said
    assert "Removed /github_auth/access-token" in stack.run("login", "logout")
    assert "access-token" not in stack.exec("copilot-sync", "ls", "-A", "/github_auth")


def test_a_clone_that_only_its_owner_can_read(stacks: Callable[..., Stack], tmp_path: Path) -> None:
    """A clone made with umask 077: every container, the demo's too, reads what it needs and may write none of it."""
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("docker-compose.yml", "docker-compose.demo.yml", "config.yaml"):
        shutil.copy(ROOT / name, clone)
    for name in ("custom", "tests/fakes"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    (clone / "tests" / "__init__.py").touch()
    for path in (clone, *clone.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    stack = stacks(token=TOKEN, clone=clone)
    stack.write_token(os.getuid() + 1000)
    sidecar_and_litellm_read_it(stack)
    assert stack.confinement("copilot-sync") == READS_ALL
    read = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "cat", "litellm", "/app/config.yaml")
    assert stack.compose(*read, only_stdout=True) == (clone / "config.yaml").read_text()
