"""What the hook does, counted in calls of functions, which no busy machine changes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar.litellm_hot_reload import follower as hook
from sidecar.litellm_hot_reload import slices, startup
from sidecar.litellm_hot_reload.adapter.provider import Guard
from sidecar.litellm_hot_reload.adapter.proxy import Knowledge
from sidecar.litellm_hot_reload.adapter.routers import Members
from sidecar.litellm_hot_reload.inotify import Inotify
from sidecar.litellm_hot_reload.keeper import Keeper
from sidecar.litellm_hot_reload.models_file import ModelsFile
from sidecar.models.entries import models_file_bytes
from tests.fakes.catalog import model, tier, tiered
from tests.support.counts import calls
from tests.support.entries import entries_of, managed_entry
from tests.support.files import put, put_secret

from .test_follower import Recorded

MARGIN = 1.25
IDLE, WAIT, KEEPER = 13, 10, 54
"""Calls on Python 3.11 of a look that finds nothing new, of the wait for the next, and of a turn of the keeper with a
token that is not due.
"""
DIFFS = {"nothing": 1_793, "one": 5_583, "all": 98_448}
"""And of following a new models file of 42 models, of which so many have changed."""
HELD, PEAK = 417_000, 753_000
"""Bytes that a models file of a thousand models takes once it is read, and at most while it is."""


class Following:
    """A follower of a models file and its router, of LiteLLM before 1.109 as far as idling goes."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        router = Recorded()
        before = Members(None, self)
        router.version, router.is_at = before.version, before.is_at
        monkeypatch.setattr("sidecar.litellm_hot_reload.adapter.routers.find", lambda _: router)
        monkeypatch.setattr(slices, "SLICE", 3600.0)
        guard = Guard(Keeper({"GITHUB_COPILOT_TOKEN_DIR": str(home)}))
        guard.guarded.append("get_api_key")
        proxy = SimpleNamespace(llm_router=object(), llm_model_list=[])
        self.router = router
        self.follower = hook.Follower(proxy, guard, Knowledge(guard), ModelsFile(home / "models.yaml"), None)

    @property
    def model_list(self) -> list[dict[str, Any]]:
        return self.router.entries()

    def publish(self, entries: list[dict[str, Any]]) -> None:
        put(self.follower.models.path, models_file_bytes(entries))

    def turn(self) -> None:
        while self.follower.look():
            turn = self.follower.turn()
            with contextlib.suppress(StopIteration):
                turn.send(None)


@pytest.fixture
def following(tmp_path, monkeypatch) -> Following:
    return Following(tmp_path, monkeypatch)


def catalog(price: float = 250, of: int = 42) -> list[dict[str, Any]]:
    """42 models, the first ``of`` at another price."""
    return entries_of(
        [model(f"m{number}", billing=tiered(tier(price if number < of else 250, 1500, 25))) for number in range(42)]
    )


def test_an_idle_look_costs_the_same_for_any_number_of_models(following):
    """It looks at the file's times and at the router's own list, whatever the number of entries."""
    found = []
    for number in (42, 1000):
        following.publish([managed_entry(f"m{n}") for n in range(number)])
        following.turn()
        assert len(following.router.held) == number
        found.append({calls(following.follower.look) for _ in range(5)})
    print(found)
    assert found[0] == found[1] and max(found[0]) <= IDLE * MARGIN


def test_an_idle_wait_looks_up_no_directory(following, monkeypatch):
    """The kernel is asked once which directories to watch, and again when it has told something."""
    monkeypatch.setattr(hook, "QUIET", 0.0)
    monkeypatch.setattr(hook, "POLL", 0.0)
    following.publish([managed_entry("m")])
    following.turn()
    with contextlib.closing(Inotify()) as notices:
        first, *found = [calls(lambda: following.follower.wait(notices)) for _ in range(5)]
        print(first, found)
        assert max(found) <= WAIT * MARGIN < first
        following.publish([managed_entry("n")])
        told, again, *found = [calls(lambda: following.follower.wait(notices)) for _ in range(4)]
        assert max(found) <= WAIT * MARGIN < min(told, again)


@pytest.mark.parametrize(("changed", "of"), [("nothing", 0), ("one", 1), ("all", 42)])
def test_a_change_costs_what_it_changes(changed, of, following):
    """Reading the file again, comparing and applying it."""
    following.publish(catalog())
    following.turn()
    before = dict(following.router.held)
    following.publish(catalog(price=500, of=of))
    found = calls(following.turn)
    print(changed, found)
    assert sum(entry is not before[key] for key, entry in following.router.held.items()) == of
    assert following.follower.standing.digest == following.follower.models.digest
    assert found <= DIFFS[changed] * MARGIN


def test_a_thousand_models_are_held_packed(tmp_path):
    """Neither the file's text nor the entries' values stay."""
    models = ModelsFile(tmp_path / "models.yaml")
    put(models.path, models_file_bytes(entries_of([model(f"m{number}") for number in range(1000)])))
    ModelsFile(models.path).refresh()  # what is only made once
    tracemalloc.start()
    try:
        models.refresh()
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    print(held, peak)
    assert models.wanted is not None and len(models.wanted) == 1000
    assert held <= HELD * MARGIN and peak <= PEAK * MARGIN


def test_another_c_library_keeps_what_it_likes(monkeypatch):
    """glibc alone is asked to give back what is free."""
    asked: list[int] = []
    for library in (SimpleNamespace(malloc_trim=asked.append), SimpleNamespace()):
        monkeypatch.setattr(ctypes, "CDLL", lambda name, library=library: library)
        startup._give_back_memory()
    assert asked == [0]


def test_a_token_that_is_not_due_costs_looks_at_the_times_of_files(tmp_path, monkeypatch, gh):
    """Neither its file nor the login's is opened while nothing changes, nor for a request."""
    keeper = Keeper({"GITHUB_COPILOT_TOKEN_DIR": str(tmp_path), **gh.env()})
    put_secret(tmp_path / "access-token", gh.new_access_token())
    keeper.turn()
    assert gh.copilot_token(keeper.current()) == "valid"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 60)  # the files have rested
    keeper.turn()
    opened: list[Any] = []
    monkeypatch.setattr(os, "open", lambda *what: opened.append(what))
    found = calls(keeper.turn)
    print(found)
    assert keeper.current() is not None and opened == [] and found <= KEEPER * MARGIN
