"""Prices of one source: no id that LiteLLM knows gets LiteLLM's own prices mixed into the catalog's."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sidecar.litellm_hot_reload.managed import PROVIDER
from sidecar.models.entries import models_file_bytes
from tests.fakes.catalog import model, nano, tier, tiered
from tests.fakes.github import GitHub
from tests.support.entries import entries_of
from tests.support.waiting import until

from .proxy import Proxy
from .results import litellm_python, litellm_version
from .test_rendering import price_of

pytestmark = pytest.mark.long

KNOWN_IDS = """
import json, os
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
from litellm.llms.github_copilot.authenticator import Authenticator

# LiteLLM before 1.106 would start a device login only to look up a price.
Authenticator.get_api_key = Authenticator.get_api_base = lambda self: "none"

def priced(key):
    try:
        info = litellm.get_model_info(model="github_copilot/" + key)
    except Exception:
        return False
    return any(value for name, value in info.items() if "cost" in name and name != "key")

keys = sorted({name.rsplit("/", 1)[-1] for name in litellm.model_cost if name != "sample_spec"})
print(json.dumps([key for key in keys if priced(key)]))
"""
BILLINGS: dict[str, dict[str, Any]] = {
    "uncached": tiered(tier(17, 71)),
    "unwritten": tiered(tier(17, 71, 3)),
    "flat": nano(17, 71, 3),
    "full": tiered(tier(17, 71, 3, cache_write_price=23)),
    "below": tiered(tier(17, 71, context_max=128_000), tier(29, 97)),
    "above": tiered(tier(17, 71, 3, context_max=272_000), tier(29, 97, 5)),
    "input-only": tiered({"input_price": 17}),
}
TIERED = ("below", "above", "zero")
SIZES = [100_000, 250_000, 300_000]
CASES = [
    *((kind, 250_000) for kind in (*BILLINGS, "zero-unpriced") if kind not in TIERED),
    *((kind, size) for kind in TIERED for size in SIZES),
]


@dataclass
class Setup:
    """A LiteLLM that serves every id it has prices for, at each kind of price, and what was written for each."""

    gh: GitHub
    proxy: Proxy
    known: list[str]
    entries: dict[str, dict[str, Any]]


def variants(known: list[str]) -> list[dict[str, Any]]:
    """One entry for each known id and kind of price: named ``kind/id``, with an id of its own."""
    found = []
    for kind, billing in [*BILLINGS.items(), ("zero", BILLINGS["above"]), ("zero-unpriced", None)]:
        prices = "zero" if kind.startswith("zero") else "live"
        items = [model(key, endpoints=["/chat/completions"], billing=billing) for key in known]
        for entry in entries_of(items, COPILOT_PRICES=prices):
            entry["model_name"] = f"{kind}/{entry['litellm_params']['model'].removeprefix(PROVIDER)}"
            entry["model_info"]["id"] += f"@alias:{kind}"
            found.append(entry)
    return found


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    command = [litellm_python(), "-c", KNOWN_IDS]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    # LiteLLM before 1.90 has no price for any Copilot model; an id of everybody's keeps the test from being empty.
    known = sorted({*json.loads(listed.stdout.splitlines()[-1]), "claude-sonnet-4.6", "gpt-4o"})
    with GitHub() as gh:
        proxy = Proxy(tmp_path_factory.mktemp("unmixed"), gh.env())
        proxy.login(gh.new_access_token())
        entries = variants(known)
        gh.set_catalog([model(key, endpoints=["/chat/completions", "/responses"]) for key in known])
        proxy.write(models_file_bytes(entries))
        with proxy:
            names = {entry["model_name"]: entry for entry in entries}
            until(lambda: proxy.models() == set(names), 60, "all models served", every=0.5)
            yield Setup(gh, proxy, known, names)


@pytest.mark.core
def test_every_price_is_the_one_that_was_written(setup: Setup) -> None:
    """/model/info shows no price of LiteLLM's where the catalog prices input and output."""
    # But for boundaries that the catalog does not have: those it adds from its own map, for display only, and
    # test_every_request_costs_what_the_catalog_says shows that they enter no cost.
    shown = setup.proxy.info()
    assert len(shown) == len(setup.known) * (len(BILLINGS) + 2)
    mixed = {}
    for name, entry in setup.entries.items():
        if name.startswith("input-only/"):
            continue
        written = {key: float(value) for key, value in entry["model_info"].items() if "cost" in key}
        found = {key: value for key, value in shown[name]["model_info"].items() if "cost" in key and value}
        others = {key: value for key, value in found.items() if written.get(key) != value}
        if any(key in written or not re.search(r"_above_\d+k_tokens$", key) for key in others):
            mixed[name] = others
    assert mixed == {}


def expected_cost(kind: str, usage: dict[str, int]) -> float:
    """What the catalog says that a request costs; LiteLLM before 1.99 does not know every price above a boundary."""
    if kind not in BILLINGS:
        return 0
    prices = BILLINGS[kind]["token_prices"]
    if "long_context" in prices and tuple(map(int, litellm_version().split(".")[:2])) < (1, 99):
        default = prices["default"]
        unknown = (
            ["cache_write_price"] if default["context_max"] == 272_000 else ["cache_read_price", "cache_write_price"]
        )
        cached = {name: default.get(name, default["input_price"]) for name in unknown}
        prices = {**prices, "long_context": prices["long_context"] | cached}
    cost = price_of({"billing": {"token_prices": prices}}, usage)
    assert cost is not None
    return float(cost)


@pytest.mark.parametrize(("kind", "size"), CASES)
def test_every_request_costs_what_the_catalog_says(setup: Setup, kind: str, size: int) -> None:
    """Cached and written tokens included, below and above the boundaries, to 1e-12 dollars, whatever LiteLLM knows."""
    usage = {"prompt_tokens": size, "completion_tokens": 11, "cached_tokens": 3_000, "cache_creation_tokens": 5_000}
    setup.gh.usage = usage
    expected = expected_cost(kind, usage)
    wrong = {}
    for key in setup.known:
        answer = setup.proxy.chat(f"{kind}/{key}")
        assert answer.status_code == 200, answer.text
        cost = float(answer.headers.get("x-litellm-response-cost") or 0)  # LiteLLM leaves a cost of zero out
        if cost != pytest.approx(expected, abs=1e-12, rel=0):
            wrong[key] = cost
    assert wrong == {}
