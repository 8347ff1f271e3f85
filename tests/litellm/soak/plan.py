"""What happens in a run, drawn from a seed: when something fails or is killed, and how the catalog changes."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from tests.fakes.catalog import CHAT, RESPONSES, model, tier, tiered
from tests.support.entries import entries_of
from tests.support.github_paths import EXCHANGE, MODELS

from ..reload_cost import STAYING

KILL_SIDECAR, KILL_WORKER, REFUSE_TOKENS, NEW_LOGIN = "sidecar", "worker", "tokens refused", "login revoked"
SPOIL = "api-key.json replaced"
CALM_FROM = 0.6
"""The part of the run after which nothing is killed, so that what remains is long enough to show what grows."""

FAULTS: dict[str, dict[str, Any]] = {
    "HTTP 500": {"status": 500},
    "HTTP 502, not JSON": {"status": 502, "body": "<html>bad gateway</html>"},
    "HTTP 503": {"status": 503},
    "HTTP 429, again in 1 s": {"status": 429, "headers": {"retry-after": "1"}},
    "HTTP 408": {"status": 408},
    "HTTP 418": {"status": 418},
    "connection reset": {"how": "reset"},
    "half an answer": {"how": "truncate"},
    "no JSON": {"how": "garbage"},
    "redirect": {"how": "redirect", "location": "http://127.0.0.1:9/elsewhere"},
    "no answer": {"how": "hang"},
    "answer late": {"delay": 2.0},
    "answer in pieces": {"how": "slow", "delay": 0.3},
    "an empty object": {"status": 200, "body": "{}"},
    "an empty list": {"status": 200, "body": '{"data": []}'},
    "a list of nonsense": {"status": 200, "body": '{"data": [1, null, {"id": 5}, {"id": "x"}], "token": 7}'},
    "null": {"status": 200, "body": "null"},
    "nested deeply": {"status": 200, "body": "[" * 50_000},
}
LASTING = {"no answer", "answer late", "answer in pieces"}
"""Faults that come to an end by themselves only in time, and not with a number of requests."""


@dataclass(frozen=True)
class Event:
    """Something that happens so many seconds after the beginning."""

    at: float
    what: str
    path: str = ""
    seconds: float = 0.0
    times: int | None = None


def events(rng: random.Random, seconds: float) -> list[Event]:
    """Everything but the changes of the catalog, in its order: more than one a minute of each sort but the last two."""

    def moments(per_minute: float, until: float = 0.95) -> list[float]:
        count = max(1, round(per_minute * seconds / 60))
        return [seconds * rng.uniform(0.03, until) for _ in range(count)]

    found = []
    for at in moments(1.5):
        kind, path = rng.choice(list(FAULTS)), rng.choice([EXCHANGE, MODELS])
        times = None if kind in LASTING else rng.randint(1, 2)
        found.append(Event(at, kind, path, rng.uniform(0.5, 4.0) if times is None else 0.0, times))
    found += [Event(at, KILL_SIDECAR) for at in moments(1, CALM_FROM)]
    found += [Event(at, KILL_WORKER) for at in moments(0.25, CALM_FROM)]
    found += [Event(at, NEW_LOGIN, seconds=rng.uniform(0.5, 3.0)) for at in moments(0.1)]
    found += [Event(at, REFUSE_TOKENS) for at in moments(0.05)]
    found += [Event(at, SPOIL) for at in moments(0.2)]
    return sorted(found, key=lambda event: event.at)


NAMES = [f"model-{number}" for number in range(60)]


class Catalog:
    """A catalog that changes at random; the models in STAYING stay, and change their prices and limits too."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.models = {name: self._item(name) for name in [*STAYING, *NAMES[:20]]}

    @property
    def items(self) -> list[dict[str, Any]]:
        return list(self.models.values())

    def shown(self) -> dict[str, tuple[Any, ...]]:
        """What LiteLLM's ``/model/info`` has to show, by model name."""
        return {entry["model_name"]: seen_of(entry["model_info"]) for entry in entries_of(self.items)}

    def change(self) -> str:
        """One change, and what it is."""
        before, rng = self.items, self.rng
        others = [name for name in self.models if name not in STAYING]
        new = [name for name in NAMES if name not in self.models]
        while self.items == before:
            what = rng.choice(["added", "removed", "price", "price", "limit", "several", "moved", "all prices"])
            if what == "added" and len(others) < 35:
                self._put(rng.sample(new, rng.choice([1, 1, 1, 5])))
            elif what == "removed" and len(others) > 14:
                for name in rng.sample(others, rng.choice([1, 1, 1, 3])):
                    del self.models[name]
            elif what in ("price", "limit"):
                self._put([rng.choice([*others, *STAYING])])
            elif what == "several":
                self._put(rng.sample(others, 5))
            elif what == "moved":
                name = rng.choice(others)
                self.models[name] = self._item(name, rng.choice([CHAT, RESPONSES]))
            elif what == "all prices":
                self._put(list(self.models))
        return what

    def _put(self, names: list[str]) -> None:
        self.models |= {name: self._item(name) for name in names}

    def _item(self, name: str, endpoint: str = CHAT) -> dict[str, Any]:
        price, context = self.rng.randint(10, 1000), self.rng.choice([64_000, 96_000, 128_000, 200_000])
        return model(name, endpoints=[endpoint], context=context, billing=tiered(tier(price, 4 * price, price / 10)))


def seen_of(info: dict[str, Any]) -> tuple[Any, ...]:
    """What is compared of a model: its price in dollars for a million tokens, its limit and its mode."""
    return round(float(info.get("input_cost_per_token") or 0) * 1e6, 6), info.get("max_input_tokens"), info.get("mode")
