"""The Copilot token of a running proxy: nobody waits for its renewal, and losing it costs only Copilot's models."""

from __future__ import annotations

import contextlib
import statistics
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

from ..proxy import OTHER, Answer, Both, Proxy, Worker

P = PROVIDER
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
    before = token_of(proxy)
    proxy.login(gh.new_access_token())
    until(lambda: token_of(proxy) not in ("", before), 10, "the new login's token")
    every(proxy, lambda worker: worker.chat(P + "gpt-4o").status == 200, 10)
    gh.clear()


def token_of(proxy: Both) -> str:
    return str(proxy.token_file()["token"]) if proxy.api_key_file.exists() else ""


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


def seconds(answers: list[Answer]) -> tuple[float, float]:
    """The median, and what all but one in fifty keep to, had somebody asked at each moment.

    Whoever would have asked while one request was held up would have waited for the rest of that time: a worker that
    stands still for a second counts ten times.
    """
    taken = [answer.seconds - n * PACE for answer in answers for n in range(int(answer.seconds / PACE) + 1)]
    return statistics.median(taken), statistics.quantiles(taken, n=50)[-1]


@pytest.mark.alone
@pytest.mark.feature("guards")
def test_nobody_waits_for_an_exchange_that_hangs(gh, proxy, fresh_gh, start):
    """30 s at the moment of renewal, and past the token's end: other providers never notice, Copilot fails fast."""
    # How long is too long is seen in a LiteLLM of its own, for which GitHub is there: it is asked in the same moments.
    fresh_gh.set_catalog(ITEMS)
    twin: Proxy = start(fresh_gh, config={"model_list": [OTHER]})
    twin.login(fresh_gh.new_access_token())
    twin.publish(ITEMS)
    twin.start()
    until(lambda: twin.chat(P + "gpt-4o").status_code == 200, 10, "the twin serves")
    gh.set(token_lifetime=18)
    before_that = token_of(proxy)
    proxy.token_file(renew_at=0)
    until(lambda: token_of(proxy) != before_that, 5, "a short token")
    token_end = time.monotonic() + proxy.token_file()["expires_at"] - time.time()
    gh.clear()
    gh.fail(EXCHANGE, how="hang")
    with contextlib.ExitStack() as running:
        began = time.monotonic()
        others, copilots = ([Load(worker, name) for worker in proxy.connect()] for name in ("other", P + "gpt-4o"))
        twins = {name: Load(*twin.connect(), name) for name in ("other", P + "gpt-4o")}
        for load in (*others, *copilots, *twins.values()):
            running.callback(load.stop)
        hang_began = until(lambda: gh.requests_to(EXCHANGE), 18, "the renewal")[0].time
        assert hang_began - began > 3 and token_end - hang_began > 3
        until(lambda: time.monotonic() > hang_began + 30, 40, "30 s of hanging", every=0.2)
        healed = time.monotonic()
        gh.set(token_lifetime=1800)
        gh.heal()
        for load in copilots:
            until(lambda load=load: load.samples[-1].answer.status == 200, 5, "Copilot serves again")
        recovered = time.monotonic() - healed

    print(f"\nserved again {recovered:.2f} s after GitHub came back")
    for load in (*others, *copilots):
        usual, usual_late = seconds(load.between(began, hang_began))
        for phase, start_of, end_of in (("valid", hang_began, token_end), ("expired", token_end, healed)):
            median, late = seconds(load.between(start_of, end_of))
            twins_median, twins_late = seconds(twins[load.model].between(start_of, end_of))
            print(
                f"{load.model:22} {phase:8} p50 {usual:.3f} -> {median:.3f} s, twin {twins_median:.3f}; "
                f"p98 {usual_late:.3f} -> {late:.3f} s, twin {twins_late:.3f}"
            )
            assert median < 2 * max(usual, twins_median) + 0.05
            assert late < max(2 * usual_late, 2 * twins_late, 0.5)
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
    """A rotated access token counts within two seconds, is what GitHub is sent, once for all workers."""
    token = gh.new_access_token()
    before = token_of(proxy)
    proxy.login(token)
    until(lambda: token_of(proxy) != before, 2.5, "the new login's token")
    every(proxy, lambda worker: worker.chat(P + "gpt-4o").status == 200, 3)
    fresh = token_of(proxy)
    assert {item.headers["authorization"] for item in gh.requests_to("/chat/completions")} == {f"Bearer {fresh}"}
    assert [item.headers["authorization"] for item in gh.requests_to(EXCHANGE)] == [f"token {token}"]


@pytest.mark.core
def test_a_renewal_is_one_exchange_for_all_workers(gh, proxy):
    """Also after every worker has looked several times; nobody is without a token meanwhile."""
    for _ in range(3):
        before, asked = token_of(proxy), gh.count(EXCHANGE)
        proxy.token_file(renew_at=0)
        until(lambda before=before: token_of(proxy) != before, 3, "a renewal")
        looked_until = time.monotonic() + 2.2
        until(lambda end=looked_until: time.monotonic() > end, 5, "two more looks of each worker")
        assert gh.count(EXCHANGE) == asked + 1
    assert all(worker.chat(P + "gpt-4o").status == 200 for worker in proxy.clients)


def test_a_revoked_login_is_said_and_not_hammered(gh, proxy):
    """One try for all workers; requests say what to do, without a cooldown in the way; a new login cures it in 5 s."""
    gh.revoke(gh_token(proxy))
    proxy.token_file(renew_at=0)
    until(lambda: gh.count(EXCHANGE) == 1, 5, "a try")
    assert all(worker.chat(P + "gpt-4o").status == 200 for worker in proxy.clients), "the Copilot token lives on"
    proxy.token_file(expires_at=0)
    quiet_until = time.monotonic() + 4
    reason = "the access token is revoked or invalid (401): log in again"
    every(proxy, lambda worker: reason in worker.chat(P + "gpt-4o").text, 3)
    while time.monotonic() < quiet_until:
        for worker in proxy.clients:
            answer = worker.chat(P + "gpt-4o")
            assert answer.status == 400 and reason in answer.text and answer.seconds < 1
            assert worker.chat("other").status == 200
    assert gh.count(EXCHANGE) == 1
    assert len([line for line in proxy.hook_log() if "the access token is revoked" in line]) == 1

    end = time.monotonic() + 5
    proxy.login(gh.new_access_token())
    every(proxy, lambda worker: all(worker.serves(item) for item in ITEMS), end - time.monotonic())


def gh_token(proxy: Both) -> str:
    return (proxy.token_dir / "access-token").read_text()


def test_an_unknown_plan_host_is_not_used(gh, proxy):
    """Requests go on to the configured address, and the log warns."""
    before = len(proxy.hook_log())
    token = token_of(proxy)
    gh.set(plan_host="https://copilot.example")
    proxy.token_file(renew_at=0)
    until(lambda: token_of(proxy) != token, 5, "a renewal")
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
