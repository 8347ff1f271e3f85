"""What the catalog says is what LiteLLM does: model info to the field, costs to the cent, endpoints, headers."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import requests

from sidecar.models.catalog import catalog_items
from sidecar.service.sync import entries_for, run_once
from sidecar.settings import Settings
from tests.fakes.catalog import model, multiplier, nano, tier, tiered
from tests.fakes.github import GitHub
from tests.support.waiting import until

from .proxy import CONFIG, Proxy

BOUNDARIES = [100_000, 128_000, 200_000, 252_000, 272_000, 300_500]
KINDS: dict[str, dict[str, Any]] = {
    "chat": {"endpoints": ["/chat/completions"]},
    "typed": {"endpoints": None},
    "both": {"endpoints": ["/chat/completions", "/responses", "ws:/responses"]},
    "responses": {"endpoints": ["/responses", "ws:/responses"]},
    "claude": {"endpoints": ["/chat/completions", "/v1/messages"], "vendor": "Anthropic"},
    "claude-messages": {"endpoints": ["/v1/messages"], "vendor": "Anthropic"},
}
BILLINGS: dict[str, Any] = {
    "unpriced": None,
    "multiplier": multiplier(1),
    "flat": nano(175, 1400, 17.5),
    "single": tiered(tier(300, 1500, 30, cache_write_price=375)),
    "uncached": tiered(tier(15, 60)),
    "small-batch": tiered(tier(0.3, 1.5, 0.03), batch_size=1000),
    **{
        f"tier-{boundary}": tiered(
            tier(175, 1400, 17.5, cache_write_price=218.75, context_max=boundary),
            tier(350, 2100, 35, cache_write_price=437.5),
        )
        for boundary in BOUNDARIES
    },
    "long-write-missing": tiered(
        tier(300, 1500, 30, cache_write_price=375, max_prompt_tokens=200_000), tier(600, 2250, 60)
    ),
    "long-the-same": tiered(tier(300, 1500, 30, context_max=200_000), tier(300, 1500, 30)),
}
ABILITIES: dict[str, dict[str, Any]] = {
    "plain": {"supports": {"tool_calls": None, "parallel_tool_calls": None, "structured_outputs": None}},
    "able": {
        "vision": True,
        "reasoning": ["low", "medium", "high", "xhigh"],
        "supports": {"adaptive_thinking": True, "min_thinking_budget": 1024, "max_thinking_budget": 32000},
    },
}
# Ids that LiteLLM's own table knows otherwise: as responses-only, with tiers at 100k, 200k and 272k.
KNOWN = {
    "gpt-5.4-mini": {"endpoints": ["/chat/completions"], "billing": BILLINGS["single"]},
    "claude-haiku-5.5": {"endpoints": ["/chat/completions"], "billing": BILLINGS["single"]},
    "grok-4.6": {"endpoints": ["/responses"], "billing": BILLINGS["tier-272000"]},
    "gpt-6-sol": {"endpoints": ["/responses"], "billing": BILLINGS["tier-100000"]},
    "gpt-4o": {"endpoints": None, "billing": None},
}


def catalog() -> list[dict[str, Any]]:
    """Every kind with every price and every ability, and some embeddings."""
    combinations = itertools.product(KINDS.items(), BILLINGS.items(), ABILITIES.items())
    return [
        *(
            model(f"{kind}.{price}.{ability}", billing=billing, category="powerful", **how, **can)
            for (kind, how), (price, billing), (ability, can) in combinations
        ),
        *(model(key, **how) for key, how in KNOWN.items()),
        model("embed-free", type="embeddings", picker=False),
        model("embed-paid", type="embeddings", picker=False, billing=tiered(tier(2, 0))),
    ]


RECORDER = """
import json, os
from litellm.integrations.custom_logger import CustomLogger

class Recorder(CustomLogger):
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        with open(os.environ["COST_FILE"], "a") as file:
            user = kwargs["litellm_params"]["metadata"].get("user_api_key_end_user_id") or kwargs.get("user")
            file.write(json.dumps([kwargs.get("user") or user, kwargs.get("response_cost")]) + "\\n")

instance = Recorder()
"""


class Setup:
    """A LiteLLM that follows what the sidecar made of ``catalog``."""

    def __init__(self, home: Path, gh: GitHub) -> None:
        self.gh, self.catalog = gh, catalog()
        gh.set_catalog(self.catalog)
        (home / "recorder.py").write_text(RECORDER)
        self.costs = home / "costs.jsonl"
        self.proxy = Proxy(
            home,
            {**gh.env(), "COST_FILE": str(self.costs)},
            config={"litellm_settings": {**CONFIG["litellm_settings"], "callbacks": "recorder.instance"}},
        )
        self.proxy.login(gh.new_access_token())
        self.settings = Settings.load(
            {
                **gh.env(),
                "GITHUB_COPILOT_TOKEN_DIR": str(self.proxy.token_dir),
                "COPILOT_MODELS_FILE": str(self.proxy.models_file),
                "COPILOT_EMBEDDINGS": "true",
            }
        )
        self.result = run_once(self.settings, threading.Event())
        _, self.entries = entries_for(catalog_items({"data": gh.catalog}), self.settings)

    def models(self) -> set[str]:
        return {item["id"] for item in self.proxy.request("GET", "/v1/models").json()["data"]}

    def info(self) -> dict[str, Any]:
        """``/model/info`` by model name."""
        return {item["model_name"]: item for item in self.proxy.request("GET", "/model/info").json()["data"]}

    def chat(self, model_id: str) -> requests.Response:
        body = {"model": "github_copilot/" + model_id, "messages": [{"role": "user", "content": "hello"}]}
        return self.proxy.request("POST", "/v1/chat/completions", json=body)


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    with GitHub() as gh:
        made = Setup(tmp_path_factory.mktemp("rendering"), gh)
        with made.proxy:
            until(lambda: len(made.models()) == made.result.models, 20, "all models served")
            yield made


def price_of(item: dict[str, Any], usage: dict[str, int]) -> Fraction | None:
    """The cost of a request in USD, computed from the catalog item alone, without a float on the way."""
    prices = (item.get("billing") or {}).get("token_prices")
    if not prices:
        return None
    unit = Fraction(1, 100) / Fraction(str(prices["batch_size"]))
    default, longer = prices.get("default", prices), prices.get("long_context")
    if default is prices:
        unit /= 10**9
    boundary = default.get("context_max") or default.get("max_prompt_tokens")
    used = dict(default)
    if longer and boundary and usage["prompt_tokens"] > boundary:
        used |= longer

    def rate(*names: str) -> Fraction | None:
        return next((Fraction(str(used[name])) * unit for name in names if name in used), None)

    base = rate("input_price") or Fraction(0)
    cached, written = usage.get("cached_tokens", 0), usage.get("cache_creation_tokens", 0)
    read, write = rate("cache_read_price", "cache_price"), rate("cache_write_price")
    return (
        (usage["prompt_tokens"] - cached - written) * base
        + cached * (base if read is None else read)
        + written * (base if write is None else write)
        + usage["completion_tokens"] * (rate("output_price") or 0)
    )


def test_model_info_holds_what_was_meant(setup: Setup) -> None:
    """Every field that was written is what /model/info says, for every combination."""
    served = setup.info()
    assert len(served) == len(setup.entries) > 150
    for entry in setup.entries:
        shown = served[entry["model_name"]]["model_info"]
        for key, value in entry["model_info"].items():
            assert shown.get(key) == (float(value) if "cost" in key else value), (entry["model_name"], key)


def test_unknown_prices_stay_unknown(setup: Setup) -> None:
    """A model without a price in the catalog has none in LiteLLM, unless LiteLLM knows one itself."""
    served = setup.info()
    assert not served["github_copilot/chat.unpriced.plain"]["model_info"].get("input_cost_per_token")
    response = setup.chat("chat.unpriced.plain")
    assert float(response.headers.get("x-litellm-response-cost") or 0) == 0


USAGES = [
    {"prompt_tokens": 1000, "completion_tokens": 50},
    {"prompt_tokens": 90_000, "completion_tokens": 7, "cached_tokens": 80_000},
    *({"prompt_tokens": boundary, "completion_tokens": 11, "cached_tokens": 512} for boundary in BOUNDARIES),
    *({"prompt_tokens": boundary + 1, "completion_tokens": 11, "cached_tokens": 512} for boundary in BOUNDARIES),
    {"prompt_tokens": 150_000, "completion_tokens": 99, "cached_tokens": 1000, "cache_creation_tokens": 2000},
    {"prompt_tokens": 310_000, "completion_tokens": 99, "cached_tokens": 1000, "cache_creation_tokens": 2000},
]


def priced(setup: Setup, *kinds: str) -> list[dict[str, Any]]:
    wanted = [
        item
        for item in setup.catalog
        if (item["id"].split(".")[0] in kinds and item["id"].endswith(".able")) or item["id"] in KNOWN
    ]
    return [item for item in wanted if price_of(item, USAGES[0]) is not None]


@pytest.mark.parametrize("usage", USAGES, ids=lambda usage: "-".join(map(str, usage.values())))
def test_cost_of_a_request(setup: Setup, usage: dict[str, int]) -> None:
    """x-litellm-response-cost equals an independent calculation, below and above every boundary."""
    setup.gh.usage = usage
    for item in priced(setup, "chat", "responses"):
        if usage.get("cache_creation_tokens") and "cache_write_price" not in json.dumps(item):
            continue  # nobody writes to a cache that the catalog does not price
        response = setup.chat(item["id"])
        assert response.status_code == 200, response.text
        cost = float(response.headers["x-litellm-response-cost"])
        assert cost == pytest.approx(float(price_of(item, usage)), abs=1e-12, rel=0), item["id"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
def test_cost_of_a_stream(setup: Setup, path: str) -> None:
    """A streamed answer costs the same, below and above the boundary, whatever the API."""
    expected = {}
    for number, usage in enumerate([USAGES[1], USAGES[-1]]):
        setup.gh.usage = usage
        for item in priced(setup, "claude") if path == "/v1/messages" else priced(setup, "both", "responses"):
            if "cache_write_price" not in json.dumps(item) or item["id"] in KNOWN:
                continue
            user = f"{path}-{number}-{item['id']}"
            body: dict[str, Any] = {"model": "github_copilot/" + item["id"], "stream": True}
            if path == "/v1/responses":
                body |= {"input": "hello", "user": user}
            else:
                body |= {"messages": [{"role": "user", "content": "hello"}]}
                body |= {"max_tokens": 99, "metadata": {"user_id": user}} if path == "/v1/messages" else {"user": user}
            response = setup.proxy.request("POST", path, json=body)
            assert response.status_code == 200, response.text
            expected[user] = price_of(item, usage)
    assert len(expected) > 10

    def recorded() -> dict[str, float]:
        lines = setup.costs.read_text().splitlines() if setup.costs.exists() else []
        return {user: cost for user, cost in map(json.loads, lines) if user in expected}

    until(lambda: len(recorded()) == len(expected), 20, "all costs recorded")
    for user, cost in recorded().items():
        assert cost == pytest.approx(float(expected[user]), abs=1e-12, rel=0), user


TOOL = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}},
}
PICTURE = "data:image/png;base64,iVBORw0KGgo="
IMAGE = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]


@pytest.mark.parametrize(
    ("model_id", "request_path", "body", "copilot_path"),
    [
        ("chat.single.able", "/v1/chat/completions", {}, "/chat/completions"),
        ("typed.single.able", "/v1/chat/completions", {}, "/chat/completions"),
        ("both.single.able", "/v1/chat/completions", {}, "/chat/completions"),
        ("responses.single.able", "/v1/chat/completions", {}, "/responses"),
        ("gpt-5.4-mini", "/v1/chat/completions", {}, "/chat/completions"),
        ("grok-4.6", "/v1/chat/completions", {}, "/responses"),
        ("chat.single.able", "/v1/chat/completions", {"tools": [TOOL], "tool_choice": "required"}, "/chat/completions"),
        ("responses.single.able", "/v1/chat/completions", {"tools": [TOOL], "tool_choice": "required"}, "/responses"),
        ("chat.single.able", "/v1/chat/completions", {"content": IMAGE}, "/chat/completions"),
        ("responses.single.able", "/v1/chat/completions", {"content": IMAGE}, "/responses"),
        ("chat.single.able", "/v1/chat/completions", {"reasoning_effort": "low"}, "/chat/completions"),
        ("responses.single.able", "/v1/responses", {}, "/responses"),
        ("chat.single.able", "/v1/responses", {}, "/chat/completions"),
        ("claude.single.able", "/v1/messages", {}, "/v1/messages"),
        ("claude-messages.single.able", "/v1/messages", {}, "/v1/messages"),
        ("chat.single.able", "/v1/messages", {}, "/chat/completions"),
        ("responses.single.able", "/v1/messages", {}, "/responses"),
        ("embed-free", "/v1/embeddings", {}, "/embeddings"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_endpoint(
    setup: Setup, model_id: str, request_path: str, body: dict[str, Any], copilot_path: str, stream: bool
) -> None:
    """Each request reaches the endpoint that the model has, with the editor headers and nothing unknown in it."""
    setup.gh.usage = {}
    setup.gh.clear()
    body = dict(body)
    content = body.pop("content", "hello")
    body["model"] = "github_copilot/" + model_id
    if request_path in {"/v1/responses", "/v1/embeddings"}:
        body["input"] = "hello"
    else:
        body["messages"] = [{"role": "system", "content": "be brief"}, {"role": "user", "content": content}]
        if request_path == "/v1/messages":
            body["system"] = body["messages"].pop(0)["content"]
            body["max_tokens"] = 50
    if request_path == "/v1/embeddings":
        if stream:
            pytest.skip("embeddings are not streamed")
    else:
        body["stream"] = stream
    response = setup.proxy.request("POST", request_path, json=body)
    assert response.status_code == 200, response.text
    assert ("look_up" if "tools" in body else "0." if "embed" in model_id else f"hello from {model_id}") in (
        response.text.replace('"},"finish_reason":null', "") if not stream else _said(response.text)
    )
    sent = [seen for seen in setup.gh.requests if seen.path == copilot_path]
    assert len(sent) == 1
    assert setup.gh.refusals == []
    for name, value in setup.settings.editor_headers().items():
        # LiteLLM does not apply extra_headers to embeddings; it has editor headers of its own there.
        assert (value if "embed" not in model_id else "/" if "-id" not in name else "vscode") in sent[0].headers[name]
    if request_path == "/v1/chat/completions" and copilot_path == "/chat/completions":
        assert sent[0].body["messages"][0]["role"] == "system"


def _said(stream: str) -> str:
    """The text (and tool names) of an event stream, put together."""
    said = []
    for line in stream.splitlines():
        if line.startswith("data: {"):
            event = json.loads(line.removeprefix("data: "))
            if event.get("type") == "response.output_text.delta":
                said.append(event["delta"])
            said += [event.get("delta", {}).get("text") or "" for _ in "1" if isinstance(event.get("delta"), dict)]
            for choice in event.get("choices", []):
                said.append(choice["delta"].get("content") or "")
                said += [call["function"].get("name") or "" for call in choice["delta"].get("tool_calls") or []]
    return "".join(said)
