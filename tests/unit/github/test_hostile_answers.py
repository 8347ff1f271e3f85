"""Whatever GitHub, or who answers in its place, says: a result, or an error with its own exit code. Never a bug."""

from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.errors import BadAnswer, LoginNeeded, SidecarError
from sidecar.github.access_token import AccessToken
from sidecar.github.api import account_login, exchange_token, read_catalog
from sidecar.github.login import log_in
from sidecar.http_client import Answer
from sidecar.secret import Secret
from sidecar.settings import Settings
from tests.support.hostile import json_bytes
from tests.support.http_server import HttpServer
from tests.support.waiting import Quick

KEYS = (
    *("token", "expires_at", "refresh_in", "endpoints", "api", "sku", "message", "error_details", "title", "url"),
    *("login", "data", "device_code", "user_code", "verification_uri", "expires_in", "interval", "error"),
    *("access_token", "error_description"),
)
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 401, 403, 404, 408, 418, 429, 500, 999])
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        name: st.sampled_from(["", "0", "9" * 30, "-1", "1e999", "x", "Wed, 21 Oct 9999999 07:28:00 GMT", "\xb2"])
        for name in ("Retry-After", "X-RateLimit-Reset", "X-RateLimit-Remaining", "Date")
    },
)


@pytest.fixture(scope="module")
def server():
    with HttpServer(lambda _: server.answer) as server:
        yield server


def at(server, directory="/nonexistent"):
    return Settings.load(
        {
            "COPILOT_INSECURE_HTTP": "true",
            "GITHUB_COPILOT_API_KEY_URL": f"{server.url}/token",
            "GITHUB_COPILOT_API_BASE": server.url,
            "GITHUB_COPILOT_DEVICE_CODE_URL": f"{server.url}/device",
            "GITHUB_COPILOT_ACCESS_TOKEN_URL": f"{server.url}/access",
            "GITHUB_COPILOT_TOKEN_DIR": directory,
        }
    )


@settings(max_examples=300, deadline=None, derandomize=True)
@given(STATUSES, HEADERS, json_bytes(*KEYS))
def test_any_answer(server, status, headers, body):
    """The exchange, the catalog and the account's name come to a result or to an error that is not a bug."""
    server.answer = status, headers, body
    token, found = AccessToken(Secret("ghu_0123456789"), "a file"), at(server)

    def catalog():
        return read_catalog(found, exchange_token(found, token))

    for call in (lambda: exchange_token(found, token), catalog, lambda: account_login(found, token)):
        error = None
        try:
            call()
        except SidecarError as raised:
            error = raised
        if error is not None:
            assert error.exit_code in {3, 4} and error.hint
            assert "ghu_0123456789" not in f"{error} {error.hint}" and "\n" not in str(error)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from([200, 200, 400, 429, 500]), json_bytes(*KEYS), json_bytes(*KEYS))
def test_any_login(server, tmp_path_factory, status, first, second):
    """The login comes to an end, to a token that is one, or to an error that is not a bug."""
    code = b'{"device_code": "d", "user_code": "u", "verification_uri": "v", "expires_in": 1, "interval": 1}'
    bodies = {"/device": first if len(first) % 2 else code, "/access": second, "/token": b"{}", "/user": second}
    server.respond = lambda request: (status if request.path == "/access" else 200, {}, bodies[request.path])
    directory = tmp_path_factory.mktemp("tokens")
    stop = Quick(at=5, do=lambda: stop.set())
    try:
        with contextlib.suppress(SidecarError):
            log_in(at(server, str(directory)), stop, io.StringIO())
    finally:
        server.respond = lambda _: server.answer
    for stored in directory.iterdir():
        text = stored.read_text("ascii")
        assert text.isprintable() and " " not in text


@pytest.mark.parametrize("token", ["ghu_0123\r\nx-evil: 1", "ghu_é0123456", "ghu 0123456789", "x" * 2000])
def test_a_login_that_ends_with_no_token(server, tmp_path, token):
    """What is no token is not stored, and not shown."""
    bodies = {
        "/device": {"device_code": "d", "user_code": "u", "verification_uri": "v", "expires_in": 9, "interval": 1},
        "/access": {"access_token": token},
    }
    server.respond = lambda request: (200, {}, bodies[request.path])
    try:
        with pytest.raises(BadAnswer, match="something that is no token") as caught:
            log_in(at(server, str(tmp_path)), Quick(), io.StringIO())
    finally:
        server.respond = lambda _: server.answer
    assert not list(tmp_path.iterdir()) and token not in str(caught.value)


@pytest.mark.parametrize("depth", [*range(40, 60), 900, 940, 960, 980, 100_000])
def test_a_deep_answer(depth):
    """What is nested more deeply than any answer is not JSON; so nothing behind it has to reckon with that."""
    body = b'{"message": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"
    assert (Answer(403, {}, body).json is None) is (depth > 50)


def test_deep_refusals(server):
    """However deeply a refusal is nested, it is one."""
    token = AccessToken(Secret("ghu_0123456789"), "a file")
    for depth in range(10, 1000, 7):
        server.answer = 401, {}, b'{"message": ' + b"[" * depth + b"]" * depth + b"}"
        with pytest.raises(LoginNeeded, match="revoked"):
            exchange_token(at(server), token)
