"""What LiteLLM shows holds no Copilot token, and no models file sends the token, or a secret, anywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.litellm_hot_reload.managed import PROVIDER
from sidecar.models.entries import models_file_bytes
from tests.fakes.catalog import CHAT, MESSAGES, RESPONSES, model
from tests.support.entries import entries_of
from tests.support.github_paths import EXCHANGE
from tests.support.http_server import HttpServer
from tests.support.waiting import until

from .proxy import KEY, OTHER, OWN, Proxy

pytestmark = pytest.mark.core

P = PROVIDER
MODELS = [model("gpt-4o"), model("gpt-5.3-codex", endpoints=[RESPONSES]), model("claude-x", endpoints=[CHAT, MESSAGES])]
MESSAGE = {"messages": [{"role": "user", "content": "x"}]}
CALLS: dict[str, dict[str, Any]] = {
    "completion": MESSAGE,
    "acompletion": MESSAGE,
    "text_completion": {"prompt": "x"},
    "responses": {"input": "x"},
    "aresponses": {"input": "x"},
    "embedding": {"input": "x"},
    "anthropic_messages": {**MESSAGE, "max_tokens": 5},
}
DEBUG_ROUTES = (
    "/health",
    "/model/info",
    "/v1/model/info",
    "/model_group/info",
    "/copilot_hook",
    "/get/config/callbacks",
    "/active/callbacks",
    "/settings",
    "/routes",
    "/debug/memory/details",
    "/debug/memory/summary",
    "/debug/asyncio-tasks",
    "/memory-usage-in-mem-cache",
    "/memory-usage-in-mem-cache-items",
    "/otel-spans",
    "/metrics",
)


@pytest.fixture(scope="module")
def proxy(gh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    home: Path = tmp_path_factory.mktemp("secrets")
    proxy = Proxy(home, gh.env(), config={"model_list": [OTHER, OWN]})
    proxy.login(gh.new_access_token())
    gh.set_catalog([*MODELS, model("by-chat")])
    proxy.publish(MODELS)
    with proxy:
        until(lambda: proxy.chat(P + "gpt-4o").status_code == 200, 20, "the models")
        yield proxy


def secrets_of(proxy: Proxy) -> list[str]:
    token = proxy.token_file()["token"]
    return [token, token[:40], token[-20:], (proxy.token_dir / "access-token").read_text().strip()]


def shows(proxy: Proxy, text: str) -> bool:
    return any(secret in text for secret in secrets_of(proxy))


def transformed(proxy: Proxy, call: str, name: str) -> str:
    body = {"call_type": call, "request_body": {"model": name, **CALLS[call]}}
    return proxy.request("POST", "/utils/transform_request", json=body).text


def test_a_request_that_is_shown_has_no_token(gh, proxy):
    """Whatever kind of request an administrator has LiteLLM show, a stand-in is in the token's place."""
    asked = gh.count(EXCHANGE)
    for name in (P + "gpt-4o", P + "gpt-5.3-codex", P + "claude-x"):
        for call in CALLS:
            assert not shows(proxy, transformed(proxy, call, name)), call
        assert proxy.chat(name).status_code == 200
    assert "hidden-by-copilot-hook" in transformed(proxy, "completion", P + "gpt-4o"), "the control: it is shown at all"
    assert gh.count(EXCHANGE) == asked


def test_requests_beside_a_shown_one_have_the_token(gh, proxy):
    """At the same time in the same worker: each is given its own."""
    gh.clear()
    with ThreadPoolExecutor(12) as pool:
        shown = [pool.submit(transformed, proxy, "completion", P + "gpt-4o") for _ in range(30)]
        served = [pool.submit(proxy.chat, P + name) for _ in range(15) for name in ("gpt-4o", "gpt-5.3-codex")]
        assert all(answer.result().status_code == 200 for answer in served)
        assert not any(shows(proxy, answer.result()) for answer in shown)
    # LiteLLM 1.90 sends a request that it shows; then Copilot is sent the stand-in, and refuses it.
    assert sum("hidden" not in str(request.headers) for request in gh.requests) == len(served)


def test_no_debug_route_and_no_error_shows_a_token(gh, proxy):
    """Not even while Copilot refuses every request: LiteLLM then shows what it had sent."""
    for path in (CHAT, RESPONSES, MESSAGES):
        gh.fail(path, status=400, body={"error": "bad"})
    try:
        for route in DEBUG_ROUTES:
            assert not shows(proxy, proxy.request("GET", route).text), route
        for name in (P + "gpt-4o", P + "gpt-5.3-codex", P + "claude-x"):
            assert not shows(proxy, proxy.chat(name, litellm_request_debug=True).text)
    finally:
        gh.heal()
    assert not shows(proxy, proxy.log())


def redirections(url: str) -> dict[str, dict[str, Any]]:
    return {
        **{key: {key: url} for key in ("api_base", "base_url")},
        "custom_llm_provider": {"custom_llm_provider": "openai", "api_base": url},
        "use_litellm_proxy": {"use_litellm_proxy": True, "api_base": url},
        "configurable_clientside_auth_params": {"configurable_clientside_auth_params": ["api_base"]},
        "another provider": {"model": "openai/gpt-4o", "api_base": url},
        "extra_body": {"extra_body": {"x": 1}},
        "extra_headers": {"extra_headers": {"Host": "evil.example"}},
        "a credential": {"litellm_credential_name": "default"},
    }


def test_a_hostile_models_file_redirects_nothing_and_reads_nothing(gh, proxy):
    """Whoever writes the file: the previous models are served as before, and the listener never hears of it."""
    with HttpServer(lambda request: (200, {}, {"choices": [{"message": {"content": "x"}}]})) as listener:
        hostile: dict[str, Any] = redirections(listener.url)
        hostile |= {f"os.environ in {key}": None for key in ("display_name", "model_name", "timeout")}
        for what, params in hostile.items():
            entries = entries_of([*MODELS, model("new")])
            entry = next(item for item in entries if item["model_name"] == P + "gpt-4o")
            if params is not None:
                entry["litellm_params"] |= params
            elif what.endswith("timeout"):
                entry["litellm_params"]["timeout"] = "os.environ/LITELLM_MASTER_KEY"
            elif what.endswith("model_name"):
                entry["model_name"] = "os.environ/LITELLM_MASTER_KEY"
            else:
                entry["model_info"]["display_name"] = "os.environ/LITELLM_MASTER_KEY"
            before = len(proxy.hook_log())
            proxy.write(yaml.safe_dump({"model_list": entries}).encode())
            until(lambda before=before: len(proxy.hook_log()) > before, 30, f"a line about {what}")
            assert "is invalid" in proxy.hook_log()[before], what
            assert P + "new" not in proxy.models()
            answer = proxy.chat(P + "gpt-4o", api_base=listener.url)
            assert answer.status_code >= 400, "nor does a client redirect it"
            answer = proxy.chat(P + "gpt-4o")
            assert answer.status_code == 200 and "hello from gpt-4o" in answer.text
            assert KEY not in proxy.request("GET", "/model/info").text
        proxy.write(models_file_bytes(entries_of([*MODELS, model("new")])))
        until(lambda: P + "new" in proxy.models(), 30, "the next good file")
        assert listener.requests == []
