"""A day of every fault, by a clock that the test turns: sidecar and hook send GitHub at most 40 requests an hour."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from sidecar.errors import BadAnswer, NoConnection, StorageError, Unreachable
from sidecar.github import api
from sidecar.http_client import Answer
from sidecar.litellm_hot_reload import exchange_client
from sidecar.litellm_hot_reload import keeper as hook
from sidecar.litellm_hot_reload.pace import FOR_LOGINS, HOOK_LIMIT, HOUR, SIDECAR_LIMIT
from sidecar.service import credit, loop, sync
from sidecar.status.state import Status
from tests.fakes.catalog import model
from tests.support import canary

DAY, WEEK = 24 * HOUR, 7 * 24 * HOUR
"""Seconds; the waits have grown to their longest within hours, so that a day shows what most of them lead to."""
BEGAN = 1_800_000_000.0
LIMIT = 40

Outcome = Exception | tuple[int, Mapping[str, str], bytes]
Fault = Callable[[str, float, random.Random], Outcome]


def body(content: Any, status: int = 200, **headers: str) -> Outcome:
    return status, {key.replace("_", "-"): value for key, value in headers.items()}, json.dumps(content).encode()


def right(hop: str, now: float, **changes: Any) -> Outcome:
    if hop == "catalog":
        return body({"data": [model("gpt-4o")]})
    if hop == "credit":
        return body({"login": "octocat"})
    return body({"token": "tid=1", "expires_at": BEGAN + now + 1800, "refresh_in": 1500, **changes})


def always(outcome: Outcome) -> Fault:
    return lambda hop, now, dice: outcome


def only(which: str, outcome: Outcome) -> Fault:
    return lambda hop, now, dice: outcome if hop == which else right(hop, now)


def catalog(outcome: Outcome) -> Fault:
    return only("catalog", outcome)


RESET, NOBODY, REDIRECT = Unreachable("connection reset"), NoConnection("connection refused"), BadAnswer("a redirect")
FAULTS: dict[str, Fault] = {
    "reset": always(RESET),
    "redirect": always(REDIRECT),
    "garbage": always((200, {}, b"<html>")),
    "no token in the answer": always(body({})),
    **{str(status): always(body({}, status)) for status in (400, 401, 403, 404, 429, 500, 502, 503)},
    "429, again at once": always(body({}, 429, retry_after="0")),
    "503, again in a second": always(body({}, 503, retry_after="1")),
    "a rate limit as 403": always(body({"message": "API rate limit exceeded"}, 403)),
    "an unknown host": lambda hop, now, dice: right(hop, now, endpoints={"api": "https://copilot.example"}),
    "tokens that end at once": lambda hop, now, dice: right(hop, now, expires_at=BEGAN + now + 1, refresh_in=1),
    "the catalog is reset": catalog(RESET),
    "the catalog is empty": catalog(body({"data": []})),
    **{f"the catalog answers {status}": catalog(body({}, status)) for status in (401, 403, 404, 429, 503)},
    "the credit is refused": only("credit", body({}, 403)),
    "the credit is reset": only("credit", RESET),
    "every other request is reset": lambda hop, now, dice: dice.choice((RESET, right(hop, now))),
    "now and then nobody is there": lambda hop, now, dice: dice.choice((RESET, NOBODY, body({}, 500))),
    "anything": lambda hop, now, dice: dice.choice(
        (RESET, NOBODY, REDIRECT, body({}, dice.choice((200, 401, 403, 404, 429, 500))), right(hop, now))
    ),
    "nothing": lambda hop, now, dice: right(hop, now),
}
LOOKS = {"nothing": 150, "the credit is reset": 150, "every other request is reset": 100}
"""The fewest looks at the credit: one an interval, as long as the hour has room, which a shaky connection leaves."""


class World:
    """GitHub behind both, each asked by a clock of its own, and when it was asked."""

    def __init__(self, fault: Fault, length: float) -> None:
        self.fault, self.length, self.dice, self.now = fault, length, random.Random(7), 0.0
        self.asked: list[float] = []
        self.looks = 0

    def outcome(self, hop: str) -> Outcome:
        outcome = self.fault(hop, self.now, self.dice)
        if not isinstance(outcome, NoConnection):
            self.asked.append(self.now)
        return outcome

    # What the sidecar and the hook call.

    def send(self, method: str, url: str, **_: Any) -> Answer:
        hop = "catalog" if url.endswith("/models") else "credit" if url.endswith("/user") else "exchange"
        self.looks += hop == "credit"
        outcome = self.outcome(hop)
        if isinstance(outcome, Exception):
            raise outcome
        return Answer(*outcome)

    def ask(self, access_token: str, login: str) -> exchange_client.Answer:
        outcome = self.outcome("exchange")
        if isinstance(outcome, BadAnswer):
            outcome = (302, {}, b"")
        if isinstance(outcome, Exception):
            reached = not isinstance(outcome, NoConnection)
            return exchange_client.Answer(login, BEGAN + self.now, error=httpx.ReadError("x"), reached=reached)
        status, headers, content = outcome
        try:
            found = json.loads(content)
        except ValueError:
            found = {}
        return exchange_client.Answer(login, BEGAN + self.now, status, headers, found)

    def late(self, login: str) -> None:
        return None

    # The trigger of the loop: somebody asks for a sync all the time.

    @property
    def pulled(self) -> bool:
        return True

    @pulled.setter
    def pulled(self, value: bool) -> None:
        pass

    # The stop event of the loop.

    def is_set(self) -> bool:
        return self.now >= self.length

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return self.is_set()


@pytest.fixture
def days(bench, monkeypatch) -> Callable[..., list[float]]:
    """Runs both for so long; returns when GitHub was asked; its ``looks`` are those at the credit."""
    bench.log_in()
    tokens = itertools.cycle([canary.new("a") for _ in range(5)])

    def log_in_anew() -> None:
        # In place, and not cut off first: they are all of one length, and it is done very often.
        with bench.token_file.open("r+b") as file:
            file.write(next(tokens).encode())

    def run(
        fault: Fault,
        length: float = DAY,
        *,
        tokens_change: bool = False,
        asked_for: bool = False,
        restarts: bool = False,
        refused: bool = False,
    ) -> list[float]:
        sidecar, proxy = World(fault, length), World(fault, length)
        monkeypatch.setattr(api, "send", sidecar.send)
        for module in (loop, sync, credit):
            monkeypatch.setattr(module, "elapsed", lambda: sidecar.now)
        monkeypatch.setattr(loop, "POLL_INTERVAL", 300.0 if tokens_change or asked_for else 900.0)
        if not tokens_change:
            monkeypatch.setattr(loop, "_token_state", lambda settings: "the same")
        else:
            wait = sidecar.wait
            monkeypatch.setattr(sidecar, "wait", lambda seconds: log_in_anew() or wait(seconds))
        loop.run(bench.settings(), sidecar, Status(), sidecar if asked_for else None)
        run.looks = sidecar.looks

        monkeypatch.setattr(hook, "elapsed", lambda: proxy.now)
        monkeypatch.setattr(hook, "time", SimpleNamespace(time=lambda: BEGAN + proxy.now))
        keeper = None
        while not proxy.is_set():
            if keeper is None or restarts:
                keeper = hook.Keeper({"GITHUB_COPILOT_TOKEN_DIR": str(bench.tokens), "COPILOT_INSECURE_HTTP": "true"})
                keeper._client = proxy
                keeper.shared.forget_failure()
            if tokens_change:
                log_in_anew()
            if refused:
                keeper.refused(BEGAN + proxy.now)
            keeper.turn()
            wait = keeper._not_before - proxy.now
            step = max(wait, 1.0) if wait > 0 else 300.0
            proxy.now += min(step, 300.0) if restarts or tokens_change or refused else step
        for asked, limit in ((sidecar.asked, SIDECAR_LIMIT + 1), (proxy.asked, HOOK_LIMIT)):
            assert worst_hour(asked) <= limit + FOR_LOGINS * tokens_change
        return sorted(sidecar.asked + proxy.asked)

    return run


def worst_hour(asked: list[float]) -> int:
    """The most requests within any 3,600 seconds."""
    first = most = 0
    for last, time in enumerate(asked):
        while time - asked[first] > HOUR - 0.01:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.long
@pytest.mark.parametrize("name", FAULTS)
def test_days_of(name, days, record_property):
    """No hour has more than 40 requests, and neither GitHub is given up nor the credit, in a week where that counts."""
    length = WEEK if name in LOOKS else DAY
    asked = days(FAULTS[name], length)
    record_property("worst hour", worst_hour(asked))
    assert worst_hour(asked) <= LIMIT
    assert len([time for time in asked if time > length - 2 * HOUR]) >= 2
    assert LOOKS.get(name, 0) <= days.looks <= length / (0.9 * HOUR) + 1


@pytest.mark.long
@pytest.mark.parametrize("how", ["tokens_change", "asked_for", "restarts", "refused"])
@pytest.mark.parametrize("name", ["500", "401", "nothing"])
def test_days_in_which(how, name, days, record_property):
    """Nothing gets around it: a restless token file, an impatient user, restarts of LiteLLM, refusals by Copilot."""
    asked = days(FAULTS[name], **{how: True})
    record_property("worst hour", worst_hour(asked))
    assert worst_hour(asked) <= LIMIT + 2 * FOR_LOGINS * (how == "tokens_change")


@pytest.mark.long
def test_days_of_a_full_volume(days, monkeypatch):
    """What cannot be written is tried again from memory: GitHub is asked for a catalog four times an hour."""

    def full(*_: Any) -> None:
        raise StorageError("No space left on device")

    monkeypatch.setattr("sidecar.targets.models_file.replace_file", full)
    monkeypatch.setattr(loop, "prepare", lambda settings: None)
    asked = days(FAULTS["nothing"])
    assert worst_hour(asked) <= 4 * 2 + 3 + 2
