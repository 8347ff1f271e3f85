"""The device login: what a person sees, what is stored, and how each way of failing ends."""

from __future__ import annotations

import io
import json
import os
import signal
import stat

import pytest

from sidecar.cli import main
from sidecar.cli.login import next_steps
from sidecar.errors import AccessRefused, LoginNeeded, SidecarError, Stopped, StorageError, UpstreamError, UsageError
from sidecar.github.login import MAX_CODES, log_in
from sidecar.settings import Settings
from tests.support import canary
from tests.support.files import unprivileged
from tests.support.github_paths import DEVICE, EXCHANGE, MODELS, POLL, USER
from tests.support.waiting import Quick, until

GITHUB_CLI = "178c6fc778ccc68e1d6a"


def logged_in(bench, stop=None, error=None, force=False, **changes):
    """Run a login in this process; what it said, without a secret in it."""
    out = io.StringIO()
    try:
        if error:
            with pytest.raises(error) as caught:
                log_in(bench.settings(**changes), stop or Quick(), out, force=force)
            assert type(caught.value) is error
            out.write(f"\n{caught.value}\n{caught.value.hint}")
        else:
            log_in(bench.settings(**changes), stop or Quick(), out, force=force)
    finally:
        canary.search("what is said", out.getvalue())
    return out.getvalue()


def test_login(bench):
    """The address and the code stand out, the token is stored for LiteLLM, and it is said whose it is."""
    bench.gh.device_flow(mode="approve")
    said = logged_in(bench)
    (code,) = bench.gh.device.codes.values()
    assert f"    {code.user_code} " in said and f"    {bench.gh.url}/login/device " in said
    assert "octocat" in said and "Waiting" in said and str(bench.token_file) in said
    assert bench.gh.owner(bench.token_file.read_text()) == "octocat"
    assert stat.S_IMODE(bench.token_file.stat().st_mode) == 0o600
    assert os.listdir(bench.tokens) == ["access-token"] and not bench.gh.refusals


def test_request(bench):
    """GitHub is asked for as little as possible, with the client id that is set."""
    bench.gh.device_flow(mode="approve")
    logged_in(bench)
    (request,) = bench.gh.requests_to(DEVICE)
    assert request.body == {"client_id": "Iv1.b507a08c87ecfe98", "scope": "read:user"}


def test_pending_then_approved(bench):
    """Polling goes on at GitHub's interval until the person agrees."""
    bench.gh.device_flow(interval=7)
    bench.gh.fail(POLL, body={"error": "authorization_pending"}, times=3)
    stop = Quick(at=4, do=bench.gh.approve)
    logged_in(bench, stop)
    assert stop.waits == [7, 7, 7, 7]


def test_slow_down(bench):
    """When GitHub says so, polling slows down by five seconds, or to the interval that GitHub names."""
    bench.gh.device_flow(mode="approve", interval=5)
    bench.gh.fail(POLL, body={"error": "slow_down", "interval": 30}, times=1)
    bench.gh.fail(POLL, body={"error": "slow_down"}, times=1)
    stop = Quick()
    logged_in(bench, stop)
    assert stop.waits == [5, 10, 30]


def test_expired(bench):
    """A code that ran out is followed by a new one, with which the login works."""

    def expire():
        bench.gh.expire_device_code()
        bench.gh.device_flow(mode="approve")

    said = logged_in(bench, Quick(at=1, do=expire))
    first, second = (code.user_code for code in bench.gh.device.codes.values())
    assert said.index(first) < said.index("has expired") < said.index(second) and bench.token_file.exists()


def test_nobody_comes(bench):
    """After some codes the login gives up, with a message that says how to try again."""
    bench.gh.device_flow(mode="expire")
    said = logged_in(bench, error=LoginNeeded)
    assert bench.gh.count(DEVICE) == MAX_CODES and "nobody" in said and not bench.token_file.exists()


@pytest.mark.parametrize(
    ("mode", "error", "said"),
    [("deny", LoginNeeded, "declined in the browser"), ("disabled", UsageError, "device_flow_disabled")],
)
def test_refused(bench, mode, error, said):
    """A login that is declined, or an app that may not, ends with GitHub's reason."""
    bench.gh.device_flow(mode=mode)
    assert said in logged_in(bench, error=error) and os.listdir(bench.tokens) == []


def test_disabled_while_waiting(bench):
    """An error that comes with a poll ends the login with its text."""
    bench.gh.fail(POLL, body={"error": "new\x1b[31m_error", "error_description": "Try\nsomething else."})
    assert r"new\x1b[31m_error): Try\nsomething else." in logged_in(bench, error=LoginNeeded)


def test_wrong_client(bench):
    """A client id that GitHub does not know is an error that names it and the variable."""
    said = logged_in(bench, error=UsageError, GITHUB_COPILOT_CLIENT_ID="Iv1.unknown")
    assert "GITHUB_COPILOT_CLIENT_ID='Iv1.unknown'" in said
    assert os.listdir(bench.tokens) == []


@pytest.mark.parametrize("fault", [{"status": 503}, {"how": "reset"}, {"how": "garbage"}, {"status": 429}])
def test_github_fails_while_waiting(bench, fault):
    """A poll that fails is said and does not end the wait."""
    bench.gh.device_flow(mode="approve")
    bench.gh.fail(POLL, times=2, **fault)
    said = logged_in(bench)
    assert said.count("still waiting") == 2 and bench.token_file.exists()


@pytest.mark.parametrize("fault", [{"status": 503}, {"how": "reset"}, {"how": "garbage"}, {"body": {"user_code": "x"}}])
def test_no_code(bench, fault):
    """Without a code the login fails after some tries, and shows no empty box."""
    bench.gh.fail(DEVICE, **fault)
    with pytest.raises(UpstreamError):
        log_in(bench.settings(), Quick(), out := io.StringIO())
    assert bench.gh.count(DEVICE) == 3 and "###" not in out.getvalue()


def test_logged_in_already(bench):
    """With a working token there is nothing to do but to say whose it is."""
    token = bench.log_in(login="hubot")
    assert "Already logged in as hubot" in logged_in(bench)
    assert bench.token_file.read_text() == token and bench.gh.count(DEVICE) == 0


def test_token_in_the_environment_is_not_enough(bench):
    """LiteLLM reads the directory: a token in GITHUB_TOKEN does not make a login unnecessary."""
    bench.gh.device_flow(mode="approve")
    logged_in(bench, GITHUB_TOKEN=bench.gh.new_access_token())
    assert bench.token_file.exists()


@pytest.mark.parametrize("kind", ["revoked", "gho_", "ghu_404"])
def test_token_that_does_not_work(bench, kind):
    """A token that is revoked, or another app's, is replaced by a new login."""
    token = bench.log_in(kind="gho_" if kind == "gho_" else "ghu_")
    if kind == "revoked":
        bench.gh.revoke(token)
    if kind == "ghu_404":
        bench.gh.fail(EXCHANGE, status=404, times=1)
    bench.gh.device_flow(mode="approve")
    assert "a new login is needed" in logged_in(bench)
    assert bench.gh.owner(bench.token_file.read_text()) == "octocat" and bench.token_file.read_text() != token


@pytest.mark.parametrize("login_name", ["octocat", "bob404"])
@pytest.mark.parametrize("there", [False, True])
def test_no_subscription(bench, there, login_name):
    """An account without Copilot is told so in GitHub's words; a new login would not help it."""
    bench.gh.set(login=login_name)
    if there:
        bench.log_in()
    bench.gh.no_subscription()
    bench.gh.device_flow(mode="approve")
    said = logged_in(bench, error=AccessRefused)
    assert f"No access to GitHub Copilot found. You are currently logged in as {login_name}." in said
    assert bench.gh.count(DEVICE) == (0 if there else 1) and "github.com/settings/copilot" in said


def test_github_down_with_a_token(bench):
    """A token that cannot be checked now is left alone: the containers that wait for the login may start."""
    bench.log_in()
    bench.gh.down()
    assert "not checked" in logged_in(bench)


def test_rate_limit_with_a_token(bench):
    """A rate limit is no reason to log in again."""
    bench.log_in()
    bench.gh.rate_limit(5)
    assert "not checked" in logged_in(bench) and bench.gh.count(DEVICE) == 0


def test_github_down_after_the_login(bench):
    """A token that was got is stored before anything else is asked, so that nobody has to log in twice."""
    bench.gh.device_flow(mode="approve")
    bench.gh.fail(USER, status=500)
    bench.gh.fail(EXCHANGE, status=500)
    with pytest.raises(UpstreamError):
        log_in(bench.settings(), Quick(), io.StringIO())
    assert bench.gh.owner(bench.token_file.read_text()) == "octocat"


def test_read_only_directory(bench, outside):
    """Where the token could not be stored, nobody is asked to log in."""
    outside.chmod(0o555)
    out = io.StringIO()
    with unprivileged(), pytest.raises(StorageError, match="cannot be written"):
        log_in(bench.settings(GITHUB_COPILOT_TOKEN_DIR=str(outside)), Quick(), out)
    assert bench.gh.requests == [] and out.getvalue() == ""


def test_stopped_while_waiting(bench):
    """The stop event ends the wait."""
    stop = Quick()
    stop.do, stop.at = stop.set, 2
    with pytest.raises(Stopped):
        log_in(bench.settings(), stop, io.StringIO())
    assert bench.gh.count(POLL) == 1


@pytest.mark.parametrize("value", [None, "5", 0, -1, 10**9, True])
def test_interval_that_is_none(bench, value):
    """An interval or a lifetime that makes no sense is replaced by GitHub's usual one."""
    code = {"device_code": "0123456789", "user_code": "AB-12", "verification_uri": "https://x", "interval": value}
    bench.gh.fail(DEVICE, body={**code, "expires_in": value})
    bench.gh.fail(POLL, body={"error": "access_denied"})
    stop = Quick()
    logged_in(bench, stop, error=LoginNeeded)
    assert stop.waits == [5]


def test_also_as_json(bench):
    """The token can be stored as JSON too, for those who read it there."""
    bench.gh.device_flow(mode="approve")
    log_in(bench.settings(), Quick(), io.StringIO(), as_json=True)
    assert sorted(os.listdir(bench.tokens)) == ["access-token", "github_token.json"]


def test_as_a_process(bench):
    """The command waits for the person, stores the token and ends with 0."""
    bench.gh.device_flow(interval=1)
    process = bench.start("login").saw("Waiting for the login")
    until(lambda: bench.gh.approve())
    assert process.end() == 0 and "Logged in as octocat" in process.stdout and process.stderr == ""
    assert bench.start("login").saw("Already logged in as octocat").end() == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(bench, number, code):
    """Ctrl-C in mid-wait ends the login within a second, quietly."""
    process = bench.start("login").saw("Waiting for the login")
    assert (process.ends_at_once(number), process.stderr) == (code, "")
    assert os.listdir(bench.tokens) == []


def test_refused_as_a_process(bench):
    """The command ends with 3 and GitHub's text, on standard error."""
    bench.log_in()
    bench.gh.no_subscription()
    process = bench.run("login")
    assert process.code == 3 and "No access to GitHub Copilot found" in process.stderr
    assert "Traceback" not in process.stderr


def test_every_failure_is_the_package_s_own(bench):
    """Whatever GitHub answers to a poll, the login ends with an error of the package or goes on."""
    for body in ([], {}, {"error": 5}, {"error": None}, {"access_token": 5}, {"access_token": ""}, {"error": {"x": 1}}):
        bench.gh.heal()
        bench.gh.fail(POLL, body={"error": "access_denied"})
        bench.gh.fail(POLL, body=body, times=1)
        with pytest.raises(SidecarError):
            log_in(bench.settings(), Quick(), io.StringIO())


def test_a_failing_github_is_polled_less_and_less_often(bench):
    """Up to once a minute, or as it asks."""
    bench.gh.device_flow(mode="approve", interval=5)
    bench.gh.fail(POLL, status=503, times=13)
    bench.gh.fail(POLL, status=503, headers={"Retry-After": "77"}, times=1)
    stop = Quick()
    logged_in(bench, stop)
    asked = [wait for wait in stop.waits if wait >= 5]
    assert asked[:2] == [5, 77] and asked[2:15] == [60] * 13 and bench.token_file.exists()


def test_without_a_network_polling_goes_on_at_its_interval(bench, monkeypatch):
    """It bothers nobody, and whoever waits sees the login work as soon as it can."""
    bench.gh.device_flow(mode="approve", interval=5)
    monkeypatch.setattr("sidecar.github.login._show", lambda code, say: bench.gh.down())
    stop = Quick(at=4, do=bench.gh.up)
    assert logged_in(bench, stop).count("still waiting") == 3
    assert stop.waits[:4] == [5, 5, 5, 5] and bench.token_file.exists()


def test_a_new_login_although_the_token_works(bench):
    """It is asked for; the old token stays until there is a new one, which then is in both files."""
    old = bench.log_in()
    log_in(bench.settings(), Quick(), io.StringIO(), as_json=True)
    bench.gh.device_flow(mode="deny")
    logged_in(bench, error=LoginNeeded, force=True)
    assert bench.token_file.read_text() == old
    bench.gh.device_flow(mode="approve")
    seen = []
    stop = Quick(at=1, do=lambda: seen.append(bench.token_file.read_text()))
    assert "Already" not in logged_in(bench, stop, force=True)
    new = bench.token_file.read_text()
    assert seen == [old] and new != old and bench.gh.owner(new) == "octocat"
    assert json.loads((bench.tokens / "github_token.json").read_text()) == {"access_token": new}


def test_a_client_id_whose_tokens_litellm_cannot_use(bench):
    """It is said at the login, with the cure, and the token that works stays."""
    bench.gh.device_flow(mode="approve")
    said = logged_in(bench, error=UsageError, GITHUB_COPILOT_CLIENT_ID=GITHUB_CLI)
    assert f"LiteLLM cannot use a token of the OAuth app of GITHUB_COPILOT_CLIENT_ID='{GITHUB_CLI}'" in said
    assert "Unset GITHUB_COPILOT_CLIENT_ID" in said and os.listdir(bench.tokens) == []
    old = bench.log_in()
    logged_in(bench, error=UsageError, force=True, GITHUB_COPILOT_CLIENT_ID=GITHUB_CLI)
    assert bench.token_file.read_text() == old


def test_a_kind_of_token_that_github_does_not_exchange(bench):
    """What has the prefix of the usual app, but is of another, is found out by the exchange."""
    bench.gh.device_flow(mode="approve")
    bench.gh.fail(EXCHANGE, status=404)
    assert "nothing was stored" in logged_in(bench, error=UsageError) and not bench.token_file.exists()


def test_a_header_that_copilot_refuses(bench):
    """A setting that can be corrected is no fault of the token: it is stored, and nobody has to log in twice."""
    bench.gh.device_flow(mode="approve")
    bench.gh.fail(EXCHANGE, status=400, body={"message": "bad request: missing Editor-Version header for IDE auth"})
    with pytest.raises(SidecarError):
        log_in(bench.settings(), Quick(), io.StringIO())
    assert bench.token_file.exists()


def test_another_account_without_copilot(bench):
    """It does not take the place of one that has it."""
    old = bench.log_in()
    bench.gh.device_flow(mode="approve")
    bench.gh.no_subscription()
    assert "the old access token was kept" in logged_in(bench, error=AccessRefused, force=True)
    assert bench.token_file.read_text() == old


def test_rotation(bench):
    """A new login while the service runs: it syncs with the new token at once, and the old one can be revoked."""
    old = bench.log_in()
    service = bench.start("run").saw("models published")
    bench.gh.device_flow(mode="approve")
    logged_in(bench, force=True)
    new = bench.token_file.read_text()
    until(lambda: bench.gh.count(MODELS) == 2, what="the sync with the new token")
    assert bench.gh.requests_to(EXCHANGE)[-1].headers["authorization"] == f"token {new}"
    bench.gh.revoke(old)
    service.saw("models are up to date")
    assert bench.run("status", LITELLM_URL="http://127.0.0.1:9").stdout.startswith("login        octocat")
    assert service.ends_at_once() == 0 and "sync.failed" not in service.stderr


@pytest.mark.parametrize(
    ("started_as", "changes", "steps"),
    [
        ("x/__main__.py", {}, ["python -m sidecar models ", "sync --config config.yaml ", "python -m sidecar run "]),
        ("x/copilot-model-sync", {"CONFIG_FILE": "my config"}, ["copilot-model-sync sync --config 'my config' "]),
        ("scripts/github_auth.py", {}, ["  scripts/fetch_copilot_models.py --config config.yaml "]),
        (
            "x/__main__.py",
            {"GITHUB_COPILOT_TOKEN_DIR": "/github_auth"},
            ["docker compose up -d", "copilot-sync models"],
        ),
    ],
)
def test_the_next_step(started_as, changes, steps):
    """After a login, what to run next is said as it can be run there: plain, installed, by the script, in the image."""
    said = next_steps(Settings.load(changes), started_as)
    assert said.startswith("Next:") and all(step in said for step in steps)
    assert ("docker" in said) == ("GITHUB_COPILOT_TOKEN_DIR" in changes)


def test_the_next_step_is_printed(bench, capsys):
    """The command ends with it, whether there was a login or not."""
    bench.log_in()
    assert main(["login"], bench.environ) == 0
    assert "\nNext:\n  python -m sidecar models " in capsys.readouterr().out
