"""The exchange and the catalog: what each answer means, and where a token may go."""

from __future__ import annotations

import pytest

from sidecar.errors import (
    AccessRefused,
    BadAnswer,
    HeaderRejected,
    LoginNeeded,
    LoginRefused,
    RateLimited,
    SidecarError,
    UpstreamError,
)
from sidecar.github import api
from sidecar.github.access_token import AccessToken
from sidecar.github.api import (
    API_VERSION,
    DEFAULT_API_BASE,
    CopilotToken,
    account_login,
    exchange_token,
    read_account,
    read_catalog,
)
from sidecar.http_client import Answer, retrying
from sidecar.secret import Secret
from sidecar.settings import Settings
from tests.fakes.github import GitHub
from tests.support import canary
from tests.support.github_paths import CREDIT, EXCHANGE, MODELS, USER
from tests.support.waiting import until

NOT_QUOTED = "do-not-quote-me"


@pytest.fixture
def token(bench):
    return AccessToken(Secret(bench.log_in()), "the test")


def failure(call, *arguments):
    """The error of a call; neither it nor its hint quotes a token or a body."""
    with pytest.raises(SidecarError) as caught:
        call(*arguments)
    text = f"{caught.value} {caught.value.hint}"
    canary.search("the error", text)
    assert NOT_QUOTED not in text
    return caught.value


def test_exchange_and_catalog(bench, token):
    """The way of the data: one exchange, one catalog, each asked for as the API wants it."""
    settings = bench.settings()
    copilot = exchange_token(settings, token)
    assert copilot.api_base == bench.gh.url and copilot.sku == "fake_individual" and not copilot.direct
    assert 1700 < copilot.lifetime <= 1801
    assert [item["id"] for item in read_catalog(settings, copilot).json["data"]] == ["gpt-4o", "gpt-5-mini"]
    (first, second) = bench.gh.requests
    assert first.path == EXCHANGE and first.headers["authorization"] == f"token {token.value.reveal()}"
    assert "x-github-api-version" not in first.headers
    assert second.path == MODELS and second.headers["x-github-api-version"] == API_VERSION
    assert second.headers["authorization"] == f"Bearer {copilot.value.reveal()}"
    assert settings.editor_headers().items() <= second.headers.items() and not bench.gh.refusals


def test_business_plan(bench, token):
    """A plan with a host of its own is asked there."""
    bench.gh.plan = "business"
    copilot = exchange_token(bench.settings(), token)
    assert copilot.api_base == f"{bench.gh.url}/plan-business"
    assert read_catalog(bench.settings(), copilot).json["data"] and not bench.gh.refusals


@pytest.mark.parametrize("skew", [-7200.0, 7200.0])
def test_skewed_clock(bench, token, skew):
    """The lifetime of a Copilot token is measured on GitHub's clock, not on this machine's."""
    bench.gh.clock_skew = skew
    assert 1700 < exchange_token(bench.settings(), token).lifetime <= 1801


def test_another_app_s_token(bench):
    """A token of the GitHub CLI cannot be exchanged, but reads the catalog as it is."""
    other = AccessToken(Secret(bench.gh.new_access_token(kind="gho_")), "the test")
    copilot = exchange_token(bench.settings(), other)
    assert copilot.direct and copilot.value == other.value and copilot.api_base == bench.gh.url
    assert read_catalog(bench.settings(), copilot).json["data"]


def test_default_base(bench, token):
    """Where the exchange names no place, GITHUB_COPILOT_API_BASE counts, or the public one."""
    bench.gh.fail(EXCHANGE, body={"token": "tid=1"})
    assert exchange_token(bench.settings(), token).api_base == bench.gh.url
    assert exchange_token(bench.settings(GITHUB_COPILOT_API_BASE=""), token).api_base == DEFAULT_API_BASE


TRUSTED = [
    "https://api.githubcopilot.com", "https://api.business.githubcopilot.com", "https://api.enterprise.githubcopilot.com/",
    "https://copilot-api.tenant.ghe.com", "https://API.GitHubCopilot.com", "https://api.githubcopilot.com:443",
    "https://api.githubcopilot.com/v2",
]  # fmt: skip


@pytest.mark.parametrize("address", TRUSTED)
def test_hosts_of_plans_are_trusted(bench, token, address):
    """The hosts of GitHub's plans and of GHE.com are sent the Copilot token."""
    bench.gh.plan_host = address
    assert exchange_token(bench.settings(), token).api_base == address.rstrip("/")


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example", "https://evilgithubcopilot.com", "https://githubcopilot.com.evil.example",
        "https://evil.example/api.githubcopilot.com", "https://evil.example#.githubcopilot.com",
        "https://evil.example?.githubcopilot.com", "https://api.githubcopilot.com@evil.example",
        "https://x@api.githubcopilot.com", "https://:x@api.githubcopilot.com", r"https://evil.example\.githubcopilot.com",
"https://evil.example%2f.githubcopilot.com",
        "https://evil.example／.githubcopilot.com", "https://evil example.githubcopilot.com", "https://[::1].githubcopilot.com",
        "ftp://api.githubcopilot.com", "//api.githubcopilot.com", "api.githubcopilot.com", "https://", "https://:443",
        "https://api.githubcopilot.com:99999", "https://localhost:1", "\x1b[31m",
    ],
)  # fmt: skip
def test_other_hosts_are_refused(bench, token, address):
    """An address that is no known Copilot host is refused by name, and no token is sent there."""
    bench.gh.fail(EXCHANGE, body={"token": "tid=1", "endpoints": {"api": address}})
    error = failure(exchange_token, bench.settings(GITHUB_COPILOT_API_BASE=""), token)
    assert isinstance(error, BadAnswer) and "GITHUB_COPILOT_API_BASE" in error.hint and str(error).isprintable()


def test_unknown_host_is_never_contacted(bench, token):
    """A second server that the exchange names is not asked for anything."""
    with GitHub() as other:
        bench.gh.plan_host = other.url
        assert "no token was sent there" in str(failure(exchange_token, bench.settings(), token))
        assert other.requests == []


def test_http_copilot_is_refused(bench, token):
    """Copilot over plain http is refused unless that is asked for."""
    bench.gh.fail(EXCHANGE, body={"token": "tid=1", "endpoints": {"api": "http://api.githubcopilot.com"}})
    https_only = Settings(**{**bench.settings().values, "insecure_http": False})
    assert isinstance(failure(exchange_token, https_only, token), BadAnswer)
    assert exchange_token(bench.settings(), token).api_base == "http://api.githubcopilot.com"


LIMITED = {"message": "API rate limit exceeded for user ID 1."}
PERSONAL = f"Resource not accessible by personal access token {NOT_QUOTED}"
NO_COPILOT = {
    "message": NOT_QUOTED,
    "error_details": {
        "notification_id": NOT_QUOTED,
        "title": "Sign up",
        "message": "No access\x1b[31m to Copilot",
        "url": "u",
    },
}


@pytest.mark.parametrize(
    ("fault", "kind", "wait", "said"),
    [
        ({"status": 401, "body": {"message": NOT_QUOTED}}, LoginRefused, None, "revoked"),
        ({"status": 403, "body": NO_COPILOT}, AccessRefused, None, r"Sign up No access\x1b[31m to Copilot u"),
        ({"status": 403, "body": NOT_QUOTED}, AccessRefused, None, "403"),
        ({"status": 403, "body": {"message": PERSONAL}}, LoginRefused, None, "personal access token"),
        ({"status": 403, "body": LIMITED}, RateLimited, 60, "rate"),
        ({"status": 403, "body": LIMITED, "headers": {"Retry-After": "7"}}, RateLimited, 7, "rate"),
        ({"status": 403, "body": "", "headers": {"Retry-After": "7"}}, RateLimited, 7, "rate"),
        ({"status": 429, "body": ""}, RateLimited, 60, "rate"),
        ({"status": 429, "body": LIMITED, "headers": {"Retry-After": "3600"}}, RateLimited, 3600, "rate"),
        ({"status": 404, "body": NOT_QUOTED}, LoginRefused, None, "404"),
        ({"status": 500, "body": NOT_QUOTED}, UpstreamError, None, "500"),
        ({"status": 503, "headers": {"Retry-After": "9"}}, UpstreamError, 9, "503"),
        ({"status": 408}, UpstreamError, None, "408"),
        ({"status": 418, "body": NOT_QUOTED}, BadAnswer, None, "418"),
        ({"status": 204, "body": ""}, BadAnswer, None, "204"),
        ({"how": "garbage"}, BadAnswer, None, "without a Copilot token"),
        ({"body": [NOT_QUOTED]}, BadAnswer, None, "without a Copilot token"),
        ({"body": {"token": ""}}, BadAnswer, None, "without a Copilot token"),
        ({"body": {"token": 5}}, BadAnswer, None, "without a Copilot token"),
        ({"body": {"token": "a\r\nx-evil: 1"}}, BadAnswer, None, "without a Copilot token"),
        ({"body": {"token": "Grüße"}}, BadAnswer, None, "without a Copilot token"),
    ],
)
def test_meaning_of_an_answer_to_the_exchange(bench, token, fault, kind, wait, said):
    """Each refusal is what it is: a login that is needed, an account without Copilot, or something that passes."""
    bench.gh.fail(EXCHANGE, **fault)
    error = failure(exchange_token, bench.settings(), token)
    assert type(error) is kind and said in str(error) and getattr(error, "retry_after", None) == wait
    if isinstance(error, UpstreamError) and "rate" in said:
        assert "log in" not in f"{error} {error.hint}".lower()
    assert ("log in" in error.hint.lower()) is (type(error) is LoginRefused)


@pytest.mark.parametrize(
    ("status", "direct", "kind"),
    [
        (401, False, BadAnswer),
        (401, True, LoginNeeded),
        (403, False, AccessRefused),
        (404, False, BadAnswer),
        (429, False, UpstreamError),
        (502, False, UpstreamError),
    ],
)
def test_meaning_of_an_answer_to_the_catalog(bench, status, direct, kind):
    """A fresh Copilot token that is refused is Copilot's fault; an access token that is refused is the login's."""
    bench.gh.fail(MODELS, status=status, body=NOT_QUOTED)
    error = failure(read_catalog, bench.settings(), CopilotToken(Secret("tid=12345678"), bench.gh.url, direct=direct))
    assert isinstance(error, kind) and str(status) in str(error)


@pytest.mark.parametrize("kind", ["ghp_", "ghr_"])
def test_a_useless_token_is_shown_to_nobody(bench, kind):
    """A token of a kind that Copilot never accepts is refused without a request."""
    useless = AccessToken(Secret(bench.gh.new_access_token(kind=kind)), "the test")
    assert isinstance(failure(exchange_token, bench.settings(), useless), LoginRefused)
    assert bench.gh.requests == []


def test_a_header_that_copilot_refuses(bench, token, stop):
    """It would refuse it again: it is asked once."""
    settings = bench.settings(COPILOT_EDITOR_VERSION="vscode")
    copilot = exchange_token(settings, token)
    error = failure(retrying, lambda: read_catalog(settings, copilot), stop)
    assert isinstance(error, HeaderRejected) and "COPILOT_EDITOR_VERSION is 'vscode'" in str(error)
    assert bench.gh.count(MODELS) == 1


def test_catalog_that_is_not_json(bench):
    """A catalog that is not JSON is a bad answer."""
    bench.gh.fail(MODELS, how="garbage")
    assert "JSON" in str(failure(read_catalog, bench.settings(), CopilotToken(Secret("tid=12345678"), bench.gh.url)))


@pytest.mark.parametrize("expires_at", [None, "soon", True, -1, 0, [], 1.5, pytest.param(10**400, id="huge")])
def test_lifetime_that_is_none(bench, token, expires_at):
    """An `expires_at` that is no time is none, and no crash."""
    bench.gh.fail(EXCHANGE, body={"token": "tid=1", "expires_at": expires_at})
    assert exchange_token(bench.settings(), token).lifetime >= 0


@pytest.mark.parametrize("endpoints", [None, [], "x", {}, {"api": None}, {"api": 5}, {"api": ""}])
def test_endpoints_that_are_none(bench, token, endpoints):
    """Endpoints of a wrong type count as missing."""
    bench.gh.fail(EXCHANGE, body={"token": "tid=1", "endpoints": endpoints})
    assert exchange_token(bench.settings(), token).api_base == bench.gh.url


def test_whose(bench, token):
    """The owner of a token is asked at the host of the exchange, and shown harmlessly."""
    assert account_login(bench.settings(), token) == "octocat"
    bench.gh.fail(USER, body={"login": "evil\x1b[31m"}, times=1)
    assert account_login(bench.settings(), token) == "evil\\x1b[31m"
    for body in ({"login": 5}, [], "x"):
        bench.gh.fail(USER, body=body, times=1)
        assert account_login(bench.settings(), token) is None


def test_one_request_each(bench, token):
    """A call makes one request; retrying is for the caller to decide."""
    bench.gh.fail(EXCHANGE, status=500)
    failure(exchange_token, bench.settings(), token)
    assert bench.gh.count(EXCHANGE) == 1


def test_an_exchange_that_hangs(bench, token, monkeypatch):
    """A hanging exchange is given up after the time limit."""
    monkeypatch.setattr("sidecar.http_client.READ_TIMEOUT", 0.1)
    bench.gh.fail(EXCHANGE, how="hang")
    assert isinstance(failure(exchange_token, bench.settings(), token), UpstreamError)
    until(lambda: [request.status for request in bench.gh.requests_to(EXCHANGE)] == [None], what="a hanging request")


def test_account(bench, token):
    """What GitHub says of the account: asked for with the access token, as an editor does."""
    assert read_account(bench.settings(), token)["quota_snapshots"]["premium_interactions"]["entitlement"] == 1500
    (request,) = bench.gh.requests_to(CREDIT)
    assert request.headers["authorization"] == f"token {token.value.reveal()}"
    assert bench.settings().editor_headers().items() <= request.headers.items()


def test_account_at_ghe_com(bench, token, monkeypatch):
    """A tenant's account is asked for at the host of its exchange."""
    asked = []
    monkeypatch.setattr(api, "send", lambda method, url, **_: asked.append(url) or Answer(200, {}, b"{}"))
    exchange = "https://api.octocorp.ghe.com/copilot_internal/v2/token"
    assert read_account(bench.settings(GITHUB_COPILOT_API_KEY_URL=exchange), token) == {}
    assert asked == ["https://api.octocorp.ghe.com/copilot_internal/user"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 401, "body": {"message": NOT_QUOTED}}, LoginNeeded),
        ({"status": 403, "body": {"message": NOT_QUOTED}}, AccessRefused),
        ({"status": 403, "body": {"message": "API rate limit exceeded"}}, UpstreamError),
        ({"status": 404, "body": NOT_QUOTED}, BadAnswer),
        ({"status": 500}, UpstreamError),
        ({"how": "garbage"}, BadAnswer),
        ({"how": "reset"}, UpstreamError),
        ({"how": "redirect"}, BadAnswer),
        ({"body": {"login": "x" * 70_000}}, BadAnswer),
    ],
)
def test_account_failures(bench, token, fault, kind):
    """Whatever is wrong is an error that quotes nothing."""
    bench.gh.fail(CREDIT, **fault)
    assert isinstance(failure(read_account, bench.settings(), token), kind)
