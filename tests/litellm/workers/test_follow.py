"""Every worker follows the models file, and nothing that the file may hold disturbs it."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar.litellm_hot_reload.managed import PROVIDER
from sidecar.models.entries import models_file_bytes
from tests.fakes.catalog import CHAT, MESSAGES, RESPONSES, model, tier, tiered
from tests.support.entries import USELESS, entries_of
from tests.support.waiting import until

from ..proxy import Both, Proxy, Worker
from . import BY_HAND, MOCK, PINNED
from .picky import REFUSED

P = PROVIDER
PUBLISHED_TO_SERVED = 3.0
PLAIN = [model("gpt-4o", billing=tiered(tier(250, 1000, 125))), model("gpt-4.1", endpoints=[CHAT])]


@pytest.fixture(autouse=True)
def ready(gh, proxy: Both) -> None:
    """Each test begins with two plain models served, whatever the one before it did."""
    gh.set_catalog(PLAIN)
    gh.usage = {}
    follow(proxy, PLAIN)
    everywhere(proxy, lambda worker: worker.chat(P + "gpt-4o").status == 200, 30)
    gh.clear()


def everywhere(proxy: Both, check: Callable[[Worker], Any], seconds: float = PUBLISHED_TO_SERVED) -> None:
    """``check`` comes true in every worker."""
    end = time.monotonic() + seconds
    for worker in proxy.clients:
        until(lambda worker=worker: check(worker), end - time.monotonic(), f"{worker}")


def shown(items: list[dict[str, Any]]) -> set[str]:
    return {entry["model_name"] for entry in entries_of(items)} | BY_HAND


def follow(proxy: Both, items: list[dict[str, Any]]) -> None:
    """Publish, and wait until every worker has these models."""
    proxy.publish(items)
    everywhere(proxy, lambda worker: worker.models() == shown(items))


def mode_of(worker: Worker, name: str) -> str | None:
    return worker.info().get(P + name, {}).get("model_info", {}).get("mode")


def new_lines(proxy: Both, before: int) -> list[str]:
    return proxy.hook_log()[before:]


@pytest.mark.core
@pytest.mark.feature("follows")
def test_an_added_model_serves_and_a_removed_one_is_gone(gh, proxy):
    """A model of the new file answers in every worker, one that left gets LiteLLM's own 400, one line says each."""
    before = len(proxy.hook_log())
    items = [PLAIN[0], model("brand-new", endpoints=[RESPONSES])]
    gh.set_catalog(items)
    follow(proxy, items)
    for worker in proxy.clients:
        assert worker.serves(items[0]) and worker.serves(items[1])
        answer = worker.chat(P + "gpt-4.1")
        assert answer.status == 400 and "Invalid model name" in answer.text
    for text in (f"added {P}brand-new", f"removed {P}gpt-4.1"):
        lines = [line for line in new_lines(proxy, before) if line.endswith(text)]
        assert len(lines) == proxy.workers
    assert gh.refusals == []


@pytest.mark.core
@pytest.mark.feature("updates")
def test_changed_limits_and_prices_follow(gh, proxy):
    """/model/info, /v1/models and the cost of a request show the new numbers in every worker."""
    gh.usage = {"prompt_tokens": 1000, "completion_tokens": 100}
    for worker in proxy.clients:
        assert worker.chat(P + "gpt-4o").cost == pytest.approx(1000 * 2.5e-6 + 100 * 10e-6)
    changed = [model("gpt-4o", context=99_000, output=9_000, billing=tiered(tier(100, 400, 50))), PLAIN[1]]
    proxy.publish(changed)

    def follows(worker: Worker) -> bool:
        info = worker.info()[P + "gpt-4o"]["model_info"]
        return (info["max_input_tokens"], info["max_output_tokens"], info["input_cost_per_token"]) == (
            90_000,
            9_000,
            1e-6,
        )

    everywhere(proxy, follows)
    for worker in proxy.clients:
        assert worker.chat(P + "gpt-4o").cost == pytest.approx(1000 * 1e-6 + 100 * 4e-6)
        listed = {item["id"]: item for item in worker.request("GET", "/v1/models").json()["data"]}
        assert listed[P + "gpt-4o"].get("max_input_tokens", 90_000) == 90_000


@pytest.mark.core
@pytest.mark.feature("updates")
def test_a_price_tier_that_disappears_is_gone_from_the_cost(gh, proxy):
    """A long request costs the tier's price while there is one, and the plain price after."""
    gh.usage = {"prompt_tokens": 300_000, "completion_tokens": 100}
    long = tiered(tier(250, 1500, 25, context_max=272_000), tier(500, 2250, 50, context_max=1_050_000))
    with_tier = [model("gpt-4o", context=1_050_000, billing=long), PLAIN[1]]
    proxy.publish(with_tier)
    expected = 300_000 * 5e-6 + 100 * 22.5e-6
    everywhere(proxy, lambda worker: worker.chat(P + "gpt-4o").cost == pytest.approx(expected))
    without = [model("gpt-4o", context=1_050_000, billing=tiered(tier(250, 1500, 25))), PLAIN[1]]
    proxy.publish(without)
    expected = 300_000 * 2.5e-6 + 100 * 15e-6
    everywhere(proxy, lambda worker: worker.chat(P + "gpt-4o").cost == pytest.approx(expected))


def test_a_model_that_moves_from_responses_to_chat_is_called_there(gh, proxy):
    """Also where LiteLLM's built-in map says responses: requests go where the newest catalog says."""
    for endpoints, path in (([RESPONSES], "/responses"), ([CHAT, RESPONSES], "/chat/completions")):
        mode = "responses" if path == "/responses" else "chat"
        items = [*PLAIN, model("gpt-5.3-codex", endpoints=endpoints)]
        gh.set_catalog(items)
        proxy.publish(items)
        everywhere(proxy, lambda worker, mode=mode: mode_of(worker, "gpt-5.3-codex") == mode)
        gh.clear()
        for worker in proxy.clients:
            assert worker.chat(P + "gpt-5.3-codex").status == 200
        assert gh.count(path) == len(gh.requests) == proxy.workers


def test_one_model_moves_from_messages_to_chat(gh, proxy):
    """A model that only had /v1/messages serves chat requests when the catalog says so."""
    for endpoints in ([MESSAGES], [CHAT, MESSAGES]):
        items = [*PLAIN, model("claude-new", endpoints=endpoints)]
        gh.set_catalog(items)
        proxy.publish(items)
        everywhere(proxy, lambda worker, items=items: worker.serves(items[-1]))


def test_a_hand_written_entry_wins(gh, proxy):
    """An entry of config.yaml keeps its name through all changes, and the log says so once per worker."""
    before = len(proxy.hook_log())
    for number in range(2):
        items = [*PLAIN, model("gpt-4o-mini", context=1000 + number, output=100), model(f"other-{number}")]
        follow(proxy, items)
        for worker in proxy.clients:
            assert "hello from config.yaml" in worker.chat(P + "gpt-4o-mini").text
            assert worker.info()[P + "gpt-4o-mini"]["model_info"]["max_input_tokens"] == 4711
    follow(proxy, PLAIN)
    for worker in proxy.clients:
        assert "hello from config.yaml" in worker.chat(P + "gpt-4o-mini").text
    said = [line for line in new_lines(proxy, before) if "stays as config.yaml has it" in line]
    assert len(said) == proxy.workers


def test_a_stream_outlives_the_removal_of_its_model(gh, proxy):
    """A long stream through a reload, which removes its very model, ends complete."""
    gh.stream_chunks, gh.stream_gap = 60, 0.1
    try:
        body = {"model": P + "gpt-4.1", "stream": True, "messages": [{"role": "user", "content": "x"}]}
        with proxy.request("POST", "/v1/chat/completions", json=body, stream=True) as answer:
            lines = answer.iter_lines()
            begun = [line for line in (next(lines) for _ in range(4)) if line]
            assert begun
            follow(proxy, PLAIN[:1])
            assert all(worker.chat(P + "gpt-4.1").status == 400 for worker in proxy.clients)
            rest = [line for line in lines if line]
    finally:
        gh.stream_chunks, gh.stream_gap = 5, 0.02
    assert answer.status_code == 200
    assert rest[-1] == b"data: [DONE]" and b'"finish_reason":"stop"' in rest[-2].replace(b" ", b"")
    assert len(begun) + len(rest) >= 60


def test_useless_files_change_nothing(gh, proxy):
    """LiteLLM serves what it served before, says each in one line per worker, and follows the next good file."""
    spoiled = ["garbage", "nothing", "a list", "python object", "limit a text", "bomb", "deep", "mode a list"]
    for what in spoiled:
        before = len(proxy.hook_log())
        proxy.write(USELESS[what])
        until(lambda before=before: len(new_lines(proxy, before)) >= proxy.workers, 20, what)
        for worker in proxy.clients:
            assert worker.models() == shown(PLAIN)
            assert worker.request("GET", "/model_group/info").status == 200
        assert all("is invalid" in line for line in new_lines(proxy, before)), what
        assert len(new_lines(proxy, before)) == proxy.workers
    assert all(worker.serves(item) for worker in proxy.clients for item in PLAIN)
    follow(proxy, [*PLAIN, model("next")])


def test_a_missing_file_a_directory_and_a_pipe_in_its_place_change_nothing(gh, proxy):
    """Whatever stands where the models file was: what it held stays served, and the next good file counts."""
    for make in (lambda path: None, os.mkdir, os.mkfifo):
        before = len(proxy.hook_log())
        proxy.models_file.unlink()
        make(proxy.models_file)
        until(lambda before=before: len(new_lines(proxy, before)) >= proxy.workers, 20, "a line in the log")
        assert all("is invalid" in line for line in new_lines(proxy, before))
        assert all(worker.models() == shown(PLAIN) for worker in proxy.clients)
        if proxy.models_file.is_dir():
            proxy.models_file.rmdir()
        proxy.write(models_file_bytes(entries_of(PLAIN)))
    follow(proxy, [*PLAIN, model("next")])


def test_an_empty_list_keeps_the_known_models(gh, proxy):
    """A sidecar that starts on a fresh volume publishes an empty list: no reason to take models away."""
    before = len(proxy.hook_log())
    proxy.write(models_file_bytes([]))
    until(lambda: len(new_lines(proxy, before)) >= proxy.workers, 20, "a line in the log")
    assert all("is empty; the 2 models it contained before stay" in line for line in new_lines(proxy, before))
    assert all(worker.serves(item) for worker in proxy.clients for item in PLAIN)
    follow(proxy, [PLAIN[0]])


def test_an_entry_that_litellm_refuses_costs_only_itself(gh, proxy):
    """Its older version keeps serving at its old price, one line says why, and the other entries are applied."""
    gh.usage = {"prompt_tokens": 1000, "completion_tokens": 100}
    before = len(proxy.hook_log())
    entries = entries_of([*PLAIN, model("next")])
    spoiled = next(item for item in entries if item["model_name"] == P + "gpt-4o")
    spoiled["model_info"]["category"] = REFUSED
    proxy.write(models_file_bytes(entries))
    everywhere(proxy, lambda worker: P + "next" in worker.models())
    for worker in proxy.clients:
        assert worker.chat(P + "gpt-4o").cost == pytest.approx(1000 * 2.5e-6 + 100 * 10e-6)
    until(lambda: len(new_lines(proxy, before)) >= 2 * proxy.workers, 20, "both lines")
    assert len([line for line in new_lines(proxy, before) if f"LiteLLM refuses {P}gpt-4o: " in line]) == proxy.workers
    gh.set_catalog([*PLAIN, model("gpt-4o-later")])
    follow(proxy, [*PLAIN, model("gpt-4o-later")])
    assert len([line for line in new_lines(proxy, before) if "refuses" in line]) == proxy.workers


def test_a_configmaps_symlinks_are_followed(gh, proxy, tmp_path):
    """A ConfigMap volume swaps the symlink ``..data``; every worker sees it."""
    for number, items in enumerate(([*PLAIN, model("first")], [*PLAIN, model("second")])):
        version = tmp_path / f"..{number}"
        version.mkdir()
        (version / "models.yaml").write_bytes(models_file_bytes(entries_of(items)))
        (tmp_path / "..new").symlink_to(version.name)
        os.replace(tmp_path / "..new", tmp_path / "..data")
        if not proxy.models_file.is_symlink():
            proxy.models_file.unlink()
            proxy.models_file.symlink_to(tmp_path / "..data" / "models.yaml")
        everywhere(proxy, lambda worker, items=items: worker.models() == shown(items))
    proxy.models_file.unlink()


MANY = 300
LONGEST_HOLD = 0.05
"""CPU seconds for which the event loop may be held at a time, where LiteLLM itself can do one model in that time."""


def many(price: float) -> list[dict[str, Any]]:
    changing = tiered(tier(price, 4 * price, price / 10))
    return [*PLAIN, *(model(f"many-{n}", endpoints=[CHAT], billing=changing) for n in range(MANY))]


@pytest.mark.timeout(900)
def test_three_hundred_models_at_once_hold_up_no_request(gh, start, record_figure):
    """Added, changed and removed at once, they hold the loop for no longer than one model takes."""
    # And cost no more than LiteLLM's own entry point does for as many, which is measured in the same process.
    proxy: Proxy = start(
        gh,
        config={"model_list": [PINNED, MOCK]},
        env={"LITELLM_WORKER_STARTUP_HOOKS": "litellm_hot_reload:start,meter:start"},
    )
    shutil.copy(Path(__file__).with_name("meter.py"), proxy.home)
    proxy.login(gh.new_access_token())
    proxy.publish(PLAIN)
    proxy.start()
    (worker,) = proxy.clients
    until(lambda: worker.chat(P + "gpt-4o").status == 200, 30, "a first answer")
    stop, failures = threading.Event(), list[str]()

    def ask() -> None:
        (client,) = proxy.connect()
        while not stop.is_set():
            answer = client.chat("mock")
            if answer.status != 200:
                failures.append(answer.text)
        client.close()

    asker = threading.Thread(target=ask)
    asker.start()
    took: dict[str, float] = {}
    holds: dict[str, list[float]] = {}
    try:
        for what, items in (("add", many(250)), ("change", many(300)), ("remove", PLAIN)):
            before, began = len(proxy.hook_log()), time.time()
            proxy.publish(items)
            until(lambda before=before: len(proxy.hook_log()) >= before + MANY, 300, what)
            took[what], holds[what] = time.time() - began, held(proxy, began)
    finally:
        stop.set()
        asker.join()
    (proxy.home / "control").write_text(str(MANY))
    control = float(until(lambda: content(proxy.home / "control.txt"), 60, "LiteLLM's own change"))
    longest = {what: max(seconds) for what, seconds in holds.items()}
    print(f"\nLiteLLM alone: {control:.2f} s CPU in one go for {MANY} replaced models")
    for what in took:
        print(f"{what:7} {took[what]:.2f} s in all, the loop held for at most {longest[what] * 1000:.0f} ms of CPU")
    record_figure("300 models changed at once, s", round(took["change"], 2))
    record_figure("loop held at most, ms of CPU", round(max(longest.values()) * 1000))
    assert failures == []
    assert max(longest.values()) < max(LONGEST_HOLD, 4 * control / MANY)


def held(proxy: Proxy, since: float) -> list[float]:
    rows = (line.split() for line in (proxy.home / "meter.txt").read_text().splitlines())
    return [0.0, *(float(row[1]) for row in rows if len(row) == 2 and float(row[0]) >= since)]


def content(file: Path) -> str:
    return file.read_text().strip() if file.exists() else ""
