"""How the hook keeps the Copilot token fresh, seen from GitHub's side; without LiteLLM."""

from __future__ import annotations

import itertools
import json
import logging
import stat
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar.litellm_hot_reload import exchange, exchange_client
from sidecar.litellm_hot_reload import keeper as hook
from sidecar.litellm_hot_reload.pace import FOR_LOGINS, HOOK_LIMIT
from tests.fakes.github import GitHub
from tests.support.files import put_secret
from tests.support.github_paths import EXCHANGE
from tests.support.waiting import until


class Clock:
    """Stands in for the hook's ``time``; moves by hand alone, so that it does not matter how long a test takes."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.began = time.time()

    def time(self) -> float:
        return self.began + self.passed

    def monotonic(self) -> float:
        return 1000.0 + self.passed


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(hook, "time", SimpleNamespace(time=clock.time))
    monkeypatch.setattr(hook, "elapsed", clock.monotonic)
    monkeypatch.setattr(exchange_client, "time", SimpleNamespace(time=clock.time, monotonic=time.monotonic))
    return clock


@pytest.fixture
def keeper(gh: GitHub, tmp_path: Path) -> Any:
    gh.clear()
    gh.heal()
    gh.rate_limit(0)
    gh.no_subscription(False)
    gh.set(clock_skew=0.0, plan_host=None, token_lifetime=1800, refresh_in=1500)
    return make(gh, tmp_path)


def make(gh: GitHub, directory: Path, **environ: str) -> hook.Keeper:
    settings = {"GITHUB_COPILOT_TOKEN_DIR": str(directory), **gh.env(), **environ}
    return hook.Keeper(settings)


def login(keeper: hook.Keeper, token: str) -> str:
    put_secret(keeper.directory / "access-token", token + "\n")
    return token


def tries(gh: GitHub, keeper: hook.Keeper, clock: Clock, seconds: int) -> list[int]:
    """The seconds at which GitHub was asked, looking once a second."""
    asked = []
    for second in range(seconds):
        before = gh.count(EXCHANGE)
        keeper.turn()
        asked += [second] * (gh.count(EXCHANGE) - before)
        clock.passed += 1
    return asked


def test_the_token_is_written_whole_and_private(gh, keeper, clock):
    """api-key.json is 0600, holds what LiteLLM reads, and is replaced at a renewal, not written in place."""
    login(keeper, gh.new_access_token())
    keeper.turn()
    first = keeper.shared.file.stat()
    record = json.loads(keeper.shared.file.read_text())
    assert stat.S_IMODE(first.st_mode) == 0o600
    assert keeper.current() == record["token"] and gh.copilot_token(record["token"]) == "valid"
    assert record["endpoints"] == {"api": gh.url}
    assert 1700 < record["expires_at"] - time.time() < 1801
    clock.passed += 1600
    keeper.turn()
    second = keeper.shared.file.stat()
    assert second.st_ino != first.st_ino and stat.S_IMODE(second.st_mode) == 0o600
    assert keeper.current() != record["token"]
    assert [item.name for item in keeper.directory.iterdir() if item.name.endswith(".tmp")] == []
    assert gh.count(EXCHANGE) == 2


def test_it_renews_once_ahead_of_the_end(gh, keeper, clock):
    """Half an hour costs one exchange, and there is a valid token at every moment."""
    login(keeper, gh.new_access_token())
    asked = tries(gh, keeper, clock, 1900)
    assert len(asked) == 2 and asked[0] == 0 and 1300 < asked[1] <= 1500


def test_a_new_login_counts_at_once(gh, keeper, clock):
    """A new access token in the file is exchanged at the next look, whatever the old Copilot token is worth."""
    login(keeper, gh.new_access_token())
    keeper.turn()
    before = keeper.current()
    token = login(keeper, gh.new_access_token())
    keeper.turn()
    assert gh.requests[-1].headers["authorization"] == f"token {token}"
    assert gh.count(EXCHANGE) == 2 and keeper.current() != before


def test_a_new_login_counts_at_once_when_the_old_may_not_be_asked_for(gh, keeper, clock, tmp_path):
    """Whoever logs in again after an hour of failures is served, also by a worker that has only just been started."""
    login(keeper, gh.new_access_token())
    gh.fail(EXCHANGE, status=503)
    for _ in range(HOOK_LIMIT):
        login(keeper, gh.new_access_token())
        keeper.turn()
        clock.passed += 1
    gh.heal()
    clock.passed += 301
    asked = gh.count(EXCHANGE)
    keeper.turn()
    assert keeper.current() is None and gh.count(EXCHANGE) == asked == HOOK_LIMIT
    for each in (keeper, make(gh, tmp_path)):
        clock.passed += 1
        login(keeper, gh.new_access_token())
        each.turn()
        assert each.current() and gh.count(EXCHANGE) == (asked := asked + 1)
    before = each.current()
    login(keeper, gh.new_access_token())
    each.turn()
    assert each.current() == before and gh.count(EXCHANGE) == HOOK_LIMIT + FOR_LOGINS


def test_a_login_that_is_replaced_meanwhile_is_not_exchanged(gh, keeper, clock, tmp_path, monkeypatch):
    """A worker that has read the login before the last one does not put its Copilot token in the new one's place."""
    other = make(gh, tmp_path)
    login(keeper, gh.new_access_token())
    keeper.turn()
    clock.passed += 1600
    try_lock, tokens = other.shared.try_lock, []

    def later() -> Any:
        tokens.append(login(keeper, gh.new_access_token()))
        keeper.turn()
        return try_lock()

    with monkeypatch.context() as patch:
        patch.setattr(other.shared, "try_lock", later)
        gh.clear()
        other.turn()
    fresh = json.loads(keeper.shared.file.read_text())["token"]
    other.turn()
    assert [item.headers["authorization"] for item in gh.requests_to(EXCHANGE)] == [f"token {tokens[0]}"]
    assert other.current() == keeper.current() == fresh


def test_another_accounts_record_is_not_believed(gh, keeper, clock):
    """While GitHub is away, a token that another login has left behind serves no request, nor does its address."""
    login(keeper, gh.new_access_token())
    keeper.turn()
    record = keeper.shared.read()
    # The control: its own login's is believed by a worker that has just begun.
    assert make(gh, keeper.directory).current() == record.token
    keeper.shared.write(replace(record, login="0123456789abcdef", token="tid=theirs"))
    gh.fail(EXCHANGE, status=500)
    fresh = make(gh, keeper.directory)
    fresh.turn()
    assert fresh.current() is None and fresh.api_base() == fresh.own_base
    assert keeper.current() == record.token and keeper.api_base() == gh.url, "who has one of its own goes on with it"


def test_the_token_of_the_login_before_serves_until_the_next(gh, keeper, clock):
    """Of two workers neither is without a token when somebody logs in anew, whichever of them sees it first."""
    login(keeper, gh.new_access_token())
    keeper.turn()
    other = make(gh, keeper.directory)
    assert other.current() == keeper.current()
    before = keeper.current()
    login(keeper, gh.new_access_token())
    assert before == keeper.current() == other.current()
    keeper.turn()
    assert before != keeper.current() == other.current()


def test_a_refused_login_is_not_asked_for_again_and_again(gh, keeper, clock):
    """Revoked, without a subscription, of another app: ever more seldom, and the reason names the cure."""
    for spoil, reason in (
        (lambda: "ghu_" + "0" * 36, "docker compose run --rm login"),
        (lambda: gh.new_access_token(kind="gho_"), "docker compose run --rm login"),
        (lambda: gh.no_subscription() or gh.new_access_token(), "https://github.com/settings/copilot"),
    ):
        gh.clear()
        login(keeper, spoil())
        asked = tries(gh, keeper, clock, 500)
        pauses = [after - before for before, after in itertools.pairwise(asked)]
        assert 9 <= pauses[0] <= 12 and pauses == sorted(pauses) and len(asked) <= 6
        assert reason in keeper.problem
    gh.no_subscription(False)
    gh.clear()
    login(keeper, gh.new_access_token())
    assert tries(gh, keeper, clock, 2) == [0]


@pytest.mark.parametrize("status", [403, 429])
def test_a_rate_limit_is_waited_out(status, gh, keeper, clock):
    """Retry-After is what counts, and a rate limit is never answered with "log in again"."""
    login(keeper, gh.new_access_token())
    gh.fail(
        EXCHANGE, status=status, headers={"Retry-After": "120"}, body={"message": "API rate limit exceeded"}, times=1
    )
    asked = tries(gh, keeper, clock, 100)
    assert asked == [0]
    assert "rate" in keeper.problem and "log in" not in keeper.problem
    assert len(tries(gh, keeper, clock, 40)) == 1
    assert keeper.current()


def test_a_failing_github_is_asked_less_and_less_often(gh, keeper, clock):
    """The pauses grow to five minutes, and no further, and an hour has no more than its share."""
    login(keeper, gh.new_access_token())
    gh.fail(EXCHANGE, status=503)
    asked = tries(gh, keeper, clock, 3600)
    pauses = [after - before for before, after in itertools.pairwise(asked)]
    assert pauses[0] <= 2 and 270 <= pauses[-1] <= 331 and len(asked) <= HOOK_LIMIT
    gh.heal()
    tries(gh, keeper, clock, 331)
    assert keeper.current()


@pytest.mark.parametrize("how", ["reset", "garbage", "redirect"])
def test_no_answer_is_tried_again_soon(how, gh, keeper, clock):
    """A broken connection or answer is no verdict; a redirect is not followed with the token."""
    login(keeper, gh.new_access_token())
    gh.fail(EXCHANGE, how=how, location="/user")
    asked = tries(gh, keeper, clock, 7)
    assert 2 <= len(asked) <= 4
    assert gh.count("/user") == 0
    gh.heal()
    tries(gh, keeper, clock, 62)
    assert keeper.current()


def test_an_answer_without_an_end(gh, keeper, clock, monkeypatch):
    """A body that drips for ever is given up, and the token is fetched once GitHub is itself again."""
    monkeypatch.setattr(exchange_client, "DEADLINE", 2.0)
    login(keeper, gh.new_access_token())
    gh.fail(EXCHANGE, how="slow", delay=0.5, status=200, body="x" * 100_000)
    assert len(tries(gh, keeper, clock, 1)) == 1
    assert "does not answer" in keeper.problem
    gh.heal()
    monkeypatch.setattr(exchange_client, "DEADLINE", 60)
    clock.passed += 4
    keeper.turn()
    assert keeper.current()


@pytest.mark.parametrize("skew", [-7200, 7200])
def test_clocks_may_differ_by_hours(skew, gh, keeper, clock):
    """The file is written by this machine's clock: one exchange, and the token counts as valid."""
    gh.set(clock_skew=float(skew))
    login(keeper, gh.new_access_token())
    assert tries(gh, keeper, clock, 60) == [0]
    assert keeper.current()


@pytest.mark.parametrize(
    "odd",
    [
        *({"expires_at": value} for value in (0, -1, True, 1e300, float("nan"), float("inf"), "soon", None, [1])),
        *({"refresh_in": value} for value in (0, -5, True, 1e300, float("nan"), "soon", None)),
        *({"endpoints": value} for value in (None, [], "x", {}, {"api": 5}, {"api": None}, {"api": "http://[::1"})),
    ],
    ids=str,
)
def test_odd_answers_are_not_asked_for_every_second(odd, gh, keeper, clock):
    """A token is a token: odd times and addresses beside it neither lose it nor make GitHub be asked all the time."""
    login(keeper, gh.new_access_token())
    body = {"token": "tid=odd", "expires_at": time.time() + 1800, "refresh_in": 1500, **odd}
    gh.fail(EXCHANGE, body=json.dumps(body))
    assert len(tries(gh, keeper, clock, 25)) == 1
    assert keeper.current() == "tid=odd"
    assert json.loads(keeper.shared.file.read_text())["endpoints"] == {"api": gh.url}


@pytest.mark.parametrize(
    "host",
    [
        "https://copilot.example",
        "https://api.githubcopilot.com.example",
        "https://githubcopilot.com@copilot.example",
        "https://copilot.example\\.githubcopilot.com",
        "ftp://api.githubcopilot.com",
        "http://api.githubcopilot.com:x",
    ],
)
def test_an_unknown_host_gets_no_token(host, gh, keeper, clock, caplog, monkeypatch):
    """Named by the exchange or not: it is not written where LiteLLM would take it from, and a warning says so."""
    monkeypatch.setattr(hook.log, "propagate", True)
    gh.set(plan_host=host)
    login(keeper, gh.new_access_token())
    with caplog.at_level(logging.WARNING, logger=hook.log.name):
        keeper.turn()
    assert json.loads(keeper.shared.file.read_text())["endpoints"] == {"api": gh.url}
    assert any("not a known Copilot host" in message for message in caplog.messages)


@pytest.mark.parametrize("host", ["https://api.business.githubcopilot.com", "https://copilot-api.acme.ghe.com"])
def test_a_plans_own_host_is_used(host, gh, keeper, clock):
    """Business, enterprise and GHE.com hosts are Copilot's own."""
    gh.set(plan_host=host)
    login(keeper, gh.new_access_token())
    keeper.turn()
    assert json.loads(keeper.shared.file.read_text())["endpoints"] == {"api": host}


def test_workers_share_one_exchange(gh, keeper, tmp_path):
    """Two that find the token due at the same moment: one asks GitHub, both have the token."""
    login(keeper, gh.new_access_token())
    gh.fail(EXCHANGE, delay=0.5)
    keepers = [keeper, make(gh, tmp_path)]
    threads = [threading.Thread(target=one.turn) for one in keepers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in keepers:
        one.turn()
    assert gh.count(EXCHANGE) == 1
    assert keepers[0].current() == keepers[1].current() is not None


def test_workers_share_a_failure(gh, keeper, clock, tmp_path):
    """What one was told all know: one try for all, growing pauses for all, and a restart begins anew."""
    keepers = [keeper, make(gh, tmp_path), make(gh, tmp_path)]
    login(keeper, gh.new_access_token())
    gh.fail(EXCHANGE, status=503)
    asked = []
    for second in range(100):
        for one in keepers[second % 3 :] + keepers[: second % 3]:
            before = gh.count(EXCHANGE)
            one.turn()
            asked += [second] * (gh.count(EXCHANGE) - before)
            assert "GitHub failed (HTTP 503)" in one.problem
        clock.passed += 1
    assert len(asked) == len(set(asked)) and 7 <= len(asked) <= 10
    again = make(gh, tmp_path)
    again.shared.forget_failure()
    before = gh.count(EXCHANGE)
    again.turn()
    assert gh.count(EXCHANGE) == before + 1


def test_an_unwritable_place_is_named(gh, keeper, clock, tmp_path):
    """Where api-key.json cannot be written GitHub is not asked, and the message names the variable."""
    (tmp_path / "file").write_text("")
    odd = make(gh, tmp_path, GITHUB_COPILOT_API_KEY_FILE=str(tmp_path / "file" / "api-key.json"))
    login(odd, gh.new_access_token())
    assert tries(gh, odd, clock, 50) == []
    assert "GITHUB_COPILOT_API_KEY_FILE" in odd.problem


@pytest.mark.parametrize(
    ("url", "reason"), [("http://{}/x", "COPILOT_INSECURE_HTTP"), ("http://x:y", "InvalidURL"), ("nonsense", "https")]
)
def test_a_useless_address_is_named(url, reason, gh, keeper, clock, tmp_path):
    """No token goes over plain http, and a broken address breaks nothing."""
    odd = make(
        gh,
        tmp_path,
        GITHUB_COPILOT_API_KEY_URL=url.format(gh.url.removeprefix("http://")),
        COPILOT_INSECURE_HTTP="true" if reason == "InvalidURL" else "false",
    )
    login(odd, gh.new_access_token())
    assert tries(gh, odd, clock, 5) == []
    assert reason in odd.problem and gh.requests == []


def test_the_login_is_read_in_every_form_and_only_if_it_can_be_one(gh, keeper, tmp_path):
    """LiteLLM's plain file first, then JSON; nothing, a directory or unprintable text is "nobody has logged in"."""
    access, named = tmp_path / "access-token", tmp_path / "github_token.json"
    for text in ("", "  \n", "two words", "line\x00feed", "ghü_x"):
        put_secret(access, text)
        keeper.turn()
        assert "nobody has logged in" in keeper.problem
    put_secret(named, "[1, 2")
    keeper.turn()
    token = gh.new_access_token()
    put_secret(named, json.dumps({"access_token": token}))
    keeper.turn()
    assert [item.headers["authorization"] for item in gh.requests] == [f"token {token}"]
    access.unlink()
    access.mkdir()
    keeper.turn()
    assert "cannot be read" in keeper.problem


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"5", b'{"token": 5}', b'{"token": "x"}', b"\xff" * 9])
def test_a_damaged_token_file_is_written_anew(content, gh, keeper, clock):
    """Whatever another program left there counts as no token."""
    login(keeper, gh.new_access_token())
    keeper.shared.file.write_bytes(content)
    assert keeper.current() is None
    keeper.turn()
    assert gh.copilot_token(keeper.current()) == "valid"


def test_a_refused_token_is_renewed_at_once(gh, keeper, clock):
    """Copilot's 401 to a token that should be valid is a reason for one exchange, and who waits for it is told."""
    login(keeper, gh.new_access_token())
    keeper.turn()
    first, told = keeper.current(), []
    keeper.on_renewed = lambda: told.append(keeper.current())
    clock.passed += 60
    keeper.refused(clock.time())
    assert keeper.is_refused()
    assert tries(gh, keeper, clock, 5) == [0]
    assert keeper.current() != first and not keeper.is_refused() and told == [keeper.current()]


def test_a_refusal_of_an_older_token_is_no_reason(gh, keeper, clock, tmp_path):
    """A request that began before the renewal was refused for the old token; no worker asks GitHub again for it."""
    login(keeper, gh.new_access_token())
    keeper.turn()
    other, began = make(gh, tmp_path), clock.time()
    clock.passed += 60
    keeper.refused(clock.time())
    keeper.turn()
    other.refused(began)
    assert not other.is_refused()
    asked = gh.count(EXCHANGE)
    other.turn()
    assert gh.count(EXCHANGE) == asked


def test_a_request_begun_before_the_next_token_was_stored_had_the_one_before(gh, keeper, clock, tmp_path, monkeypatch):
    """Obtained already, not yet stored: another worker's call still takes the old one; the new one is not refused."""
    login(keeper, gh.new_access_token())
    keeper.turn()
    other, began = make(gh, tmp_path), []
    old, write = other.current(), keeper.shared.write

    def slowly(record: Any) -> None:
        clock.passed += 1
        began.append(clock.time())
        assert other.current() == old
        clock.passed += 1
        write(record)

    monkeypatch.setattr(keeper.shared, "write", slowly)
    keeper.refused(clock.time())
    keeper.turn()
    assert began[0] > keeper.shared.read().obtained_at
    other.refused(began[0])
    assert other.current() != old and not other.is_refused()
    # The control: a request begun since then had the new one.
    other.refused(clock.time())
    assert other.is_refused()


def test_tokens_that_are_all_refused_are_fetched_less_and_less_often(gh, keeper, clock):
    """Not more than one exchange in ten seconds for this reason, and growing pauses after that."""
    login(keeper, gh.new_access_token())
    keeper.turn()
    gh.clear()
    clock.passed += 60
    asked = []
    for second in range(400):
        keeper.refused(clock.time())
        before = gh.count(EXCHANGE)
        keeper.turn()
        asked += [second] * (gh.count(EXCHANGE) - before)
        clock.passed += 1
    pauses = [after - before for before, after in itertools.pairwise(asked)]
    assert asked[0] == 0 and pauses[0] >= 10 and pauses == sorted(pauses) and len(asked) <= 6


def test_the_address_of_the_plan_is_known(gh, keeper, clock):
    """What the exchange named, else what the user set, else nothing: then LiteLLM's own default holds."""
    assert keeper.api_base() == gh.url
    gh.set(plan_host="https://api.business.githubcopilot.com")
    login(keeper, gh.new_access_token())
    keeper.turn()
    assert keeper.api_base() == "https://api.business.githubcopilot.com"
    assert hook.Keeper({"GITHUB_COPILOT_TOKEN_DIR": "/nowhere"}).api_base() is None


def test_an_address_over_plain_http_is_not_used(caplog, monkeypatch):
    """GITHUB_COPILOT_API_BASE is checked like an address that GitHub names, and a warning says so."""
    monkeypatch.setattr(hook.log, "propagate", True)
    with caplog.at_level(logging.WARNING, logger=hook.log.name):
        keeper = hook.Keeper({"GITHUB_COPILOT_API_BASE": "http://copilot.example"})
    assert keeper.api_base() is None and "GITHUB_COPILOT_API_BASE" in caplog.text


def test_odd_spellings_are_understood(gh, tmp_path):
    """A byte order mark before the token, blanks around a switch, and a home that is not there."""
    odd = make(gh, tmp_path, COPILOT_INSECURE_HTTP=" True ")
    assert odd.plain_http
    put_secret(tmp_path / "access-token", f"\ufeff{gh.new_access_token()}\r\n")
    odd.turn()
    assert odd.current()
    assert str(hook.Keeper({"GITHUB_COPILOT_TOKEN_DIR": "~nobody-of-this-name/x"}).directory).startswith("~nobody")


def test_all_editor_headers_are_sent(gh, keeper):
    """The exchange carries the same four headers that Copilot is sent."""
    login(keeper, gh.new_access_token())
    keeper.turn()
    sent = gh.requests_to(EXCHANGE)[-1].headers
    assert {"editor-version", "editor-plugin-version", "copilot-integration-id", "user-agent"} <= set(sent)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "120"}, 120),
        ({"retry-after": "Thu, 01 Jan 1970 00:20:00 GMT"}, 200),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1030"}, 30),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "1030"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 9}, 3600),
        ({}, None),
    ],
)
def test_what_github_asks_to_wait(headers, wait):
    """Seconds, a date, or the moment at which the limit is lifted; never more than an hour."""
    assert exchange.retry_after(headers, 1000.0) == wait


def test_a_hanging_request_does_not_hold_up_the_next(gh, keeper, monkeypatch):
    """GitHub hangs, and comes back while the old request still hangs: a new one has the token at once."""
    monkeypatch.setattr(exchange_client, "REQUEST_TIMEOUT", 0.2)
    login(keeper, gh.new_access_token())
    gh.fail(EXCHANGE, how="hang", times=1)
    keeper.turn()
    assert keeper.current() is None and "does not answer" in keeper.problem
    monkeypatch.setattr(exchange_client, "REQUEST_TIMEOUT", 60)
    keeper._not_before = 0.0
    keeper.shared.forget_failure()
    keeper.turn()
    assert keeper.current() and [request.status for request in gh.requests_to(EXCHANGE)] == [None, 200]


def test_a_late_answer_is_used(gh, keeper, monkeypatch):
    """GitHub is slower than our patience: its answer serves at the next turn, without another request."""
    monkeypatch.setattr(exchange_client, "REQUEST_TIMEOUT", 0.2)
    login(keeper, gh.new_access_token())
    gh.fail(EXCHANGE, delay=300, times=1)
    keeper.turn()
    assert keeper.current() is None
    gh.heal()
    until(lambda: not keeper._client._answers.empty())
    keeper._not_before = 0.0
    keeper.shared.forget_failure()
    keeper.turn()
    assert keeper.current() and gh.count(EXCHANGE) == 1


def test_requests_that_hang_are_not_piled_up(gh, keeper, clock, monkeypatch):
    """However long GitHub hangs, only a handful of requests hang with it."""
    monkeypatch.setattr(exchange_client, "REQUEST_TIMEOUT", 0.01)
    login(keeper, gh.new_access_token())
    gh.fail(EXCHANGE, how="hang")
    tries(gh, keeper, clock, 60)
    assert keeper._client._unanswered == exchange_client.MAX_UNANSWERED
    gh.heal()


class Ended(Exception):
    """Ends the keeper's thread where it waits."""


def test_only_a_valid_token_lets_it_look_less_often(gh, keeper, monkeypatch):
    """While there is no login, or Copilot has refused the token, it looks each second."""
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        raise Ended

    monkeypatch.setattr(keeper._wake, "wait", wait)

    def look() -> None:
        with pytest.raises(Ended):
            keeper.run()

    look()
    login(keeper, gh.new_access_token())
    look()  # fetches the token
    look()
    keeper.refused(time.time())
    look()
    assert waits[0] == waits[1] == waits[3] == hook.POLL < waits[2] == hook.POLL_VALID
