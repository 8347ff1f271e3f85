"""The Copilot API: checks a request as strictly as Copilot does, and answers it.

Every refusal is remembered in ``State.refusals``, so that a test can assert that there was none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from . import answers
from .state import State
from .versions import as_seen_by
from .wire import Reply, Request, json_reply, text_reply

CHAT, RESPONSES, MESSAGES, EMBEDDINGS = "/chat/completions", "/responses", "/v1/messages", "/embeddings"
# Copilot serves editors, and an HTTP library that names only itself is none.
EDITOR_HEADERS = {
    "Editor-Version": re.compile(r"[^\s,/]+/[^\s,]+"),
    "Editor-Plugin-Version": re.compile(r"[^\s,/]+/[^\s,]+"),
    "Copilot-Integration-Id": re.compile(r"[\w-]+"),
    "User-Agent": re.compile(r"(?!python|(async)?openai/|httpx|aiohttp|curl).+", re.IGNORECASE),
}

# The documented parameters of the OpenAI and Anthropic APIs. `thinking` and `thinking_budget` are
# Copilot's own additions to /chat/completions for Claude models.
PARAMETERS = {
    CHAT: """model messages stream stream_options temperature top_p n max_tokens max_completion_tokens stop
        presence_penalty frequency_penalty logit_bias logprobs top_logprobs user seed tools tool_choice
        parallel_tool_calls functions function_call response_format reasoning_effort modalities audio
        prediction metadata store service_tier verbosity web_search_options prompt_cache_key
        prompt_cache_retention safety_identifier thinking thinking_budget""",
    RESPONSES: """model input instructions stream stream_options temperature top_p top_logprobs
        max_output_tokens max_tool_calls tools tool_choice parallel_tool_calls previous_response_id
        conversation reasoning text truncation include metadata store user service_tier prompt
        prompt_cache_key prompt_cache_retention safety_identifier background context_management""",
    MESSAGES: """model messages max_tokens system stream temperature top_p top_k stop_sequences tools
        tool_choice metadata thinking service_tier container context_management mcp_servers output_config
        output_format cache_control inference_geo speed""",
    EMBEDDINGS: "model input dimensions encoding_format user",
}
REQUIRED = {
    CHAT: ("model", "messages"),
    RESPONSES: ("model", "input"),
    MESSAGES: ("model", "messages", "max_tokens"),
    EMBEDDINGS: ("model", "input"),
}
BY_TYPE = {"chat": CHAT, "embeddings": EMBEDDINGS}
# The reason in ``State.refusals`` when a client hands the long-lived access token to Copilot.
ACCESS_TOKEN_SENT = "unauthorized: this is the access token of a login, not a Copilot token"
IMAGE_TYPES = {"image_url", "input_image", "image"}


def models(state: State, request: Request) -> Reply:
    """GET /models, in the shape of the API version that was asked for."""
    refused = _refuse_client(state, request)
    if refused:
        return refused
    items = state.catalog
    with state.lock:
        state.catalogs_sent += 1
        if state.catalogs_sent % 2 == 0:
            items = [item for item in items if item.get("id") not in state.flicker]
    if not state.verbatim:
        items = as_seen_by(request.headers.get("x-github-api-version"), items)
    return json_reply({"object": "list", "data": items})


def infer(state: State, request: Request) -> Reply:
    """POST to one of the four endpoints that run a model."""
    refused = _refuse_client(state, request) or _refuse_body(state, request)
    if refused:
        return refused
    body = request.body
    if request.path == EMBEDDINGS:
        reply = answers.embeddings(body, state.usage)
    else:
        answer = answers.Answer.to(body, state)
        style = {CHAT: answers.chat, RESPONSES: answers.responses, MESSAGES: answers.messages}[request.path]
        reply = style(answer, bool(body.get("stream")))
        reply.gap = state.stream_gap
    reply.delay = state.latency
    return reply


def _refuse_client(state: State, request: Request) -> Reply | None:
    """The plan's host, the credential, and the headers of an editor."""
    if state.plan == "business" and not request.on_plan_host:
        return _refuse(state, request, "access denied: use the endpoint of your plan", "forbidden", status=403)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if token.startswith(("ghp_", "github_pat_")):
        return _refuse_text(
            state, request, "bad request: Personal Access Tokens are not supported for this endpoint\n", 400
        )
    standing = state.copilot_token(token.strip())
    owned = state.owner(token.strip()) is not None
    direct = request.path == "/models" and token.startswith("gho_") and owned
    # The real hosts may take it; but who sends it gives away what should never leave for them.
    if not direct and (owned or token.startswith("ghu_")):
        return _refuse_text(state, request, ACCESS_TOKEN_SENT, 401)
    if scheme.lower() != "bearer" or (standing == "unknown" and not direct):
        return _refuse_text(state, request, "unauthorized: invalid token" if token else "unauthorized", 401)
    if standing == "expired":
        return _refuse_text(state, request, "IDE token expired: unauthorized: token expired", 401)
    if standing == "refused":
        return _refuse_text(state, request, "unauthorized: unauthorized: AuthenticateToken authentication failed", 401)
    for name, form in EDITOR_HEADERS.items():
        value = request.headers.get(name.lower())
        if not value:
            return _refuse_text(state, request, f"bad request: missing {name} header for IDE auth", 400)
        if not form.fullmatch(value):
            return _refuse_text(state, request, f"bad request: unknown {name} {value!r}", 400)
    return None


def _refuse_body(state: State, request: Request) -> Reply | None:
    """The model, and everything that is asked of it."""
    body, path = request.body, request.path
    if not isinstance(body, dict):
        return _refuse(state, request, "Request body is not valid JSON", "invalid_request_body")
    for name in REQUIRED[path]:
        if name not in body:
            return _refuse(state, request, f"Missing required parameter: '{name}'", "invalid_request_body")
    for name in body.keys() - set(PARAMETERS[path].split()):
        return _refuse(state, request, f"Unknown parameter: '{name}'.", "invalid_request_body", param=name)
    item = state.find_model(body["model"])
    if item is None or (item.get("policy") or {}).get("state") == "disabled":
        return _refuse(
            state,
            request,
            "The requested model is not supported.",
            "model_not_supported",
            param="model",
            type="invalid_request_error",
        )
    if path not in endpoints_of(item):
        message = f'model "{item["id"]}" is not accessible via the {path} endpoint'
        return _refuse(state, request, message, "unsupported_api_for_model")
    supports = (item.get("capabilities") or {}).get("supports")
    for feature in _features(body):
        if supports is not None and not supports.get(feature):
            message = f'model "{item["id"]}" does not support {feature}'
            return _refuse(state, request, message, "invalid_request_body")
    needs_header = path in (CHAT, RESPONSES) and _has_image(body)
    if needs_header and request.headers.get("copilot-vision-request") != "true":
        return _refuse(state, request, "missing required Copilot-Vision-Request header for vision requests", "")
    return None


def endpoints_of(item: dict[str, Any]) -> list[str]:
    """Where a model can be called: what it lists, or what its type implies if it lists nothing."""
    if "supported_endpoints" in item:
        return item["supported_endpoints"] or []
    kind = (item.get("capabilities") or {}).get("type")
    return [BY_TYPE[kind]] if kind in BY_TYPE else []


def _features(body: dict[str, Any]) -> Iterator[str]:
    if body.get("stream"):
        yield "streaming"
    if body.get("tools") or body.get("functions"):
        yield "tool_calls"
    if body.get("parallel_tool_calls"):
        yield "parallel_tool_calls"
    if "dimensions" in body:
        yield "dimensions"
    if _has_image(body):
        yield "vision"


def _has_image(body: dict[str, Any]) -> bool:
    turns = body.get("messages", body.get("input"))
    return any(
        isinstance(part, dict) and part.get("type") in IMAGE_TYPES
        for turn in (turns if isinstance(turns, list) else ())
        if isinstance(turn, dict) and isinstance(turn.get("content"), list)
        for part in turn["content"]
    )


def _refuse(state: State, request: Request, message: str, code: str, status: int = 400, **more: str) -> Reply:
    state.refuse(request.path, message)
    return json_reply({"error": {"message": message, "code": code, **more}}, status)


def _refuse_text(state: State, request: Request, message: str, status: int) -> Reply:
    state.refuse(request.path, message)
    return text_reply(message, status)
