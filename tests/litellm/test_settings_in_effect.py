"""Names, aliases, overrides and price sources, as a running LiteLLM shows them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sidecar.service.sync import run_once
from sidecar.settings import Settings
from tests.fakes.catalog import model, tier, tiered
from tests.fakes.github import GitHub
from tests.support.waiting import until

from .proxy import Proxy

CATALOG = [
    model("claude-sonnet-4.6", endpoints=["/chat/completions", "/v1/messages"], billing=tiered(tier(300, 1500, 30))),
    model("claude-sonnet-5.5", endpoints=["/chat/completions", "/v1/messages"], billing=tiered(tier(200, 1000, 20))),
    model("claude-sonnet-6", endpoints=["/chat/completions"], preview=True, billing=tiered(tier(400, 2000, 40))),
    model("grok-4.7", endpoints=["/chat/completions"], billing=tiered(tier(900, 9000, 90))),
]


class Running:
    """A LiteLLM, and syncs with any settings."""

    def __init__(self, home: Path, gh: GitHub) -> None:
        self.gh, self.proxy = gh, Proxy(home, gh.env())
        self.home = home
        gh.set_catalog(CATALOG)
        self.proxy.login(gh.new_access_token())

    def sync(self, names: set[str], **environ: str) -> None:
        """Sync with ``environ`` and wait until exactly ``names`` are served and in sync."""
        settings = Settings.load(
            {
                **self.gh.env(),
                "GITHUB_COPILOT_TOKEN_DIR": str(self.proxy.token_dir),
                "COPILOT_MODELS_FILE": str(self.proxy.models_file),
                **environ,
            }
        )
        seen = len(self.proxy.hook_log())
        result = run_once(settings, threading.Event())
        assert result.change is not None
        touched = len(result.change.added + result.change.changed + result.change.removed)
        until(lambda: len(self.proxy.hook_log()) >= seen + touched, 30, "the hook followed")
        served = {item["id"] for item in self.proxy.request("GET", "/v1/models").json()["data"]}
        assert served == names

    def info(self, name: str) -> dict[str, Any]:
        data = self.proxy.request("GET", "/model/info").json()["data"]
        return next(item for item in data if item["model_name"] == name)

    def chat(self, name: str) -> requests.Response:
        body = {"model": name, "messages": [{"role": "user", "content": "hello"}]}
        return self.proxy.request("POST", "/v1/chat/completions", json=body)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with GitHub() as gh:
        made = Running(tmp_path_factory.mktemp("settings"), gh)
        with made.proxy:
            yield made


PREFIXED = {"github_copilot/" + item["id"] for item in CATALOG}
BARE = {item["id"] for item in CATALOG}


def cost(response: requests.Response) -> float:
    assert response.status_code == 200, response.text
    return float(response.headers.get("x-litellm-response-cost", 0))  # LiteLLM leaves a cost of zero out


def test_names_aliases_and_overrides(running: Running) -> None:
    """Both names and an alias call the same model at the same price, with the overrides merged in."""
    aliases, overrides = running.home / "aliases.yaml", running.home / "overrides.yaml"
    aliases.write_text("sonnet: newest of claude-sonnet-[45]*\ngrok-4.7: claude-sonnet-6\nnone: newest of gpt-*\n")
    overrides.write_text(
        "claude-*:\n  litellm_params: {timeout: 77, tags: [team-a]}\n  model_info: {note: ours}\n"
        '"claude-sonnet-5*":\n  litellm_params: {extra_headers: {x-team: a}}\n'
    )
    running.sync(
        PREFIXED | BARE | {"sonnet"},
        COPILOT_MODEL_NAMES="both",
        COPILOT_ALIASES_FILE=str(aliases),
        COPILOT_OVERRIDES_FILE=str(overrides),
    )
    costs = [cost(running.chat(name)) for name in ("github_copilot/claude-sonnet-5.5", "claude-sonnet-5.5", "sonnet")]
    assert costs == [pytest.approx((12 * 2 + 5 * 10) / 1e6, abs=1e-12)] * 3
    assert [seen.body["model"] for seen in running.gh.requests_to("/chat/completions")][-3:] == [
        "claude-sonnet-5.5"
    ] * 3
    assert running.gh.requests_to("/chat/completions")[-1].headers["x-team"] == "a"
    shown = running.info("sonnet")
    assert (shown["litellm_params"]["timeout"], shown["litellm_params"]["tags"]) == (77, ["team-a"])
    assert shown["model_info"]["note"] == "ours"
    infos = [
        running.info(name)["model_info"] for name in ("github_copilot/claude-sonnet-5.5", "claude-sonnet-5.5", "sonnet")
    ]
    for info in infos:
        del info["id"], info["key"]
    assert infos[0] == infos[1] == infos[2]
    assert running.gh.refusals == []


def test_zero_prices(running: Running) -> None:
    """COPILOT_PRICES=zero: every request costs nothing."""
    running.sync(PREFIXED, COPILOT_PRICES="zero")
    assert [cost(running.chat(name)) for name in sorted(PREFIXED)] == [0, 0, 0, 0]


def test_litellm_prices(running: Running) -> None:
    """COPILOT_PRICES=litellm: LiteLLM's own price where it knows one, although the catalog names another."""
    running.sync(BARE, COPILOT_PRICES="litellm", COPILOT_MODEL_NAMES="bare")
    assert cost(running.chat("grok-4.7")) == pytest.approx((12 * 2 + 5 * 6) / 1e6, abs=1e-12)


def test_live_prices_again(running: Running) -> None:
    """Back to the catalog's prices, nothing of the other sources is left."""
    running.sync(PREFIXED)
    assert cost(running.chat("github_copilot/grok-4.7")) == pytest.approx((12 * 9 + 5 * 90) / 1e6, abs=1e-12)
