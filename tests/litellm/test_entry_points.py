"""The hook uses LiteLLM's documented entry points where there are any, and tells what it found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.litellm_versions import versions
from sidecar.files import replace_file
from sidecar.models.entries import PROVIDER
from tests.fakes.catalog import CHAT, model, tier, tiered
from tests.support import canary
from tests.support.waiting import until

from .proxy import CONFIG, Proxy
from .results import litellm_version

P = PROVIDER
MOCK = {"model_name": "mock", "litellm_params": {"model": "openai/mock", "api_key": "x", "mock_response": "hi"}}


def items(price: float, *more: str) -> list[dict[str, Any]]:
    billing = tiered(tier(price, 4 * price, price / 10))
    return [model(name, endpoints=[CHAT], billing=billing) for name in ("gpt-4o", "gpt-4.1", *more)]


@pytest.fixture(scope="module")
def strict(gh, tmp_path_factory) -> Iterator[Proxy]:
    """A LiteLLM in which a deprecated member that the hook uses is an error; models file and config are followed."""
    env = {**gh.env(), "LITELLM_WORKER_STARTUP_HOOKS": "strict:start,litellm_hot_reload:start"}
    proxy = Proxy(tmp_path_factory.mktemp("strict"), env, config={"model_list": [MOCK]})
    proxy.env |= {"COPILOT_FOLLOW_CONFIG": str(proxy.config), "COPILOT_SYNC_URL": "http://127.0.0.1:9"}
    shutil.copy(Path(__file__).with_name("strict.py"), proxy.home)
    proxy.login(gh.new_access_token())
    gh.set_catalog(items(250))
    proxy.publish(items(250))
    with proxy:
        yield proxy


@pytest.mark.core
@pytest.mark.feature("follows", "updates", "config followed", "early refusal")
def test_nothing_that_is_about_to_go_is_used(strict, gh):
    """Additions, changes, removals, an edited config and a refused token: no deprecated member of the router."""
    proxy = strict
    (worker,) = proxy.clients
    until(lambda: worker.chat(P + "gpt-4o").status == 200, 15, "a first answer")
    gh.set_catalog(items(300, "new"))
    proxy.publish(items(300, "new"))
    until(lambda: worker.chat(P + "new").status == 200, 20, "an added model")
    until(lambda: price_of(proxy, "gpt-4o") == pytest.approx(3e-6), 20, "a changed price")
    proxy.publish(items(300))
    until(lambda: worker.chat(P + "new").status == 400, 20, "a removed model")
    edited = {**CONFIG, "include": [str(proxy.models_file)], "model_list": [{**MOCK, "model_name": "renamed"}]}
    replace_file(proxy.config, yaml.safe_dump(edited).encode(), mode=0o644)
    until(lambda: worker.chat("renamed").status == 200 and worker.chat("mock").status == 400, 20, "an edited config")
    gh.refuse_copilot_tokens()
    assert worker.chat(P + "gpt-4o").status == 401
    until(lambda: worker.chat(P + "gpt-4o").status == 200, 20, "a renewed token")
    assert [line for line in proxy.hook_log() if "unexpectedly" in line] == []
    uses = json.loads((proxy.home / "uses.json").read_text())
    assert uses in (None, {}), "None: this LiteLLM has deprecated nothing yet"
    paths = json.loads((proxy.home / "paths.json").read_text())
    assert paths in (None, []), "None: this LiteLLM does not say on which of its paths callbacks are"
    assert paths == [] or litellm_version() not in {item.number for item in versions() if item.role == "newest"}


def price_of(proxy: Proxy, name: str) -> float:
    return float(proxy.info()[P + name]["model_info"]["input_cost_per_token"])


@pytest.mark.core
@pytest.mark.feature("guards")
def test_the_hook_tells_what_it_found(strict):
    """One line per worker, and a page of LiteLLM's for whoever has its key: the version, and all that is guarded."""
    proxy = strict
    (line,) = until(lambda: [line for line in proxy.hook_log() if "models by" in line], 30, "the line")
    assert f"LiteLLM {litellm_version()}: models by " in line and "NOT" not in line
    told = proxy.request("GET", "/copilot_hook").json()
    assert told["litellm"] == litellm_version()
    assert {"get_api_key", "get_api_base"} <= set(told["guarded"])
    assert (told["unguarded"], told["unknown"], told["notes"]) == ([], [], [])
    assert told["refusals_noticed"] and told["follows"]
    refused = proxy.request("GET", "/copilot_hook", headers={"Authorization": f"Bearer {canary.new('k')}"})
    assert refused.status_code >= 400 and "guarded" not in refused.text
