"""One request: no redirect, no `.netrc`, bounded in time, size and retries, nothing of an answer in an error."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from sidecar import http_client
from sidecar.errors import BadAnswer, LoginNeeded, Stopped, StorageError, Unreachable, UpstreamError
from sidecar.http_client import Answer, retrying, send
from sidecar.secret import Secret
from tests.fakes.github import GitHub
from tests.support import canary
from tests.support.github_paths import USER
from tests.support.ports import free_port
from tests.support.waiting import Quick, until

TOKEN = Secret(canary.new("a"))


def get(gh, path=USER, **more):
    return send("GET", gh.url + path, headers={"user-agent": "test/1"}, authorization=("token", TOKEN), **more)


@pytest.fixture
def known(gh):
    """The stand-in knows TOKEN."""
    gh.new_access_token(token=TOKEN.reveal())
    return gh


def test_answer(known):
    """Status, header fields and parsed JSON come back; the authorization is what was given."""
    answer = get(known)
    assert (answer.status, answer.json["login"]) == (200, "octocat") and answer.headers["content-type"]
    (request,) = known.requests
    assert request.headers["authorization"] == f"token {TOKEN.reveal()}" and request.headers["user-agent"] == "test/1"


def test_error_status_is_an_answer(gh):
    """A status such as 401 or 500 is an answer; what it means is for the caller to say."""
    gh.fail(USER, status=500, body="oops")
    assert (get(gh).status, get(gh).json) == (500, None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(known, status):
    """A redirect is refused, and the token never reaches the other host."""
    with GitHub() as other:
        known.fail(USER, how="redirect", status=status, location=other.url + USER)
        with pytest.raises(BadAnswer, match="redirect"):
            get(known)
        assert other.requests == []


def test_netrc_is_ignored(known, tmp_path, monkeypatch):
    """An entry for the host in `.netrc` neither replaces the token nor is sent where there is none."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password netrcpassword\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    get(known)
    send("GET", known.url + USER, headers={})
    assert [request.headers.get("authorization") for request in known.requests] == [f"token {TOKEN.reveal()}", None]


def failure(gh, kind=Unreachable):
    """The error of a request, which shows neither the token nor the body, and says what to do."""
    with pytest.raises(kind) as caught:
        get(gh)
    text = f"{caught.value} {caught.value.hint} {caught.value!r}"
    canary.search("the error", text)
    assert "not JSON" not in text and "octocat" not in text
    assert caught.value.__cause__ is None
    return text


def test_refused(gh):
    """Where nobody listens, that is said."""
    gh.down()
    assert "connection refused" in failure(gh)


@pytest.mark.parametrize("how", ["reset", "truncate"])
def test_broken_answers(known, how):
    """A connection that is reset, or ends too early, is no answer."""
    known.fail(USER, how=how)
    failure(known)


def test_hanging(known, monkeypatch):
    """A server that says nothing is given up."""
    monkeypatch.setattr(http_client, "READ_TIMEOUT", 0.1)
    known.fail(USER, how="hang")
    assert "no data for" in failure(known)


def test_slow_but_right(known):
    """An answer that comes in pieces is put together."""
    known.fail(USER, how="slow", delay=0.01)
    assert get(known).json["login"] == "octocat"


def test_compressed(known):
    """A compressed answer is unpacked; one that says so and is not is no answer."""
    known.fail(USER, body=gzip.compress(b'{"x": 1}'), headers={"Content-Encoding": "gzip"}, times=1)
    assert get(known).json == {"x": 1}
    known.fail(USER, body=b"not JSON", headers={"Content-Encoding": "gzip"})
    failure(known)


def test_bomb(known, monkeypatch):
    """The limit of size holds for what a compressed answer unpacks to."""
    monkeypatch.setattr(http_client, "MAX_BYTES", 100_000)
    known.fail(USER, body=gzip.compress(b" " * 50_000_000), headers={"Content-Encoding": "gzip"})
    assert "100000 bytes" in failure(known, BadAnswer)


@pytest.mark.parametrize("head", [b"Content-Length: 1000000\r\n", b"", b"Transfer-Encoding: chunked\r\n"])
def test_dripping(monkeypatch, head):
    """A server that sends a byte now and then is given up when the time for the whole answer is over."""
    monkeypatch.setattr(http_client, "TOTAL_TIMEOUT", 0.3)
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
                piece = b"1\r\n \r\n" if b"chunked" in head else b" "
                try:
                    while not stop.wait(0.02):
                        connection.sendall(piece)
                except OSError:
                    pass

        thread = threading.Thread(target=drip)
        thread.start()
        guard = threading.Timer(60, stop.set)
        guard.start()
        try:
            with pytest.raises(Unreachable, match="longer than"):
                send("GET", f"http://127.0.0.1:{server.getsockname()[1]}/", headers={})
            assert not stop.is_set(), "it was the server that gave up"
        finally:
            stop.set()
            guard.cancel()
            thread.join()


def test_huge(known, monkeypatch):
    """An answer beyond the limit of size is given up."""
    monkeypatch.setattr(http_client, "MAX_BYTES", 100_000)
    known.fail(USER, body=b'"' + b"x" * 100_000 + b'"')
    assert "100000 bytes" in failure(known, BadAnswer)


@pytest.mark.parametrize(
    ("body", "parsed"),
    [
        (b"<html>", None),
        (b"", None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
        (b"1" * 10_000, None),
        (b'{"x": 1e9999999999999999999}', None),
        (b'{"x": NaN, "y": -Infinity}', {"x": None, "y": None}),
        (b'{"x": 1} trailing', None),
        (b'\xef\xbb\xbf{"x": 1}', {"x": 1}),
    ],
)
def test_what_is_not_json(gh, body, parsed):
    """A body that is not JSON is None, whatever it is instead."""
    gh.fail(USER, body=body)
    assert get(gh).json == parsed


def test_decimals_are_exact(gh):
    """Numbers with a fraction keep every digit."""
    gh.fail(USER, body=b'{"x": 0.1, "y": 1e-9}')
    assert {key: str(value) for key, value in get(gh).json.items()} == {"x": "0.1", "y": "1E-9"}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": " 0 "}, 0),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "99999999"}, 3600),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"Retry-After": "Wed, 21 Oct 999999999999999999999 07:28:00 GMT"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}, 0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, None),
        ({"x-ratelimit-remaining": "9", "x-ratelimit-reset": "99999999999"}, None),
    ],
)
def test_retry_after(headers, seconds):
    """GitHub's wish to wait is read from seconds, a date, or the reset of the limit; nonsense is no wish."""
    assert Answer(429, CaseInsensitiveDict(headers)).retry_after() == seconds


def test_retry_after_in_the_future():
    """A date or a reset in the future is so many seconds away."""
    for headers in (
        {"Retry-After": formatdate(time.time() + 1000, usegmt=True)},
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time() + 1000))},
    ):
        assert 900 < Answer(403, CaseInsensitiveDict(headers)).retry_after() <= 1000


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.text(max_size=40)
    | st.from_regex(
        r"[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{1,25} [0-9]{2}:[0-9]{2}:[0-9]{2} ([+-][0-9]{4}|GMT)?"
    )
)
def test_any_retry_after(text):
    """Whatever the header holds, the answer is a bounded number of seconds or None."""
    for headers in ({"Retry-After": text}, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": text}):
        seconds = Answer(429, CaseInsensitiveDict(headers)).retry_after()
        assert seconds is None or 0 <= seconds <= 3600


def attempts(error, event, succeed_at=99):
    """How often a call is made that raises ``error`` until the n-th time."""
    calls = []

    def call():
        calls.append(time.monotonic())
        if len(calls) < succeed_at:
            raise error
        return "done"

    if succeed_at == 99:
        with pytest.raises(type(error)) as caught:
            retrying(call, event)
        assert caught.value is error
    else:
        assert retrying(call, event) == "done"
    return len(calls)


@pytest.mark.parametrize(
    ("error", "count"),
    [
        (Unreachable("x"), 3),
        (BadAnswer("x"), 3),
        (UpstreamError("x", retry_after=20), 3),
        (UpstreamError("x", retry_after=21), 1),
        (UpstreamError("x", retry_after=60), 1),
        (LoginNeeded("x"), 1),
        (StorageError("x"), 1),
        (ValueError("x"), 1),
    ],
)
def test_retries_are_bounded(error, count):
    """What may pass is tried a few times; what is for good, or wants a long wait, once. The error is the last one."""
    assert attempts(error, Quick()) == count


def test_retry_that_works():
    """A call that works the second time has worked."""
    assert attempts(Unreachable("x"), Quick(), succeed_at=2) == 2


def test_waits_between_retries():
    """GitHub's wish is kept to; without one the waits are short and bounded."""
    event = Quick()
    attempts(UpstreamError("x", retry_after=7), event)
    assert event.waits == [7, 7]
    event.waits.clear()
    attempts(Unreachable("x"), event)
    assert len(event.waits) == 2 and all(0.2 <= wait <= 5 for wait in event.waits)


def test_stop_ends_a_wait_at_once(stop):
    """The stop event ends the wait between two tries, and there is no further try."""
    counted = []

    def call():
        counted.append(1)
        threading.Timer(0.05, stop.set).start()
        raise UpstreamError("x", retry_after=15)

    start = time.monotonic()
    with pytest.raises(Stopped):
        retrying(call, stop)
    assert counted == [1] and time.monotonic() - start < 15, "the wait went on to its end"


def test_stopped_before_it_began(stop):
    """After the stop event there is one try at most."""
    stop.set()
    assert attempts(Unreachable("x"), stop) == 1


def test_name_that_cannot_be_resolved():
    """A host that does not exist is named."""
    with pytest.raises(Unreachable, match=r"no answer from copilot\.invalid"):
        send("GET", f"http://copilot.invalid:{free_port()}/", headers={}, authorization=("token", TOKEN))


def test_connections_are_closed(known):
    """A request leaves no connection behind, also when its answer is refused."""
    known.fail(USER, how="redirect", location="http://127.0.0.1:1/", times=1)
    with pytest.raises(BadAnswer):
        get(known)
    get(known)
    until(lambda: not [t for t in threading.enumerate() if "process_request" in t.name], what="the end of connections")
