"""The hook follows LiteLLM's own config as a whole: entries of any provider that people add, change or remove."""

from __future__ import annotations

import copy
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.files import replace_file
from sidecar.litellm_hot_reload.managed import PROVIDER
from sidecar.models.entries import models_file_bytes
from sidecar.settings import Settings
from tests.fakes.catalog import CHAT, model
from tests.support.entries import entries_of
from tests.support.files import put
from tests.support.waiting import until

from .proxy import CONFIG, Proxy, Worker

P = PROVIDER
EDITED_TO_SERVED = 3.0


def mock(name: str, says: str, **params: Any) -> dict[str, Any]:
    """A model of another provider that answers by itself."""
    return {
        "model_name": name,
        "litellm_params": {"model": "openai/x", "api_key": "x", "mock_response": says, **params},
    }


STAYS = mock("stays", "still here")
LOADED = [
    STAYS,
    mock("changes", "one"),
    mock("leaves", "soon gone"),
    {
        "model_name": "mine",
        "litellm_params": {"model": P + "gpt-4o", "tags": ["by hand"], "extra_headers": Settings().editor_headers()},
    },
]


class Edited:
    """A LiteLLM whose config is edited."""

    def __init__(self, home: Path, env: dict[str, str], **settings: Any) -> None:
        config = home / "config.yaml"
        self.more = home / "more.yaml"
        self.more.write_text(yaml.safe_dump({"model_list": [mock("included", "from another file")]}))
        env = {"COPILOT_FOLLOW_CONFIG": str(config), "MOCK_ANSWER": "from the environment", **env}
        self.config: dict[str, Any] = {
            **CONFIG,
            "include": [str(home / "models.yaml"), "more.yaml"],
            "model_list": copy.deepcopy(LOADED),
            **settings,
        }
        self.proxy = Proxy(home, env, workers=2, config=self.config)

    def write(self, **changes: Any) -> float:
        """Replace the config as an editor does; the moment at which it was done."""
        self.config |= changes
        replace_file(self.proxy.config, yaml.safe_dump(self.config, sort_keys=False).encode(), mode=0o644)
        return time.monotonic()

    def everywhere(self, check: Callable[[Worker], Any]) -> None:
        end = time.monotonic() + EDITED_TO_SERVED
        for worker in self.proxy.clients:
            until(lambda worker=worker: check(worker), end - time.monotonic(), f"{worker}")


@pytest.fixture(scope="module")
def edited(gh, tmp_path_factory) -> Iterator[Edited]:
    edited = Edited(tmp_path_factory.mktemp("config"), gh.env())
    gh.set_catalog([model("gpt-4o", endpoints=[CHAT])])
    edited.proxy.login(gh.new_access_token())
    edited.proxy.publish(gh.catalog)
    with edited.proxy:
        yield edited


@pytest.fixture(autouse=True)
def loaded(edited: Edited) -> None:
    """Each test begins with the config that LiteLLM has loaded."""
    put(edited.more, yaml.safe_dump({"model_list": [mock("included", "from another file")]}))
    edited.write(model_list=copy.deepcopy(LOADED), general_settings={})
    names = {"stays", "changes", "leaves", "mine", "included", P + "gpt-4o"}
    edited.everywhere(lambda worker: worker.models() == names and "one" in worker.chat("changes").text)


def test_what_litellm_has_loaded_is_left_alone(edited):
    """Its own entries keep their ids and are neither removed nor added again when the hook begins to follow."""
    lines = edited.proxy.hook_log()
    first = [
        next(n for n, line in enumerate(lines) if f"[{pid}]" in line and "models by" in line) for pid in pids(edited)
    ]
    touched = [line for line in lines[: max(first) + 1] if " removed " in line or " added " in line]
    assert [line for line in touched if P not in line] == []


def pids(edited: Edited) -> set[str]:
    return edited.proxy.pids()


@pytest.mark.feature("config followed")
def test_entries_are_added_changed_and_removed_live(edited):
    """Every worker serves what the config says within two looks, without a restart, and the log names each."""
    before = len(edited.proxy.hook_log())
    new = [entry for entry in LOADED if entry["model_name"] not in ("changes", "leaves")]
    edited.write(model_list=[*new, mock("changes", "two"), mock("comes", "hello")])
    edited.everywhere(lambda worker: "two" in worker.chat("changes").text and "hello" in worker.chat("comes").text)
    edited.everywhere(lambda worker: worker.chat("leaves").status == 400)
    for worker in edited.proxy.clients:
        assert "still here" in worker.chat("stays").text and worker.chat("mine").status == 200
        # Never both versions side by side: twenty requests in a row go to the new one.
        assert all("two" in worker.chat("changes").text for _ in range(20))
    lines = edited.proxy.hook_log()[before:]
    assert len([line for line in lines if line.endswith("added comes")]) == 2
    assert len([line for line in lines if line.endswith("removed leaves")]) == 2
    assert [line for line in lines if "stays" in line or "mine" in line] == []


@pytest.mark.feature("config followed")
def test_environment_variables_are_looked_up_and_included_files_followed(edited):
    """``os.environ/…`` gives what LiteLLM would read, and a file of ``include`` counts as the config itself."""
    edited.write(model_list=[*LOADED, mock("secret", "os.environ/MOCK_ANSWER")])
    edited.everywhere(lambda worker: "from the environment" in worker.chat("secret").text)
    put(edited.more, yaml.safe_dump({"model_list": [mock("included", "and edited there")]}))
    edited.everywhere(lambda worker: "and edited there" in worker.chat("included").text)


def test_what_needs_a_restart_is_named(edited):
    """Settings outside of model_list are not applied, and one line per worker says which ones changed."""
    before = len(edited.proxy.hook_log())
    edited.write(general_settings={"max_parallel_requests": 3}, router_settings={"num_retries": 1})
    wanted = "need a restart of LiteLLM: general_settings, router_settings"
    until(lambda: len([line for line in edited.proxy.hook_log()[before:] if wanted in line]) == 2, 20, "a line each")
    del edited.config["router_settings"]


@pytest.mark.parametrize(
    "broken",
    [
        b"model_list: [",
        b"[1, 2]",
        b"model_list: [{model_name: x}]",
        b"model_list: 5",
        b"include: [nowhere.yaml]\nmodel_list: []",
        b"include: [config.yaml]",
    ],
)
def test_a_broken_config_changes_nothing(broken, edited):
    """Everything is served as before, one line per worker says what is wrong, and the next good config counts."""
    before = len(edited.proxy.hook_log())
    replace_file(edited.proxy.config, broken, mode=0o644)

    def said() -> list[str]:
        return [line for line in edited.proxy.hook_log()[before:] if "is invalid" in line]

    until(lambda: len(said()) == 2, 20, "a line each")
    for worker in edited.proxy.clients:
        assert all(worker.chat(name).status == 200 for name in ("stays", "changes", "leaves", "mine", "included"))
    edited.write(model_list=[*LOADED, mock("comes", "hello")])
    edited.everywhere(lambda worker: "hello" in worker.chat("comes").text)


def test_an_entry_that_litellm_refuses_costs_only_itself(edited):
    """The other changes of the same edit are applied, and its older version goes on serving."""
    spoiled = {"model_name": "changes", "litellm_params": {"model": "no-such-provider/x", "timeout": "soon"}}
    rest = [entry for entry in LOADED if entry["model_name"] != "changes"]
    edited.write(model_list=[*rest, spoiled, mock("comes", "hello")])
    edited.everywhere(lambda worker: "hello" in worker.chat("comes").text)
    assert any("LiteLLM refuses changes" in line for line in edited.proxy.hook_log())


def test_a_hand_written_entry_takes_over_a_generated_name_and_gives_it_back(edited):
    """Written live, it wins over the catalog's entry of the same name; removed live, the catalog's serves again."""
    own = {"model_name": P + "gpt-4o", "litellm_params": {"model": "openai/x", "api_key": "x", "mock_response": "own"}}
    edited.write(model_list=[*LOADED, own])
    edited.everywhere(lambda worker: all("own" in worker.chat(P + "gpt-4o").text for _ in range(5)))
    edited.write(model_list=LOADED)
    edited.everywhere(lambda worker: "hello from gpt-4o" in worker.chat(P + "gpt-4o").text)


@pytest.mark.alone
@pytest.mark.nightly
@pytest.mark.feature("config followed")
def test_twenty_edits_under_traffic_cost_no_request(edited, record_figure):
    """Clients ask without a pause for what stays and for what is edited: no failed request, no old answer after it."""
    failures: list[str] = []
    answers = itertools.count()
    stop = threading.Event()

    def ask(worker: Worker, names: Iterator[str]) -> None:
        while not stop.is_set():
            name = next(names)
            answer = worker.chat(name)
            next(answers)
            if answer.status != 200:
                failures.append(f"{name}: {answer.status} {answer.text[:200]}")
        worker.close()

    askers = [
        threading.Thread(target=ask, args=(worker, itertools.cycle(["stays", "changes", "mine"])))
        for worker in [*edited.proxy.connect(), *edited.proxy.connect()]
    ]
    for asker in askers:
        asker.start()
    rest = [entry for entry in LOADED if entry["model_name"] != "changes"]
    delays = []
    try:
        for number in range(20):
            wrote = edited.write(model_list=[*rest, mock("changes", f"number {number}"), mock(f"extra-{number}", "x")])
            edited.everywhere(
                lambda worker, number=number: (
                    f"number {number}" in worker.chat("changes").text and worker.chat(f"extra-{number}").status == 200
                )
            )
            delays.append(time.monotonic() - wrote)
    finally:
        stop.set()
        for asker in askers:
            asker.join()
    print(f"\n{next(answers)} requests through 20 edits, live in every worker after at most {max(delays):.2f} s")
    record_figure("an edit of the config in every worker after at most, s", round(max(delays), 2))
    assert failures == []


@pytest.mark.feature("config followed")
def test_managed_entries_have_one_owner(fresh_gh, start):
    """Both LiteLLM's config and the models file contain them: the models file wins, without a line every second."""
    gh = fresh_gh
    items = [model("gpt-4o", endpoints=[CHAT]), model("gpt-4.1", endpoints=[CHAT])]
    gh.set_catalog(items)
    generated = yaml.safe_load(models_file_bytes(entries_of(items)))["model_list"]
    generated[0]["litellm_params"]["tags"] = ["older"]
    proxy: Proxy = start(gh, config={"model_list": generated})
    proxy.login(gh.new_access_token())
    proxy.publish(items)
    proxy.start()
    (worker,) = proxy.clients
    until(lambda: worker.chat(P + "gpt-4o").status == 200, 30, "a first answer")

    def served() -> list[str]:
        listed = worker.request("GET", "/model/info").json()["data"]
        return sorted(item["model_name"] for item in listed)

    until(lambda: served() == [P + "gpt-4.1", P + "gpt-4o"], 20, "each model once")
    proxy.publish(items[:1])
    until(lambda: served() == [P + "gpt-4o"], 20, "the removed one is gone")
    assert worker.chat(P + "gpt-4.1").status == 400
    said = len(proxy.hook_log())
    looked_until = time.monotonic() + 3.5
    until(lambda: time.monotonic() > looked_until, 30, "some more looks")
    assert proxy.hook_log()[said:] == []
    owner = [line for line in proxy.hook_log() if "the models file owns it" in line]
    assert len(owner) == 2 and P in owner[0]


def test_a_config_in_step_is_followed_without_a_models_file(fresh_gh, start):
    """In-place mode: CONFIG_FILE names the config that the sidecar keeps in sync, and the hook follows it alone."""
    gh = fresh_gh
    items = [model("gpt-4o", endpoints=[CHAT]), model("gpt-4.1", endpoints=[CHAT])]
    gh.set_catalog(items)

    def entries(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return list(yaml.safe_load(models_file_bytes(entries_of(items)))["model_list"])

    proxy: Proxy = start(gh, config={"include": [], "model_list": [*entries(items[:1]), STAYS]})
    proxy.env |= {"CONFIG_FILE": str(proxy.config)}
    del proxy.env["COPILOT_MODELS_FILE"]
    proxy.login(gh.new_access_token())
    proxy.start()
    (worker,) = proxy.clients
    until(lambda: worker.chat(P + "gpt-4o").status == 200, 30, "a first answer")
    content = {**CONFIG, "include": [], "model_list": [*entries(items[1:]), STAYS]}
    replace_file(proxy.config, yaml.safe_dump(content).encode(), mode=0o644)
    until(lambda: worker.models() == {P + "gpt-4.1", "stays"}, EDITED_TO_SERVED, "the new catalog")
    assert worker.serves(items[1]) and worker.chat(P + "gpt-4o").status == 400
