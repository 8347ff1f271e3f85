"""GitHub is away while everything starts; and LiteLLM with a key of the user's, on the volumes of an earlier run."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.containers.stack import MODEL, Stack
from tests.support import canary
from tests.support.waiting import until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

KEY = canary.new("k")


@pytest.fixture(scope="module")
def stack(lasting_stacks: Callable[..., Stack]) -> Stack:
    """A stack with a login, and without GitHub."""
    made = lasting_stacks(token=canary.new("a"))
    made.write_token(1000)
    return made


def test_offline_at_start(stack: Stack) -> None:
    """Sidecar and LiteLLM start without GitHub; within 5 s of its return all models serve, with no restart."""
    stack.up("copilot-sync", "litellm")
    assert stack.container("copilot-sync")["State"]["Health"]["Status"] == "healthy"
    stack.wait_alive()
    assert stack.models() == set()
    assert stack.chat().status_code >= 400
    assert "no sync: no answer from github" in stack.logs("copilot-sync")
    lives = stack.life("copilot-sync", "litellm")

    stack.up("--no-recreate", "github")
    until(stack.control.healthy, 30, "GitHub is back", every=0.02)
    back = time.monotonic()
    until(lambda: MODEL in stack.models(), 20, "LiteLLM has models")
    until(lambda: stack.chat().status_code == 200, 20, "a chat completion")
    until(lambda: stack.models() == stack.published(), 20, "LiteLLM has all models")
    seconds = time.monotonic() - back
    print(f"all models {seconds:.2f} s after GitHub's return")
    assert seconds < 5
    assert stack.life("copilot-sync", "litellm") == lives
    assert all(restarts == 0 for _, _, restarts in lives.values())


def test_the_volume_of_an_earlier_run_serves_without_github(stack: Stack) -> None:
    """New containers on filled volumes list all models though GitHub is away; without the key nobody gets in."""
    stack.up("github", "copilot-sync")
    until(lambda: stack.metric('copilot_sync_total{result="success"}') >= 1, 30, "a sync")
    before, names = stack.listing("copilot-sync"), stack.published()
    assert MODEL in names
    made = stack.key
    stack.compose("rm", "--stop", "--force", "github", "copilot-sync", "litellm")
    stack.variables["LITELLM_MASTER_KEY"] = KEY
    stack.up("copilot-sync", "litellm")
    stack.wait_alive()
    until(lambda: stack.models() == names, 30, "LiteLLM lists the models of the earlier run")
    assert stack.listing("copilot-sync") == before
    for answer in (stack.request("GET", "/v1/models", key=False), stack.chat(key=False)):
        # A LiteLLM from PyPI, without the `prisma` package of the stock image, says 500 where that says 401.
        assert answer.status_code in {401, 500} and MODEL not in answer.text
    # Without a database there is no other key that could be right, and LiteLLM says just that. The key that was made
    # before is none any more, either.
    for key in (canary.new("k"), made):
        wrong = stack.request("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})
        assert wrong.status_code in {400, 401, 500} and MODEL not in wrong.text

    stack.up("--no-recreate", "github")
    until(lambda: stack.chat().status_code == 200, 20, "a chat completion with the key", every=0.5)
