"""What Copilot sees: every header of ours once and as set, whatever way a request takes through LiteLLM."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.models.entries import PROVIDER
from tests.fakes.catalog import CHAT, MESSAGES, RESPONSES, model
from tests.fakes.copilot import EMBEDDINGS, endpoints_of
from tests.fakes.state import Recorded
from tests.support.waiting import until

from .proxy import Proxy, litellm_command

P = PROVIDER
# Unlike anything that LiteLLM or an SDK would send by itself.
AS_SET = {
    "editor-version": "vscode/9.87.6",
    "editor-plugin-version": "copilot-chat/9.54.3",
    "copilot-integration-id": "our-own-chat",
    "user-agent": "OurOwnChat/9.21.0",
}
ENVIRON = {
    "COPILOT_EDITOR_VERSION": AS_SET["editor-version"],
    "COPILOT_EDITOR_PLUGIN_VERSION": AS_SET["editor-plugin-version"],
    "COPILOT_INTEGRATION_ID": AS_SET["copilot-integration-id"],
    "COPILOT_USER_AGENT": AS_SET["user-agent"],
    "COPILOT_EMBEDDINGS": "true",
}
ITEMS = [
    model("by-chat", endpoints=[CHAT], vision=True),
    model("by-both", endpoints=[CHAT, RESPONSES], vision=True),
    model("by-responses", endpoints=[RESPONSES], vision=True),
    model("claude-by-messages", endpoints=[CHAT, MESSAGES], vision=True, vendor="Anthropic"),
    model("claude-by-chat", endpoints=[CHAT], vision=True, vendor="Anthropic"),
    model("by-embeddings", type="embeddings", picker=False),
]
INFERENCE = {CHAT, RESPONSES, MESSAGES, EMBEDDINGS}
PICTURE = "data:image/png;base64,iVBORw0KGgo="
WAYS = [
    *(("/v1/chat/completions", name) for name in ("by-chat", "by-both", "by-responses", "claude-by-messages")),
    *(("/v1/responses", name) for name in ("by-chat", "by-both", "by-responses")),
    *(("/v1/messages", name) for name in ("claude-by-messages", "claude-by-chat", "by-chat", "by-responses")),
]
ENDPOINTS = {item["id"]: endpoints_of(item) for item in ITEMS}
# LiteLLM (since 1.99) sends every id with "claude" in it to Copilot's /v1/messages, whatever the model lists.
# Copilot says no, but the headers are still ours.
ELSEWHERE = {("/v1/messages", "claude-by-chat")}


def version_of(package: str) -> str:
    """The version of a package beside the LiteLLM under test."""
    python = Path(litellm_command()).with_name("python")
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def sent_headers(request: Recorded, *names: str) -> dict[str, list[str]]:
    """All values that a request carried under each name."""
    return {name: [value for sent, value in request.raw_headers if sent.lower() == name] for name in names}


def body_of(path: str, name: str, *, stream: bool, picture: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"model": P + name, "stream": stream}
    if path == "/v1/responses":
        parts: list[dict[str, Any]] = [{"type": "input_text", "text": "hello"}]
        parts += [{"type": "input_image", "image_url": PICTURE}] * picture
        return {**body, "input": [{"role": "user", "content": parts}]}
    parts = [{"type": "text", "text": "hello"}]
    if path == "/v1/messages":
        source = {"type": "base64", "media_type": "image/png", "data": PICTURE.partition(",")[2]}
        parts += [{"type": "image", "source": source}] * picture
        body["max_tokens"] = 50
    else:
        parts += [{"type": "image_url", "image_url": {"url": PICTURE}}] * picture
    return {**body, "messages": [{"role": "user", "content": parts}]}


@pytest.fixture(scope="module")
def proxy(gh, tmp_path_factory) -> Iterator[Proxy]:
    """LiteLLM with the hook, on models whose headers are set to something of our own."""
    gh.set_catalog(ITEMS)
    proxy = Proxy(tmp_path_factory.mktemp("wire"), gh.env())
    proxy.login(gh.new_access_token())
    proxy.publish(ITEMS, **ENVIRON)
    with proxy:
        until(lambda: len(proxy.models()) == len(ITEMS), 30, "all models")
        until(lambda: proxy.api_key_file.exists(), 30, "a Copilot token")
        yield proxy


@pytest.mark.core
@pytest.mark.parametrize("picture", [False, True], ids=["text", "picture"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("path", "name"), WAYS)
def test_each_header_arrives_once_and_as_set(gh, proxy, path, name, stream, picture):
    """On each way, the four editor headers, the vision header and the Copilot token are there once, word for word."""
    gh.clear()
    answer = proxy.request("POST", path, json=body_of(path, name, stream=stream, picture=picture))
    sent = [request for request in gh.requests if request.path in INFERENCE]
    assert len(sent) == 1, answer.text
    expected = {**AS_SET, "copilot-vision-request": "true", "authorization": f"Bearer {proxy.token_file()['token']}"}
    assert sent_headers(sent[0], *expected) == {key: [value] for key, value in expected.items()}
    if sent[0].path in ENDPOINTS[name]:
        assert gh.refusals == []
        assert answer.status_code == 200 and name in answer.text
    else:
        assert (path, name) in ELSEWHERE


@pytest.mark.core
def test_embeddings_get_litellms_own_headers(gh, proxy):
    """LiteLLM takes no ``extra_headers`` there: what arrives is the token and LiteLLM's own editor, each once."""
    gh.clear()
    answer = proxy.request("POST", "/v1/embeddings", json={"model": P + "by-embeddings", "input": "hello"})
    (sent,) = (request for request in gh.requests if request.path in INFERENCE)
    found = sent_headers(sent, *AS_SET, "authorization", "copilot-vision-request")
    assert found.pop("authorization") == [f"Bearer {proxy.token_file()['token']}"]
    assert found == {
        "editor-version": ["vscode/1.95.0"],
        "editor-plugin-version": ["copilot-chat/0.26.7"],
        "copilot-integration-id": ["vscode-chat"],
        "user-agent": ["GitHubCopilotChat/0.26.7"],
        "copilot-vision-request": [],
    }
    assert answer.status_code == 200 and gh.refusals == []


def test_a_stock_litellm_by_its_openai_sdk(gh, start):
    """Without the hook a lower-case user-agent is right everywhere, but for chat with the OpenAI SDK before 3."""
    entries = [
        {
            "model_name": f"{mode} {spelling}",
            "litellm_params": {"model": f"{P}stock-{mode}", "extra_headers": {spelling: AS_SET["user-agent"]}},
            "model_info": {"mode": mode},
        }
        for mode in ("chat", "responses")
        for spelling in ("user-agent", "User-Agent")
    ]
    stock: Proxy = start(gh, hook=False, config={"model_list": entries})
    stock.login(gh.new_access_token())
    token = {"token": "tid=1", "expires_at": time.time() + 3600, "endpoints": {"api": gh.url}}
    stock.api_key_file.write_text(json.dumps(token))
    stock.start()
    found = {}
    for entry in entries:
        gh.clear()
        stock.chat(entry["model_name"])
        sent = [request for request in gh.requests if request.path in INFERENCE]
        (found[entry["model_name"]],) = sent_headers(sent[0], "user-agent")["user-agent"]
    ours, sdk = AS_SET["user-agent"], version_of("openai")
    assert found == {
        "chat user-agent": ours if int(sdk.partition(".")[0]) >= 3 else f"AsyncOpenAI/Python {sdk}, {ours}",
        "chat User-Agent": ours,
        "responses user-agent": ours,
        "responses User-Agent": f"GitHubCopilotChat/0.26.7, {ours}",
    }
