"""However LiteLLM starts, it ends up serving the live models, and the hook never keeps it from starting."""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Iterable
from typing import Any

import pytest

from sidecar.models.catalog import catalog_items
from sidecar.settings import Settings
from tests.fakes.copilot import MESSAGES, endpoints_of
from tests.support.entries import entries_of
from tests.support.waiting import until

from .facts import expected_of
from .proxy import OTHER, Proxy, Worker
from .results import litellm_version

# With the editor headers, which LiteLLM before 1.99 does not send of itself.
OWN = {
    "model_name": "mine",
    "litellm_params": {"model": "github_copilot/gpt-4o", "extra_headers": Settings().editor_headers()},
}

WORKERS = [pytest.param(1, marks=pytest.mark.core), pytest.param(2, marks=pytest.mark.nightly)]


def served(gh) -> list[dict[str, Any]]:
    """The catalog items that are in the models file, and that this LiteLLM has an endpoint for."""
    names = {entry["litellm_params"]["model"].partition("/")[2] for entry in entries_of(gh.catalog)}
    return [
        item
        for item in catalog_items({"data": gh.catalog})
        if item["id"] in names and (expected_of(litellm_version()).own_messages or endpoints_of(item) != [MESSAGES])
    ]


def names(gh) -> set[str]:
    return {entry["model_name"] for entry in entries_of(gh.catalog)}


def all_serve(proxy: Proxy, gh, end: float) -> None:
    """In every worker a model serves before ``end``, and then all the others do, asked once."""
    first, *others = served(gh)
    for worker in proxy.clients:
        until(lambda worker=worker: worker.serves(first), end - time.monotonic(), f"{first['id']} in {worker}")
    for worker in proxy.clients:
        assert [item["id"] for item in others if not worker.serves(item)] == []


def fails_fast(worker: Worker, models: Iterable[str], reason: str) -> None:
    """Requests get a clear error at once, and no cooldown of LiteLLM's hides it. (400: LiteLLM turns all into that.)"""
    for model_name in (*models, *models):
        answer = worker.chat(model_name)
        assert answer.status == 400 and reason in answer.text
    assert answer.seconds < 1


@pytest.mark.parametrize("workers", WORKERS)
def test_models_serve_within_5_seconds_of_a_login_that_comes_after_the_start(workers, fresh_gh, start):
    """Before a login requests fail at once and say why; after it all models serve, hand-written ones too."""
    gh = fresh_gh
    proxy = start(gh, workers=workers, config={"model_list": [OWN]})
    proxy.start()
    proxy.publish(gh.catalog)
    for worker in proxy.clients:
        until(lambda worker=worker: worker.models() == names(gh) | {"mine"}, 30, "the models of the file")
        fails_fast(worker, ("mine", *names(gh)), "nobody has logged in to GitHub yet: `docker compose run --rm login`")
    assert gh.requests == []
    processes = proxy.pids()

    end = time.monotonic() + 5
    proxy.login(gh.new_access_token())
    all_serve(proxy, gh, end)
    for worker in proxy.clients:
        assert "hello from gpt-4o" in worker.chat("mine").text
    assert proxy.pids() == processes
    assert gh.refusals == []


@pytest.mark.parametrize("workers", WORKERS)
def test_models_serve_within_5_seconds_of_githubs_return(workers, fresh_gh, start):
    """LiteLLM started while GitHub was down; its models come back by themselves, without a restart."""
    gh = fresh_gh
    proxy = start(gh, workers=workers, config={"model_list": [OWN]})
    proxy.login(gh.new_access_token())
    proxy.publish(gh.catalog)
    gh.down()
    proxy.start()
    for worker in proxy.clients:
        until(lambda worker=worker: worker.models() == names(gh) | {"mine"}, 30, "the models of the file")
        fails_fast(worker, ("mine", *names(gh)), "GitHub does not answer")

    end = time.monotonic() + 5
    gh.up()
    all_serve(proxy, gh, end)
    assert gh.refusals == []


HOOK = {"LITELLM_WORKER_STARTUP_HOOKS": "litellm_hot_reload:start"}
BREAKAGES: dict[str, dict[str, str]] = {
    "paths that lead nowhere": {
        "COPILOT_MODELS_FILE": "/nowhere/models.yaml",
        "GITHUB_COPILOT_TOKEN_DIR": "/proc/nowhere",
        "GITHUB_COPILOT_API_KEY_FILE": "/proc/nowhere/api-key.json",
    },
    "a home that does not exist": {"GITHUB_COPILOT_TOKEN_DIR": "~nobody-of-this-name/auth"},
    "another LiteLLM": {"SABOTAGE": "authenticator"},
    "no threads": {"SABOTAGE": "threads"},
}
SABOTAGE = """
    import importlib.util, os, sys, threading

    class Finder:
        def find_spec(self, name, path, target=None):
            if name != "litellm.llms.github_copilot.authenticator":
                return None
            sys.meta_path.remove(self)
            spec = importlib.util.find_spec(name)
            load = spec.loader.exec_module
            def exec_module(module):
                load(module)
                del module.Authenticator.get_api_key
            spec.loader.exec_module = exec_module
            return spec

    if os.environ.get("SABOTAGE") == "authenticator":
        sys.meta_path.insert(0, Finder())
    if os.environ.get("SABOTAGE") == "threads":
        begin = threading.Thread.start
        def start(self):
            if self.name == "copilot-token":
                raise RuntimeError("no more threads")
            begin(self)
        threading.Thread.start = start
"""


def test_a_hook_that_fails_does_not_keep_litellm_from_starting(fresh_gh, start):
    """However it is broken, LiteLLM serves its other models, and the hook's log says what is wrong."""
    proxies = {}
    for what, env in BREAKAGES.items():
        proxy = proxies[what] = start(fresh_gh, hook=False, config={"model_list": [OTHER, OWN]}, env={**HOOK, **env})
        (proxy.home / "sitecustomize.py").write_text(textwrap.dedent(SABOTAGE))
        if what == "another LiteLLM":
            proxy.login(fresh_gh.new_access_token())
        proxy.start(wait=False)
    said = "could not start|is invalid|NOT guarded|waiting for a login"
    for what, proxy in proxies.items():
        proxy.wait_ready()
        assert proxy.chat("other").status_code == 200, what
        until(lambda proxy=proxy, said=said: re.search(said, str(proxy.hook_log())), 30, f"a line about {what}")
