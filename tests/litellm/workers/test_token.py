"""The Copilot token of a running proxy: nobody waits for its renewal, and losing it costs only Copilot's models."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from sidecar.models.entries import PROVIDER
from tests.fakes.catalog import CHAT, model
from tests.fakes.github import GitHub
from tests.support.waiting import until

from ..proxy import Answer, Both, Worker

P = PROVIDER
SOON = 20
"""Seconds for what takes one or two where the machine has nothing else to do; without the hook it takes 1,500."""
EXCHANGE = "/copilot_internal/v2/token"
ITEMS = [model("gpt-4o"), model("gpt-4.1", endpoints=[CHAT])]


@pytest.fixture(scope="module", autouse=True)
def published(gh: GitHub, proxy: Both) -> None:
    gh.set_catalog(ITEMS)
    proxy.publish(ITEMS)
    every(proxy, lambda worker: {P + item["id"] for item in ITEMS} < worker.models(), 20)


@pytest.fixture(autouse=True)
def ready(gh: GitHub, proxy: Both) -> None:
    """Each test begins with a fresh login and a fresh Copilot token."""
    gh.heal()
    gh.set(plan_host=None, token_lifetime=1800, refresh_in=1500)
    proxy.forget_exchanges()
    proxy.exchanged(gh.new_access_token())
    every(proxy, lambda worker: worker.chat(P + "gpt-4o").status == 200, 30)
    gh.clear()


def token_of(proxy: Both) -> str:
    return str(proxy.token_file()["token"])


def every(proxy: Both, check: Callable[[Worker], Any], seconds: float) -> None:
    """``check`` comes true in every worker."""
    end = time.monotonic() + seconds
    for worker in proxy.clients:
        until(lambda worker=worker: check(worker), end - time.monotonic(), f"{worker}")


PACE = 0.1


@dataclass
class Sample:
    began: float
    answer: Answer


class Load:
    """Asks one model over one connection, on and on."""

    def __init__(self, worker: Worker, model_name: str) -> None:
        self.worker, self.model, self.samples = worker, model_name, list[Sample]()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(PACE):
            began = time.monotonic()
            self.samples.append(Sample(began, self.worker.chat(self.model)))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self.worker.close()

    def between(self, start: float, end: float) -> list[Answer]:
        return [sample.answer for sample in self.samples if start <= sample.began < end]


@pytest.mark.feature("guards")
def test_an_exchange_that_hangs_fails_no_request_that_it_need_not(gh, proxy):
    """30 s at the moment of renewal, and past the token's end: other providers never notice, Copilot fails fast."""
    gh.set(token_lifetime=18)
    before_that = token_of(proxy)
    proxy.token_file(renew_at=0)
    until(lambda: token_of(proxy) != before_that, SOON, "a short token")
    token_end = time.monotonic() + proxy.token_file()["expires_at"] - time.time()
    gh.clear()
    gh.fail(EXCHANGE, how="hang")
    with contextlib.ExitStack() as running:
        began = time.monotonic()
        others, copilots = ([Load(worker, name) for worker in proxy.connect()] for name in ("other", P + "gpt-4o"))
        for load in (*others, *copilots):
            running.callback(load.stop)
        hang_began = until(lambda: gh.requests_to(EXCHANGE), 18, "the renewal")[0].time
        assert hang_began - began > 3 and token_end - hang_began > 3
        until(lambda: time.monotonic() > hang_began + 30, 40, "30 s of hanging", every=0.2)
        healed = time.monotonic()
        gh.set(token_lifetime=1800)
        gh.heal()
        for load in copilots:
            until(lambda load=load: load.samples[-1].answer.status == 200, 30, "Copilot serves again")
        print(f"\nserved again {time.monotonic() - healed:.2f} s after GitHub came back")

    for load in others:
        assert all(answer.status == 200 for answer in load.between(began, healed))
    for load in copilots:
        assert all(answer.status == 200 for answer in load.between(began, token_end - 1))
        expired = load.between(token_end + 1, healed - 0.1)
        assert len(expired) > 20
        assert {answer.status for answer in expired} == {400}
        assert [answer.text for answer in expired if "GitHub Copilot is not available" not in answer.text] == []
        assert any("GitHub does not answer" in answer.text for answer in expired)


@pytest.mark.core
def test_a_new_login_is_exchanged_at_once_and_only_once(gh, proxy):
    """A rotated access token counts long before the renewal is due, is what GitHub is sent, once for all workers."""
    token = gh.new_access_token()
    fresh = f"Bearer {proxy.exchanged(token)}"

    def sends_it(worker: Worker) -> bool:
        answer = worker.chat(P + "gpt-4o")
        return answer.status == 200 and gh.requests_to("/chat/completions")[-1].headers["authorization"] == fresh

    every(proxy, sends_it, SOON)
    assert [item.headers["authorization"] for item in gh.requests_to(EXCHANGE)] == [f"token {token}"]


@pytest.mark.core
def test_a_renewal_is_one_exchange_for_all_workers(gh, proxy):
    """Also after every worker has looked several times; nobody is without a token meanwhile."""
    for _ in range(3):
        before, asked = token_of(proxy), gh.count(EXCHANGE)
        proxy.token_file(renew_at=0)
        until(lambda before=before: token_of(proxy) != before, SOON, "a renewal")
        looked_until = time.monotonic() + 2.2
        until(lambda end=looked_until: time.monotonic() > end, SOON, "two more looks of each worker")
        assert gh.count(EXCHANGE) == asked + 1
    assert all(worker.chat(P + "gpt-4o").status == 200 for worker in proxy.clients)


def test_a_revoked_login_is_said_and_not_hammered(gh, proxy):
    """One try for all workers; requests say what to do, without a cooldown in the way; a new login cures it at once."""
    gh.revoke(gh_token(proxy))
    proxy.token_file(renew_at=0)
    until(lambda: gh.count(EXCHANGE) == 1, SOON, "a try")
    assert all(worker.chat(P + "gpt-4o").status == 200 for worker in proxy.clients), "the Copilot token lives on"
    proxy.token_file(expires_at=0)
    reason = "the access token is revoked or invalid (401): log in again"
    every(proxy, lambda worker: reason in worker.chat(P + "gpt-4o").text, SOON)
    quiet_until = time.monotonic() + 4
    while time.monotonic() < quiet_until:
        for worker in proxy.clients:
            answer = worker.chat(P + "gpt-4o")
            other = worker.chat("other")
            assert other.status == 200
            assert answer.status == 400 and reason in answer.text and answer.seconds < 1 + other.seconds
    assert gh.count(EXCHANGE) == 1
    assert len([line for line in proxy.hook_log() if "the access token is revoked" in line]) == 1

    proxy.login(gh.new_access_token())
    every(proxy, lambda worker: all(worker.serves(item) for item in ITEMS), SOON)


def gh_token(proxy: Both) -> str:
    return (proxy.token_dir / "access-token").read_text()


def test_an_unknown_plan_host_is_not_used(gh, proxy):
    """Requests go on to the configured address, and the log warns."""
    before = len(proxy.hook_log())
    token = token_of(proxy)
    gh.set(plan_host="https://copilot.example")
    proxy.token_file(renew_at=0)
    until(lambda: token_of(proxy) != token, SOON, "a renewal")
    for path, body in (
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
        ("/v1/responses", {"input": "x"}),
    ):
        for worker in proxy.clients:
            gh.clear()
            worker.request("POST", path, {"model": P + "gpt-4o", **body})
            assert len(gh.requests) == 1
    assert any("not a known Copilot host" in line for line in proxy.hook_log()[before:])


def test_no_token_is_in_the_log(gh, proxy):
    """Neither an access token nor a Copilot token, after everything that was done to this proxy."""
    secrets = [*gh._access_tokens, *gh._copilot_tokens, gh_token(proxy), token_of(proxy)]
    log = proxy.log()
    assert len(secrets) > 4 and [secret[:8] for secret in secrets if secret in log] == []
    assert oct(proxy.api_key_file.stat().st_mode)[-3:] == "600"
