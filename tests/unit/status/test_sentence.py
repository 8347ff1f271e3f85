"""The state in one sentence: each cause has its own name, what to do, and its place in the order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sidecar.errors import (
    AccessRefused,
    BadAnswer,
    LiteLLMError,
    LoginNeeded,
    LoginRefused,
    NoConnection,
    RateLimited,
    SidecarError,
    StorageError,
    Unreachable,
    UsageError,
)
from sidecar.github.login_code import LoginCode
from sidecar.models.credit import Credit, Quota
from sidecar.status.sentence import _KINDS, LEVELS, sentence
from sidecar.status.state import Status
from tests.support.paths import ROOT

from .test_workers import NEW, OLD, report


def test_every_state_is_in_the_docs():
    """And no other is."""
    source = Path(sentence.__code__.co_filename).read_text()
    named = (
        set(re.findall(r'Sentence\(\s*"(\w+)"', source)) | {state for state, _, _ in _KINDS.values()} | {"github_down"}
    )
    listed = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "status-page.md").read_text(), re.MULTILINE)
    assert sorted(set(listed) - {"state"}) == sorted(named) and len(listed) == len(set(listed))


@pytest.fixture
def status():
    """A service that is alive and has synced."""
    status = Status()
    status.beat(600)
    status.succeeded(1.0, changed=True, rows=[{"id": "m"}])
    return status


def said(status):
    found = sentence(status.view())
    assert found.level in LEVELS and found.text.endswith((".", "…")) and not found.text[0].islower()
    assert bool(found.cure) == (found.state not in {"fine", "starting", "login_waiting"})
    return found


def test_fine(status):
    """Nothing is the matter, and nothing is to be done."""
    assert said(status).state == "fine" and "1 model" in said(status).text


@pytest.mark.parametrize(
    ("error", "state", "cure"),
    [
        (LoginNeeded("no access token in /github_auth"), "login_needed", "docker compose run --rm login"),
        (LoginRefused("revoked"), "login_refused", "docker compose run --rm login"),
        (AccessRefused("403"), "no_subscription", "https://github.com/settings/copilot"),
        (NoConnection("no route"), "github_down", "HTTPS_PROXY"),
        (Unreachable("reset"), "github_down", "HTTPS_PROXY"),
        (BadAnswer("HTTP 502"), "github_down", "githubstatus"),
        (RateLimited("429"), "rate_limited", "COPILOT_MODEL_SYNC_INTERVAL"),
        (StorageError("no space left", hint="Make room."), "storage", "Make room"),
        (UsageError("line 3"), "settings", "docs/reference.md"),
        (LiteLLMError("it did not take it"), "litellm", "log"),
        (SidecarError("KeyError"), "defect", "report"),
    ],
)
def test_each_failure_is_named_with_its_cure(status, error, state, cure):
    """Since when, why, what to do, and that LiteLLM goes on; when it is over, all is well again."""
    status.failed(error)
    found = said(status)
    assert found.state == state and cure in found.cure and str(error) in found.text
    assert " since 20" in found.text and "LiteLLM keeps its 1 model." in found.text
    since = status.view().problem.since
    status.failed(error)
    assert status.view().problem.since == since
    status.succeeded(1.0, changed=False)
    assert said(status).state == "fine"


def test_a_login_is_waited_for(status):
    """The code and where to enter it come before everything that is the matter without a login."""
    status.failed(LoginNeeded("no access token"))
    status.note(login=LoginCode("ABCD-1234", "https://github.com/login/device", status.view().now + 60))
    found = said(status)
    assert found.state == "login_waiting" and "ABCD-1234" in found.text and "github.com/login/device" in found.text


def test_the_code_ran_out(status):
    """A code that nobody entered is said to be over, until there is a login."""
    status.note(login=LoginCode("ABCD-1234", "https://github.com/login/device", status.view().now - 1))
    assert said(status).state == "fine"
    status.failed(LoginNeeded("no access token"))
    found = said(status)
    assert found.state == "login_code_expired" and "ABCD" not in found.text and "run --rm login" in found.cure


def test_what_the_workers_say(status):
    """In step it is said that LiteLLM serves the models; a worker that is behind comes before GitHub's trouble."""
    assert status.receive(report()) == ""
    assert "LiteLLM serves the 1 model" in said(status).text
    now = status.view().now
    status.workers.published(NEW, now - 1000)
    status.failed(Unreachable("reset"))
    for ago, problem in ((50, ""), (0, "no room")):
        assert said(status).state == "github_down", "it has some time"
        status.workers.receive(report(digest=OLD, problem=problem), now - ago)
    found = said(status)
    assert found.state == "worker_out_of_step" and "1 of 1 LiteLLM worker out of step" in found.text
    assert "no room" in found.text and "doctor" in found.cure


def test_litellm_is_gone(status):
    """Once a worker has reported, silence is a state; without any report nothing is known of it."""
    assert said(status).state == "fine"
    status.note(last_heard=status.view().now - 100)
    found = said(status)
    assert found.state == "litellm_gone" and "docker compose logs litellm" in found.cure


@pytest.mark.parametrize(
    ("quota", "gone"),
    [
        (Quota("premium_interactions", 0.0, 300, 0), True),
        (Quota("premium_interactions", 0.0, 300, -5), True),
        (Quota("premium_interactions", 0.0, 300, -5, overage_permitted=True), False),
        (Quota("premium_interactions", 0.01, 300, 3), False),
        (Quota("chat", unlimited=True), False),
        (Quota("chat"), False),
    ],
)
def test_the_credit_is_gone(status, quota, gone):
    """Used up is what is refused; what is billed on top, or unlimited, or unknown, is not."""
    status.note(credit=Credit(quotas=(quota,), resets_at="2026-12-01"))
    found = said(status)
    assert (found.state == "credit_gone") is gone and (not gone or "until 2026-12-01" in found.text)


def test_a_loop_that_is_stuck(status):
    """Whatever else there is: nobody would know."""
    status.failed(Unreachable("reset"))
    status.beat(-1)
    assert said(status).state == "stuck"


def test_before_the_first_sync_and_on_standby():
    """Neither is a trouble."""
    status = Status()
    status.beat(600)
    assert said(status).state == "starting"
    status.note(leads=False)
    assert said(status).state == "standby"


def test_an_implausible_loss(status):
    """Models that are kept against the catalog are said, with how to let them go."""
    status.succeeded(1.0, changed=False, loss="the catalog has lost 3 of 4 models")
    found = said(status)
    assert found.state == "implausible_loss" and "--accept-loss" in found.cure and "lost 3 of 4" in found.text
