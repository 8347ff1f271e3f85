"""Copilot refuses a token before its end: noticed at the first such answer, healed for all, no model pays for it."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections import Counter
from contextlib import ExitStack
from typing import Any

import pytest

from sidecar.models.entries import PROVIDER
from tests.fakes.catalog import CHAT, MESSAGES, RESPONSES, model
from tests.fakes.github import GitHub
from tests.support.waiting import until

from ..proxy import Answer, Both, Worker

P = PROVIDER
EXCHANGE = "/copilot_internal/v2/token"
ITEMS = [
    model("by-chat", endpoints=[CHAT]),
    model("by-responses", endpoints=[RESPONSES]),
    model("claude-by-messages", endpoints=[CHAT, MESSAGES], vendor="Anthropic"),
]
SAY = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 50}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"model": P + "by-chat", **SAY}),
    "stream": ("/v1/chat/completions", {"model": P + "by-chat", "stream": True, **SAY}),
    "chat of a responses model": ("/v1/chat/completions", {"model": P + "by-responses", **SAY}),
    "responses": ("/v1/responses", {"model": P + "by-responses", "input": "hello"}),
    "messages": ("/v1/messages", {"model": P + "claude-by-messages", **SAY}),
    "messages of a chat model": ("/v1/messages", {"model": P + "by-chat", **SAY}),
    "hand-written": ("/v1/chat/completions", {"model": "mine", **SAY}),
}
CORE = {"chat", "responses", "messages", "hand-written"}
HEALED_WITHIN, MAY_FAIL = 2.0, 5
"""Seconds, and failed requests in each worker, where the machine has time; both grow with what others have to wait."""
PACE = 0.1


@pytest.fixture(scope="module", autouse=True)
def published(gh: GitHub, proxy: Both) -> None:
    gh.set(stream_gap=0)
    gh.set_catalog(ITEMS)
    proxy.publish(ITEMS)
    for worker in proxy.clients:
        until(lambda worker=worker: {P + item["id"] for item in ITEMS} < worker.models(), 20, f"{worker}")


@pytest.fixture(autouse=True)
def ready(gh: GitHub, proxy: Both) -> None:
    """Each test begins with a token that works and was not fetched just now."""
    gh.accept_copilot_tokens()
    for worker in proxy.clients:
        until(lambda worker=worker: well(ask(worker, "chat")), 20, f"{worker} serves")
    aged(proxy)
    gh.clear()


def aged(proxy: Both) -> None:
    """As if the token had been fetched long ago: renewing one that is younger than 10 s has to wait."""
    proxy.token_file(obtained_at=0, refusals=0)


def ask(worker: Worker, kind: str) -> Answer:
    path, body = KINDS[kind]
    return worker.request("POST", path, body)


def well(answer: Answer) -> bool:
    """Whether Copilot answered; a stream that fails may have begun with 200."""
    return answer.status == 200 and re.search(r'"error": ?\{', answer.text) is None


def all_serve(proxy: Both) -> None:
    """Each kind is asked once in each worker, and each answers."""
    answers = {(worker, kind): ask(worker, kind) for worker in proxy.clients for kind in KINDS}
    assert {asked: answer.text for asked, answer in answers.items() if not well(answer)} == {}


class Load:
    """Asks for each kind in turn over one connection, on and on; ``failed`` has the moments of those that failed, and
    ``longest`` is how long any took, in seconds.
    """

    def __init__(self, worker: Worker, kinds: list[str]) -> None:
        self.worker, self.kinds = worker, kinds
        self.asked, self.failed, self.longest = Counter[str](), list[tuple[float, str, str]](), 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            for kind in self.kinds:
                began = time.monotonic()
                answer = self.worker.chat("other") if kind == "other" else ask(self.worker, kind)
                self.asked[kind] += 1
                self.longest = max(self.longest, time.monotonic() - began)
                if not well(answer):
                    self.failed.append((began, kind, answer.text))
                self._stop.wait(PACE)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self.worker.close()


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.core] * (kind in CORE)) for kind in KINDS])
def test_the_first_refused_answer_heals_all(gh: GitHub, proxy: Both, kind: str) -> None:
    """Whatever kind of request meets it, in one worker: one exchange, and then every model in every worker serves."""
    worker = proxy.clients[-1]
    gh.refuse_copilot_tokens()
    began, failed, waited = time.monotonic(), 0, 0.0
    while not well(answer := ask(worker, kind)):
        failed += 1
        asked = time.monotonic()
        assert worker.chat("other").status == 200
        waited = max(waited, 3 * (time.monotonic() - asked))
        assert time.monotonic() - began < HEALED_WITHIN + waited, answer.text
        time.sleep(PACE)
    assert 1 <= failed <= MAY_FAIL + waited / PACE
    all_serve(proxy)
    assert gh.count(EXCHANGE) == 1
    assert all("AuthenticateToken authentication failed" in reason for _, reason in gh.refusals)


@pytest.mark.core
def test_all_workers_heal_under_load(gh: GitHub, proxy: Both) -> None:
    """With traffic of all kinds in every worker: one exchange, a handful of failures, and none after two seconds."""
    with ExitStack() as running:
        copilots = [Load(worker, list(KINDS)) for worker in proxy.connect()]
        others = [Load(worker, ["other"]) for worker in proxy.connect()]
        for load in copilots + others:
            running.callback(load.stop)
        until(lambda: all(len(load.asked) == len(KINDS) for load in copilots), 30, "traffic")
        for load in others:
            load.longest = 0.0
        gh.refuse_copilot_tokens()
        refused = time.monotonic()
        until(lambda: gh.count(EXCHANGE) == 1, 30, "an exchange")
        until(lambda: time.monotonic() > refused + HEALED_WITHIN, 5, "the time for healing")
        waited = 3 * max(load.longest for load in others)  # refused, exchanged, and asked once more
        until(lambda: time.monotonic() > refused + HEALED_WITHIN + waited, 60, "what busy workers take")
        all_serve(proxy)
        seen = sum(sum(load.asked.values()) for load in copilots)
        until(lambda: sum(sum(load.asked.values()) for load in copilots) > seen + 30, 30, "traffic after that")
    print(f"\nfailed in each worker: {[len(load.failed) for load in copilots]}; others waited {waited:.2f} s")
    for load in copilots:
        print([(round(at - refused, 2), kind) for at, kind, _ in load.failed])
    assert [failure for load in others for failure in load.failed] == []
    late = refused + HEALED_WITHIN + waited
    assert [failure for load in copilots for failure in load.failed if failure[0] > late] == []
    assert max(len(load.failed) for load in copilots) <= MAY_FAIL + waited / PACE
    assert gh.count(EXCHANGE) == 1


@pytest.mark.core
def test_another_providers_401_is_not_ours(gh: GitHub, proxy: Both) -> None:
    """A refused key of some other deployment is no reason to renew the Copilot token."""
    for worker in proxy.clients:
        assert worker.chat("elsewhere").status == 401
    looked = time.monotonic() + 2.5
    until(lambda: time.monotonic() > looked, 5, "two looks of each worker")
    assert gh.count(EXCHANGE) == 0
    all_serve(proxy)


def test_tokens_that_are_all_refused_are_not_a_reason_to_hammer(gh: GitHub, proxy: Both) -> None:
    """At most one exchange in ten seconds for all workers, and then fewer; when it is over, models serve again."""
    with ExitStack() as running:
        copilots = [Load(worker, list(KINDS)) for worker in proxy.connect()]
        others = [Load(worker, ["other"]) for worker in proxy.connect()]
        for load in copilots + others:
            running.callback(load.stop)
        gh.refuse_copilot_tokens(later_too=True)
        until(lambda: gh.count(EXCHANGE) == 3, 90, "three exchanges")
        gh.accept_copilot_tokens()
        accepted = time.monotonic()
        # LiteLLM's own cooldown is 5 s, and the last refusal was just now.
        until(lambda: all(load.asked for load in copilots), 30, "traffic")
        until(
            lambda: not any(at > time.monotonic() - 3 for load in copilots for at, _, _ in load.failed),
            15,
            "three seconds without a failure",
        )
        recovered = time.monotonic() - 3 - accepted
    all_serve(proxy)
    moments = [request.time for request in gh.requests_to(EXCHANGE)]
    pauses = [later - earlier for earlier, later in itertools.pairwise(moments)]
    print(f"\nbetween exchanges {[round(pause, 1) for pause in pauses]} s; served {recovered:.1f} s after the end")
    assert len(pauses) >= 2 and min(pauses) > 9.9 and pauses == sorted(pauses) and pauses[1] > 1.5 * pauses[0]
    assert [failure for load in others for failure in load.failed] == []
