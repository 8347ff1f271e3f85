"""The hook in a LiteLLM of a generation that it does not know: it changes nothing there, and says so."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest

from scripts.litellm_versions import versions
from sidecar.litellm_hot_reload.adapter.provider import Guard
from sidecar.litellm_hot_reload.adapter.proxy import OLDEST, Knowledge, is_older
from sidecar.litellm_hot_reload.adapter.routers import Refused
from sidecar.litellm_hot_reload.follower import SLICE, Follower, Slices
from sidecar.litellm_hot_reload.keeper import Keeper
from sidecar.litellm_hot_reload.models_file import ModelsFile
from sidecar.models.entries import models_file_bytes
from tests.fakes.catalog import model
from tests.support.entries import entries_of


class RouterOfTheFuture:
    """Has none of the members that any known generation has."""


@pytest.fixture
def follower(tmp_path):
    models = tmp_path / "models.yaml"
    models.write_bytes(models_file_bytes(entries_of([model("gpt-4o")])))
    guard = Guard(Keeper({"GITHUB_COPILOT_TOKEN_DIR": str(tmp_path)}))
    proxy = SimpleNamespace(llm_router=RouterOfTheFuture(), llm_model_list=["as it was"])
    return Follower(proxy, guard, Knowledge(guard), ModelsFile(models), None)


def test_an_unknown_router_is_left_alone(follower):
    """Nothing is called and nothing raised, turn after turn."""
    for _ in range(3):
        asyncio.run(follower.turn())
    assert follower.proxy.llm_model_list == ["as it was"] and vars(follower.proxy.llm_router) == {}


def test_what_is_not_protected_is_said_exactly(follower):
    """The line for the log names what is not followed and not guarded."""
    asyncio.run(follower.turn())
    follower.guard.unguarded.append("get_api_base")
    line = follower.knowledge.line()
    assert "models are NOT followed" in line and "NOT guarded: get_api_base" in line
    assert "refused tokens are NOT noticed" in line
    assert follower.knowledge.as_dict()["follows"] == "" and follower.state()["models"] == 1


def test_without_a_router_nothing_happens(follower):
    """LiteLLM has none before it has loaded its configuration."""
    follower.proxy.llm_router = None
    asyncio.run(follower.turn())
    assert follower.router() is None


def test_a_long_change_is_divided():
    """After a slice of work the loop is free; before that nothing is given away."""

    async def turns(worked: float) -> int:
        count, slices = 0, Slices()
        slices._began = time.monotonic() - worked

        async def tick() -> None:
            nonlocal count
            while True:
                count += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        await slices.pause()
        ticking.cancel()
        return count

    assert asyncio.run(turns(-60.0)) == 0
    assert asyncio.run(turns(10 * SLICE)) > 10


def test_the_oldest_litellm_is_named_once():
    """The start-up check and the list of versions that the tests run on say the same."""
    assert [item.number for item in versions() if item.role == "oldest"] == [OLDEST]


@pytest.mark.parametrize(
    ("version", "older"),
    [("1.82.1", True), ("1.90.6", True), ("1.90.7", False), ("1.110.2rc1", False), ("unknown", False)],
)
def test_an_older_litellm_is_noticed(version, older):
    """By numbers, not by text; a version that cannot be read is not judged."""
    assert is_older(version, "1.90.7") is older


class Recorded:
    """Stands for a known generation of the router: keeps entries by id, and refuses what says so."""

    how = "a stand-in"

    def __init__(self, *loaded):
        self.held = {entry["model_info"]["id"]: entry for entry in loaded}

    def entries(self):
        return list(self.held.values())

    def version(self):
        return None

    def put(self, entry):
        if entry["model_info"].get("refuse"):
            raise Refused("no")
        self.held[entry["model_info"]["id"]] = entry
        return True

    def remove(self, key):
        del self.held[key]

    def settle(self):
        pass

    def stable_id(self, entry):
        return entry["model_name"]


def entry(name, **info):
    return {"model_name": name, "litellm_params": {"model": "openai/x"}, "model_info": {"id": name, **info}}


@pytest.fixture
def known(follower, monkeypatch):
    """A follower of a models file alone, whose router is a stand-in that is known."""
    router = Recorded()
    monkeypatch.setattr("sidecar.litellm_hot_reload.adapter.routers.find", lambda _: router)
    follower.guard.guarded.append("get_api_key")
    return follower, router


def test_a_refused_entry_is_forgotten_when_it_leaves(known):
    """The doctor must not go on failing for a model that the file no longer has."""
    follower, router = known
    asyncio.run(follower.turn())
    follower.models.wanted = {"odd": entry("odd", refuse=True), **follower.models.wanted}
    asyncio.run(follower.turn())
    assert follower.state()["refused"] == ["odd"] and len(router.held) == 1
    del follower.models.wanted["odd"]
    asyncio.run(follower.turn())
    assert follower.state()["refused"] == []


def test_a_refused_change_of_the_config_still_goes_with_its_entry(known):
    """What LiteLLM serves on is the version before; when the entry leaves the config, that one leaves too."""
    follower, router = known
    router.held["mine"] = entry("mine")
    follower.config = SimpleNamespace(entries=[entry("mine")], settings={}, refresh=lambda: None, path="c", problem="")
    asyncio.run(follower.turn())
    follower.config.entries = [entry("mine", refuse=True)]
    asyncio.run(follower.turn())
    assert "mine" in router.held
    follower.config.entries = []
    asyncio.run(follower.turn())
    assert "mine" not in router.held and follower.state()["refused"] == []
