"""What the models of the stand-in say, in the four styles of the Copilot API.

An answer depends only on the request and the settings: "hello from <model>", or a tool call when the
request demands one or its last message says "call the tool", also which and how: "call the tool read with {…}".
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .billing import copilot_usage
from .wire import Reply, json_reply

if TYPE_CHECKING:
    from .state import State

USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 5,
    "cached_tokens": 0,
    "cache_creation_tokens": 0,
    "reasoning_tokens": 0,
}
SAMPLES = {"string": "example", "integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}
ANSWER_ID = "fake0001"
ASKED = re.compile(r"call the tool(?: ([\w.-]+) with (\{.*?\}))?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """What is said, before it takes the form of an API. ``arguments`` (JSON) belong to ``tool``."""

    model: str
    text: str
    pieces: list[str]
    usage: dict[str, int]
    include_usage: bool
    billed: dict[str, Any]
    tool: str | None = None
    arguments: str = ""

    @classmethod
    def to(cls, body: dict[str, Any], state: State) -> Answer:
        text = f"hello from {body['model']}"
        if body.get("stream"):
            text = text.ljust(state.stream_chunks, ".")
        tool = _tool_to_call(body)
        arguments = json.dumps(tool["arguments"]) if tool else ""
        usage = {**USAGE, **state.usage}
        return cls(
            model=body["model"],
            text="" if tool else text,
            pieces=_split(arguments or text, state.stream_chunks),
            usage=usage,
            billed=copilot_usage(state.find_model(body["model"]), usage),
            include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
            tool=tool["name"] if tool else None,
            arguments=arguments,
        )


def chat(answer: Answer, stream: bool) -> Reply:
    """/chat/completions"""
    head = {"id": f"chatcmpl-{ANSWER_ID}", "created": int(time.time()), "model": answer.model}
    count = answer.usage
    usage = {
        "prompt_tokens": count["prompt_tokens"],
        "completion_tokens": count["completion_tokens"],
        "total_tokens": count["prompt_tokens"] + count["completion_tokens"],
        "prompt_tokens_details": {
            "cached_tokens": count["cached_tokens"],
            "cache_creation_tokens": count["cache_creation_tokens"],
        },
        "completion_tokens_details": {"reasoning_tokens": count["reasoning_tokens"]},
    }
    finish = "tool_calls" if answer.tool else "stop"
    call = {"id": f"call_{ANSWER_ID}", "type": "function"}
    if not stream:
        message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
        if answer.tool:
            message["tool_calls"] = [{**call, "function": {"name": answer.tool, "arguments": answer.arguments}}]
        choice = {"index": 0, "message": message, "finish_reason": finish}
        whole = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
        return json_reply({**whole, "copilot_usage": answer.billed})

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}

    if answer.tool:
        named = {"index": 0, **call, "function": {"name": answer.tool, "arguments": ""}}
        chunks = [chunk({"role": "assistant", "content": None, "tool_calls": [named]})]
        chunks += [chunk({"tool_calls": [{"index": 0, "function": {"arguments": p}}]}) for p in answer.pieces]
    else:
        chunks = [chunk({"role": "assistant", "content": ""})]
        chunks += [chunk({"content": p}) for p in answer.pieces]
    chunks.append(chunk({}, finish))
    if answer.include_usage:
        chunks.append({"choices": [], "usage": usage})
    chunks[-1]["copilot_usage"] = answer.billed
    events = [_event({**head, "object": "chat.completion.chunk", **c}) for c in chunks]
    return _stream([*events, b"data: [DONE]\n\n"])


def responses(answer: Answer, stream: bool) -> Reply:
    """/responses"""
    count = answer.usage
    item: dict[str, Any] = {"id": f"msg_{ANSWER_ID}", "type": "message", "role": "assistant", "status": "completed"}
    text_part = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
    item["content"] = [text_part]
    if answer.tool:
        item = {"id": f"fc_{ANSWER_ID}", "type": "function_call", "status": "completed", "name": answer.tool}
        item |= {"call_id": f"call_{ANSWER_ID}", "arguments": answer.arguments}
    whole = {
        "id": f"resp_{ANSWER_ID}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": answer.model,
        "output": [item],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": count["prompt_tokens"],
            "input_tokens_details": {
                "cached_tokens": count["cached_tokens"],
                "cache_write_tokens": count["cache_creation_tokens"],
            },
            "output_tokens": count["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": count["reasoning_tokens"]},
            "total_tokens": count["prompt_tokens"] + count["completion_tokens"],
        },
    }
    if not stream:
        return json_reply({**whole, "copilot_usage": answer.billed})
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    at: dict[str, Any] = {"output_index": 0, "item_id": item["id"]}
    nothing: dict[str, Any] = {"arguments": ""} if answer.tool else {"content": []}
    empty = {**item, "status": "in_progress", **nothing}
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
        ("response.output_item.added", {"output_index": 0, "item": empty}),
    ]
    if answer.tool:
        events += [("response.function_call_arguments.delta", {**at, "delta": p}) for p in answer.pieces]
        events.append(("response.function_call_arguments.done", {**at, "arguments": answer.arguments}))
    else:
        at["content_index"] = 0
        text = "".join(answer.pieces)
        events.append(("response.content_part.added", {**at, "part": {**text_part, "text": ""}}))
        events += [("response.output_text.delta", {**at, "delta": p, "logprobs": []}) for p in answer.pieces]
        events.append(("response.output_text.done", {**at, "text": text, "logprobs": []}))
        events.append(("response.content_part.done", {**at, "part": text_part}))
    events.append(("response.output_item.done", {"output_index": 0, "item": item}))
    events.append(("response.completed", {"response": whole, "copilot_usage": answer.billed}))
    return _stream([_event({"type": t, "sequence_number": n, **e}, t) for n, (t, e) in enumerate(events)])


def messages(answer: Answer, stream: bool) -> Reply:
    """/v1/messages. Anthropic's ``input_tokens`` leave out what the cache served or stored."""
    count = answer.usage
    cached, created = count["cached_tokens"], count["cache_creation_tokens"]
    usage = {
        "input_tokens": max(count["prompt_tokens"] - cached - created, 0),
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": created,
        "output_tokens": count["completion_tokens"],
    }
    block: dict[str, Any] = {"type": "text", "text": answer.text}
    if answer.tool:
        block = {"type": "tool_use", "id": f"toolu_{ANSWER_ID}", "name": answer.tool}
        block["input"] = json.loads(answer.arguments)
    end = {"stop_reason": "tool_use" if answer.tool else "end_turn", "stop_sequence": None}
    head = {"id": f"msg_{ANSWER_ID}", "type": "message", "role": "assistant", "model": answer.model}
    if not stream:
        return json_reply({**head, "content": [block], **end, "usage": usage, "copilot_usage": answer.billed})
    begun: dict[str, Any] = {**head, "content": [], "stop_reason": None, "stop_sequence": None}
    begun["usage"] = {**usage, "output_tokens": 1}
    empty = {**block, "input": {}} if answer.tool else {**block, "text": ""}
    kind, key = ("input_json_delta", "partial_json") if answer.tool else ("text_delta", "text")
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": kind, key: p}} for p in answer.pieces),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": usage, "copilot_usage": answer.billed},
        {"type": "message_stop"},
    ]
    return _stream([_event(e, e["type"]) for e in events])


def embeddings(body: dict[str, Any], usage: dict[str, int]) -> Reply:
    """/embeddings: the same small vector for every input."""
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    size = body.get("dimensions") or 8
    vector = [round((n + 1) / size, 6) for n in range(size)]
    tokens = {**USAGE, **usage}["prompt_tokens"]
    return json_reply(
        {
            "object": "list",
            "model": body["model"],
            "data": [{"object": "embedding", "index": n, "embedding": vector} for n in range(len(inputs))],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def _tool_to_call(body: dict[str, Any]) -> dict[str, Any] | None:
    """The tool to call, as {name, arguments}."""
    tools = {
        f["name"]: f.get("parameters") or f.get("input_schema") or {}
        for t in body.get("tools") or ()
        if "name" in (f := t.get("function") or t)
    }
    choice = body.get("tool_choice") or "auto"
    named = choice.get("name") or (choice.get("function") or {}).get("name") if isinstance(choice, dict) else None
    kind = choice.get("type") if isinstance(choice, dict) else choice
    asked = ASKED.search(_last_words(body))
    demanded = kind in ("required", "any", "function", "tool")
    if not tools or kind == "none" or not (demanded or asked):
        return None
    if asked and asked[1] in tools:
        return {"name": asked[1], "arguments": json.loads(asked[2])}
    name = named if named in tools else next(iter(tools))
    return {"name": name, "arguments": _arguments(tools[name])}


def _last_words(body: dict[str, Any]) -> str:
    """The text of the last turn, if it is the user's."""
    turns = body.get("messages", body.get("input"))
    if isinstance(turns, str):
        return turns
    last = turns[-1] if turns else {}
    content = last.get("content") if last.get("role") == "user" else ""
    if isinstance(content, list):
        content = " ".join(str(part.get("text", "")) for part in content)
    return content or ""


def _arguments(schema: dict[str, Any]) -> dict[str, Any]:
    """A value of the right type for each required argument."""
    kinds = schema.get("properties") or {}
    return {name: SAMPLES.get(kinds.get(name, {}).get("type"), "example") for name in schema.get("required") or ()}


def _split(text: str, count: int) -> list[str]:
    """``count`` pieces that make up the text; fewer if there are not that many characters."""
    count = max(1, min(count, len(text)))
    return [text[len(text) * n // count : len(text) * (n + 1) // count] for n in range(count)]


def _event(data: dict[str, Any], name: str | None = None) -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data)}\n\n".encode()


def _stream(events: list[bytes]) -> Reply:
    return Reply(headers={"Content-Type": "text/event-stream"}, events=events)
