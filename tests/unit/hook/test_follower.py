"""The hook in a LiteLLM of a generation that it does not know: it changes nothing there, and says so."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest

from scripts.litellm_versions import versions
from sidecar.litellm_hot_reload import follower as hook
from sidecar.litellm_hot_reload.adapter.provider import Guard
from sidecar.litellm_hot_reload.adapter.proxy import OLDEST, Knowledge, is_older
from sidecar.litellm_hot_reload.adapter.routers import Refused
from sidecar.litellm_hot_reload.follower import (
    FORGET_COOLDOWN,
    POLL,
    QUIET,
    REST,
    RETRY_REFUSED,
    Follower,
)
from sidecar.litellm_hot_reload.keeper import Keeper
from sidecar.litellm_hot_reload.managed import is_managed
from sidecar.litellm_hot_reload.models_file import ModelsFile
from sidecar.litellm_hot_reload.slices import SHARE, Slices
from sidecar.models.entries import models_file_bytes
from tests.fakes.catalog import model
from tests.support.entries import entries_of
from tests.support.files import put


class RouterOfTheFuture:
    """Has none of the members that any known generation has."""


@pytest.fixture
def follower(tmp_path):
    models = tmp_path / "models.yaml"
    models.write_bytes(models_file_bytes(entries_of([model("gpt-4o")])))
    guard = Guard(Keeper({"GITHUB_COPILOT_TOKEN_DIR": str(tmp_path)}))
    proxy = SimpleNamespace(llm_router=RouterOfTheFuture(), llm_model_list=["as it was"])
    return Follower(proxy, guard, Knowledge(guard), ModelsFile(models), None)


def turn(follower: Follower) -> bool:
    """What the follower's thread does once; whether there was anything to do."""
    due = follower.look()
    if due:
        asyncio.run(follower.turn())
    return due


def test_an_unknown_router_is_left_alone(follower):
    """Nothing is called and nothing raised, turn after turn."""
    for _ in range(3):
        turn(follower)
    assert follower.proxy.llm_model_list == ["as it was"] and vars(follower.proxy.llm_router) == {}


def test_what_is_not_protected_is_said_exactly(follower):
    """The line for the log names what is not followed and not guarded."""
    turn(follower)
    follower.guard.unguarded.append("get_api_base")
    line = follower.knowledge.line()
    assert "models are NOT followed" in line and "NOT guarded: get_api_base" in line
    assert "refused tokens are NOT noticed" in line
    assert follower.knowledge.as_dict()["follows"] == "" and follower.state()["models"] == 1


def test_without_a_router_nothing_happens(follower):
    """LiteLLM has none before it has loaded its configuration."""
    follower.proxy.llm_router = None
    turn(follower)
    assert follower.router() is None


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
        return list(self.held.values())

    def is_at(self, version):
        return self.version() == version

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
    turn(follower)
    follower.models.wanted = {"odd": entry("odd", refuse=True), **follower.models.wanted}
    turn(follower)
    assert follower.state()["refused"] == ["odd"] and len(router.held) == 1
    follower.models.wanted = {key: item for key, item in follower.models.wanted.items() if key != "odd"}
    turn(follower)
    assert follower.state()["refused"] == []


def test_a_refused_change_of_the_config_still_goes_with_its_entry(known):
    """What LiteLLM serves on is the version before; when the entry leaves the config, that one leaves too."""
    follower, router = known
    router.held["mine"] = entry("mine")
    follower.config = SimpleNamespace(entries=[entry("mine")], settings={}, refresh=lambda: None, path="c", problem="")
    turn(follower)
    follower.config.entries = [entry("mine", refuse=True)]
    turn(follower)
    assert "mine" in router.held
    follower.config.entries = []
    turn(follower)
    assert "mine" not in router.held and follower.state()["refused"] == []


def settle(follower: Follower) -> None:
    """Turn after turn until a look finds nothing to do."""
    for _ in range(5):
        if not turn(follower):
            return
    raise AssertionError("there is always something to do")


def test_models_of_which_none_is_served_yet_are_not_held_back(known, monkeypatch):
    """As after a start in which LiteLLM has loaded none of them itself; later changes give requests their time."""
    follower, _ = known
    shares = []
    monkeypatch.setattr(hook, "Slices", lambda share=SHARE: shares.append(share) or Slices(share))
    turn(follower)
    models = follower.models.path
    put(models, models_file_bytes(entries_of([model("gpt-4o"), model("o3")])))
    turn(follower)
    assert shares == [0, SHARE]


def test_what_litellm_dropped_comes_back(known):
    """At the next look, which otherwise finds nothing to do; also an entry that only makes room for another."""
    follower, router = known
    settle(follower)
    for name in ("", "x"):
        router.held.clear()
        if name:
            router.held[name] = entry(name)
        assert turn(follower) and any(map(is_managed, router.held.values()))
        settle(follower)


def test_what_is_dropped_during_a_turn_comes_back(known, monkeypatch):
    """The turn itself may not notice, as it compares at its beginning."""
    follower, router = known
    put = router.put

    def put_and_drop(entry):
        monkeypatch.setattr(router, "put", put)
        put(entry)
        router.held.clear()
        return True

    monkeypatch.setattr(router, "put", put_and_drop)
    settle(follower)
    assert len(router.held) == 1


def test_another_router_gets_everything(known):
    """LiteLLM makes a new one when it loads its configuration again; its version may be that of the one before."""
    follower, router = known
    settle(follower)
    router.held.clear()
    router.is_at = lambda version: True
    assert not turn(follower)
    follower.proxy.llm_router = object()
    assert turn(follower) and len(router.held) == 1


def test_a_refused_entry_is_tried_again_when_its_time_has_come(known, monkeypatch):
    """Until then it makes nobody look at every entry."""
    follower, router = known
    follower.models.refresh()
    follower.models.wanted = {"odd": entry("odd", refuse=True), **follower.models.wanted}
    settle(follower)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + RETRY_REFUSED + 1)
    follower.models.wanted["odd"]["model_info"].pop("refuse")
    assert turn(follower) and "odd" in router.held


def test_a_cooldown_is_looked_after_until_it_is_over(known, monkeypatch):
    """Though neither file nor router changes."""
    follower, router = known
    ended = []
    router.end_cooldowns = ended.append
    settle(follower)
    follower.note_cooldown("some")
    assert turn(follower) and turn(follower)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + FORGET_COOLDOWN + 1)
    assert turn(follower) and not turn(follower)
    assert ended == [["some"]] * 3


class Notices:
    """Stands for what the kernel tells; ``waited`` has the seconds of each wait for that."""

    def __init__(self, tells=True):
        self.tells, self.files, self.waited = tells, [], []

    def watches(self, files):
        self.files = files
        return self.tells

    def wait(self, seconds):
        self.waited.append(seconds)


def test_who_is_told_of_changes_looks_less_often(known):
    """While there is nothing to do, and no cooldown that may have begun again."""
    follower, _ = known
    told, untold = Notices(), Notices(tells=False)
    follower.wait(told)
    settle(follower)
    follower.wait(told)
    follower.wait(untold)
    follower.note_cooldown("some")
    follower.wait(told)
    assert told.waited == [POLL, QUIET, POLL] and untold.waited == [POLL] and POLL < QUIET
    assert told.files == [str(follower.models.path)]


def test_a_file_that_is_written_in_place_is_given_a_second(known, monkeypatch):
    """The next look is that much later, as there is more to come perhaps, whatever the kernel tells meanwhile."""
    follower, _ = known
    settle(follower)
    slept, notices = [], Notices()
    monkeypatch.setattr(time, "sleep", slept.append)
    follower.wait(notices)
    with follower.models.path.open("ab") as file:
        file.write(b"# more to come")
    for _ in range(2):
        follower.look()
        follower.wait(notices)
    assert slept == [REST] and len(notices.waited) == 2
