"""A worker's reports, and receivers that hang, refuse, redirect or answer garbage: nobody waits for them."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar.litellm_hot_reload import report as hook
from sidecar.litellm_hot_reload.adapter.provider import Guard
from sidecar.litellm_hot_reload.adapter.proxy import Knowledge
from sidecar.litellm_hot_reload.billing import Spend
from sidecar.litellm_hot_reload.follower import Follower
from sidecar.litellm_hot_reload.keeper import Keeper
from sidecar.litellm_hot_reload.models_file import ModelsFile
from sidecar.litellm_hot_reload.report import Reporter, encoded, post
from sidecar.litellm_hot_reload.reported import MAX_MODELS, MAX_SIZE, PATH
from sidecar.litellm_hot_reload.startup import _told
from sidecar.litellm_hot_reload.text import remember
from sidecar.models.entries import models_file_bytes
from sidecar.status.reports import parse_report
from tests.fakes.catalog import model
from tests.support import canary
from tests.support.entries import entries_of
from tests.support.http_server import HttpServer
from tests.support.ports import free_port
from tests.support.raw_server import RawServer, drip, say, take_request
from tests.support.waiting import until

from .test_follower import Recorded, entry, turn

STATE: dict[str, Any] = {
    "litellm": "1.110.2",
    "follows": "registry() and apply()",
    "guarded": ["get_api_key"],
    "unguarded": [],
    "unknown": [],
    "digest": "0" * 64,
    "entries": 1,
    "refused": (("x", "no"),),
    "refusals": 1,
    "token_end": None,
    "problem": "",
    "spend": {"gpt-4o": (0.1, 0.2)},
}


@pytest.fixture
def follower(tmp_path, monkeypatch) -> tuple[Follower, Recorded]:
    """A follower of a models file, whose router is a stand-in that is known."""
    models = tmp_path / "models.yaml"
    models.write_bytes(models_file_bytes(entries_of([model("gpt-4o"), model("o3")])))
    guard = Guard(Keeper({"GITHUB_COPILOT_TOKEN_DIR": str(tmp_path)}))
    guard.guarded.append("get_api_key")
    router = Recorded()
    monkeypatch.setattr("sidecar.litellm_hot_reload.adapter.routers.find", lambda _: router)
    proxy = SimpleNamespace(llm_router=object(), llm_model_list=[])
    return Follower(proxy, guard, Knowledge(guard), ModelsFile(models), None), router


def test_the_receiver_takes_what_the_hook_sends(follower):
    """All of it, as it was meant; the two share no code but the bounds."""
    following, _ = follower
    turn(following)
    spend = Spend()
    spend.add("gpt-4o", 0.5, 0.25)
    reporter = Reporter("http://127.0.0.1:1", lambda: _told(following, spend))
    report = parse_report(encoded({"worker": reporter.worker, **_told(following, spend)}))
    assert (report.worker, report.entries, report.refused, report.refusals) == (reporter.worker, 2, (), 0)
    assert report.digest == following.models.digest and len(report.digest) == 64
    assert report.spend == {"gpt-4o": (0.5, 0.25)} and report.token_end is None
    assert report.guarded == ("get_api_key",) and report.problem.startswith("the Copilot token is being fetched")


def test_the_digest_is_that_of_a_file_of_which_every_entry_is_applied(follower, tmp_path):
    """Not while LiteLLM refuses one, which is named with the reason; one that the config has itself is no gap."""
    following, router = follower
    changes = []
    following.on_change = lambda: changes.append(following.standing)
    turn(following)
    turn(following)
    assert [one.digest for one in changes] == [following.models.digest], "told once for each change"
    following.models.wanted = {**following.models.wanted, "odd": entry("odd", refuse=True)}
    turn(following)
    assert (changes[-1].digest, changes[-1].entries, changes[-1].refused) == ("", 2, (("odd", "no"),))
    assert following.state()["refused"] == ["odd"]
    following.models.wanted = {key: item for key, item in following.models.wanted.items() if key != "odd"}
    router.held["mine"] = {**entry("mine"), "model_name": "github_copilot/o3"}
    turn(following)
    assert (changes[-1].digest, changes[-1].entries, changes[-1].refused) == (following.models.digest, 1, ())


def test_an_empty_file_that_changes_nothing_is_not_the_one_that_is_served(follower):
    """The models of the file before stay, and so does its digest."""
    following, _ = follower
    turn(following)
    before = following.standing
    following.models.path.write_bytes(models_file_bytes([]))
    for _ in range(3):
        turn(following)
    assert following.standing == before and before.entries == 2


def test_a_report_has_no_secret_and_is_within_bounds():
    """Whatever the texts hold and however long they are, it can be received."""
    token = canary.new("a")
    remember(token)
    huge = {
        **STATE,
        "problem": f"echoed {token}\n" + "x" * 10**6,
        "refused": tuple((f"{token} \U0001f600" * 40, "\U0001f600" * 400) for _ in range(1000)),
        "spend": {f"m{number}": (1 / 3, 1e5 / 3) for number in range(MAX_MODELS)},
    }
    body = encoded({"worker": "0" * 32, **huge})
    assert token.encode() not in body and len(body) <= MAX_SIZE
    report = parse_report(body)
    assert report.problem.startswith("echoed ***") and len(report.spend) == MAX_MODELS


@pytest.mark.parametrize(
    "url",
    [
        "https://x:1",
        "http://a:b@x:1",
        "http://x:1/path",
        "http://x:99999",
        "x:1",
        "http://x\r\nHost: y",
        "http://",
        "http://x:0",
    ],
)
def test_an_address_of_another_shape_is_said_once_and_nothing_is_sent(caplog, url):
    """It is not shown either: it may hold a password."""
    before = threading.active_count()
    Reporter(url, lambda: STATE).start()
    assert threading.active_count() == before
    assert caplog.messages == ["COPILOT_SYNC_URL is not http://host:port, so nothing is reported to the sidecar"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat of next to nothing, and a deadline to match."""
    monkeypatch.setattr(hook, "BEAT", 0.05)
    monkeypatch.setattr(hook, "DEADLINE", 0.3)


@pytest.fixture
def start() -> Iterator[Callable[..., Reporter]]:
    """Starts reporters, whose threads rest for good when the test is over."""
    over, rest, resting = threading.Event(), threading.Event(), list[int]()
    started = list[Reporter]()

    def make(url: str, state: Callable[[], Any] = lambda: STATE) -> Reporter:
        def state_while_on() -> Any:
            if over.is_set():
                resting.append(1)
                rest.wait()
            return state()

        reporter = Reporter(url, state_while_on)
        reporter.start()
        started.append(reporter)
        return reporter

    yield make
    over.set()
    for reporter in started:
        reporter.changed()
    until(lambda: len(resting) == len(started), 30, "the end of every report")


def test_it_reports_at_once_after_a_change_and_on_a_beat(monkeypatch, start):
    """The same random name each time, as JSON, to one path."""
    with HttpServer(lambda request: (204, {}, b"")) as server:
        reporter = start(server.url)
        until(lambda: len(server.requests) == 1, 30, "the first report")
        reporter.changed()
        until(lambda: len(server.requests) == 2, 30, "the report of a change")
        monkeypatch.setattr(hook, "BEAT", 0.05)
        reporter.changed()
        until(lambda: len(server.requests) > 5, 30, "reports on the beat")
        for request in server.requests:
            assert (request.method, request.path) == ("POST", PATH)
            assert request.headers["content-type"] == "application/json" and "authorization" not in request.headers
            assert json.loads(request.body)["worker"] == reporter.worker != Reporter(server.url, lambda: STATE).worker


def hang(connection: socket.socket, over: threading.Event) -> None:
    take_request(connection)
    over.wait()


RECEIVERS: dict[str, tuple[Callable[..., None], str]] = {
    "hangs": (hang, "in time"),
    "drips": (drip(b"HTTP/1.1 20", b""), "in time"),
    "drips a line": (drip(b"HTTP/1.1 200 ", b"x"), "in time"),
    "closes": (say(b""), "not HTTP"),
    "garbage": (say(b"\x00\xff" * 10_000), "not HTTP"),
    "another protocol": (say(b"SSH-2.0-OpenSSH\r\n"), "not HTTP"),
    "refuses": (say(b"HTTP/1.1 404 Not Found\r\n\r\n"), "HTTP 404"),
    "redirects": (say(b"HTTP/1.1 307 x\r\nLocation: http://127.0.0.1:1/report\r\n\r\n"), "HTTP 307"),
    "fails": (say(b"HTTP/1.1 500 x\r\n\r\n"), "HTTP 500"),
}


@pytest.mark.parametrize(("speak", "said"), RECEIVERS.values(), ids=RECEIVERS)
@pytest.mark.usefixtures("quick")
def test_a_receiver_that_is_none_costs_nothing(caplog, start, speak, said):
    """Each report ends at its deadline; it goes on; one line says so, however often; nothing follows a redirect."""
    caplog.set_level(logging.INFO)
    with RawServer(speak) as server:
        start(server.url)
        until(lambda: server.connections > 3, 20, "more reports")
        assert caplog.messages == [f"the sidecar at {server.url} does not take reports ({said})"]


@pytest.mark.usefixtures("quick")
def test_where_nobody_listens_the_state_is_said_once_and_so_is_its_end(caplog, start):
    """A sidecar that comes and goes leaves two lines, not two each time."""
    caplog.set_level(logging.INFO)
    port, tries = free_port(), []
    start(f"http://127.0.0.1:{port}", lambda: tries.append(1) or STATE)
    until(lambda: len(tries) > 3, 30, "tries")
    for _ in range(2):
        with RawServer(say(b"HTTP/1.1 204 x\r\n\r\n"), port) as server:
            until(lambda server=server: server.connections > 1, 30, "reports")
        before = len(tries)
        until(lambda before=before: len(tries) > before + 2, 30, "tries")
    lines = [
        f"the sidecar at http://127.0.0.1:{port} does not take reports (no connection)",
        f"reporting to the sidecar at http://127.0.0.1:{port}",
    ]
    # A report that the end of a server cuts off is a state of its own.
    assert [caplog.messages.count(line) for line in lines] == [1, 1]


@pytest.mark.usefixtures("quick")
def test_what_cannot_be_told_is_said_once_and_tried_again(caplog, start):
    """An error of our own in the thread ends neither it nor anything else."""
    caplog.set_level(logging.INFO)
    tries = []
    start("http://127.0.0.1:1", lambda: tries.append(1) or [][1])
    until(lambda: len(tries) > 3, 30, "tries")
    assert caplog.messages == ["nothing is reported to the sidecar (IndexError)"]


@pytest.mark.usefixtures("quick")
def test_no_proxy_sees_a_report(monkeypatch, start):
    """Whatever the environment says of proxies."""
    with HttpServer(lambda request: (204, {}, b"")) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv("NO_PROXY", "")
        start(server.url)
        until(lambda: len(server.requests) > 1, 30, "reports")


def test_the_follower_does_not_wait_for_a_receiver_that_hangs(follower, start):
    """It turns at its usual speed: as often as without a reporter while one report hangs."""
    following, _ = follower
    with RawServer(hang) as server:
        reporter = start(server.url, lambda: _told(following, Spend()))
        until(lambda: server.connections, 30, "a report that hangs")
        following.on_change = reporter.changed

        def turns() -> float:
            began = time.thread_time()
            turn(following)
            return time.thread_time() - began

        for _ in range(3):
            following.models.digest += "x"
            turns()
        assert server.connections == 1, "not one of these turns has waited for the end of the report"


def test_one_deadline_holds_for_all_of_a_report():
    """For connecting, sending and being answered together: with half of it gone, half is left."""
    with RawServer(drip(b"HTTP/1.1 2", b"0")) as server:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            post("127.0.0.1", server.port, b"{}", 0.3)
        half = time.monotonic() - began
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            post("127.0.0.1", server.port, b"{}", 0.6)
        assert time.monotonic() - began > half
