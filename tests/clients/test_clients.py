"""Each setup that `connect` makes, used by the real client where there is one: a chat, a tool call, a stream."""

from __future__ import annotations

import json

import pytest

from tests.fakes.copilot import CHAT, MESSAGES, RESPONSES
from tests.litellm.proxy import KEY

from .clients import NOTE, PLACE, Home, program

pytestmark = pytest.mark.litellm

QUIET = {"DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}


def claude_code() -> str:
    return program("npm/node_modules/@anthropic-ai/claude-code-linux-x64/claude", "npm/node_modules/.bin/claude")


def used(home: Home, path: str, model: str) -> None:
    """The client called a tool and told of what it got, in streams, and Copilot refused nothing."""
    asked = [item for item in home.asked(path) if item.body["model"] == model and item.body.get("tools")]
    assert len(asked) >= 2 and all(item.body["stream"] for item in asked)
    assert NOTE in json.dumps(asked[-1].body) and NOTE not in json.dumps(asked[0].body)
    assert home.refused == []


def call(tool: str, **arguments: object) -> str:
    """A prompt that the stand-in answers with a call of this tool."""
    return f"Please call the tool {tool} with {json.dumps(arguments)}"


def test_claude_code(home: Home) -> None:
    """Claude Code as `connect --write` sets it up, with each of its three models."""
    home.write("claude-code")
    prompt = call("Read", file_path=str(home.work / "note.txt"))
    assert "hello from claude-sonnet-4.6" in home.run(claude_code(), "-p", prompt, "--model", "sonnet", **QUIET)
    used(home, MESSAGES, "claude-sonnet-4.6")
    for alias, model in (("opus", "claude-opus-4.7"), ("haiku", "claude-haiku-4.5")):
        assert f"hello from {model}" in home.run(claude_code(), "-p", "Hello!", "--model", alias, **QUIET)
    assert home.refused == []


def test_claude_code_by_itself(home: Home) -> None:
    """With the address and the key alone, what it asks for by itself is served, by the newest of each family."""
    bare = {**QUIET, "ANTHROPIC_BASE_URL": home.stack.proxy.url, "ANTHROPIC_AUTH_TOKEN": KEY}
    assert "hello from claude-" in home.run(claude_code(), "-p", "Hello!", **bare)
    for alias, model in (("sonnet", "claude-sonnet-4.6"), ("haiku", "claude-haiku-4.5")):
        assert f"hello from {model}" in home.run(claude_code(), "-p", "Hello!", "--model", alias, **bare)
    assert home.refused == []


def test_codex(home: Home) -> None:
    """Codex CLI as `connect --write` sets it up."""
    home.write("codex")
    codex = program("npm/node_modules/.bin/codex")
    flags = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    out = home.run(codex, "exec", *flags, call("exec_command", cmd="cat note.txt"))
    assert "hello from gpt-5.3-codex" in out
    used(home, RESPONSES, "gpt-5.3-codex")


def test_opencode(home: Home) -> None:
    """opencode as `connect --write` sets it up."""
    home.write("opencode")
    opencode = program("npm/node_modules/opencode-linux-x64/bin/opencode", "npm/node_modules/.bin/opencode")
    environ = {"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"}
    prompt = call("read", filePath=str(home.work / "note.txt"))  # in words, because it escapes what one has in it
    out = home.run(opencode, "run", *prompt.split(), **environ)
    assert "hello from gpt-5.4" in out
    used(home, CHAT, "gpt-5.4")
    assert {item.body["model"] for item in home.asked(CHAT)} <= {"gpt-5.4", "gpt-4o-mini"}


@pytest.mark.nightly
def test_aider(home: Home) -> None:
    """aider as `connect --write` sets it up; it calls no tools."""
    home.write("aider")
    flags = ["--no-git", "--yes-always", "--no-show-model-warnings", "--no-check-update", "--analytics-disable"]
    out = home.run(program("aider/bin/aider"), "--message", "Hello!", *flags, OPENAI_API_KEY=KEY)
    assert "hello from gpt-5.4" in out
    assert [item.body["stream"] for item in home.asked(CHAT)] == [True] and home.refused == []


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OPENAI = """
tool = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
asked = [{"role": "user", "content": "call the tool"}]
said = client.chat.completions.create(model=MODEL, messages=asked, tools=[tool]).choices[0].message
print(said.tool_calls[0].function.name, said.tool_calls[0].function.arguments)
stream = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hello!"}], stream=True)
parts = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
print(len(parts) > 2, "streamed", "".join(parts))
"""
ANTHROPIC = """
tool = {"name": "weather", "input_schema": SCHEMA}
asked = [{"role": "user", "content": "call the tool"}]
said = client.messages.create(model=MODEL, max_tokens=99, messages=asked, tools=[tool])
print(said.content[0].name, said.content[0].input)
with client.messages.stream(model=MODEL, max_tokens=99, messages=[{"role": "user", "content": "Hello!"}]) as stream:
    parts = list(stream.text_stream)
print(len(parts) > 2, "streamed", "".join(parts))
"""


@pytest.mark.parametrize(
    ("client", "more", "name", "model"),
    [
        ("openai-sdk", OPENAI, "github_copilot/gpt-5.4", "gpt-5.4"),
        ("anthropic-sdk", ANTHROPIC, "claude-opus-4-7", "claude-opus-4.7"),
    ],
)
def test_sdk(client: str, more: str, name: str, model: str, home: Home) -> None:
    """An SDK with the lines that `connect` prints, and a tool call and a stream with the same client."""
    if client == "anthropic-sdk":
        program("python/anthropic")
    script = f"{home.text(client)}\nMODEL, SCHEMA = {name!r}, {SCHEMA!r}\n{more}"
    lines = home.run("python", "-c", script, PYTHONPATH=str(PLACE / "python")).splitlines()
    assert lines[0] == f"hello from {model}"
    assert lines[-2].startswith("weather") and "example" in lines[-2]
    assert lines[-1].startswith(f"True streamed hello from {model}")
    assert home.refused == []


def test_curl(home: Home) -> None:
    """The commands as they are printed, then the same with a tool and with a stream."""
    text = home.text("curl")
    assert "hello from gpt-5.4" in home.run("bash", "-ec", text)
    tool = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
    for more, shown in (
        ({"stream": True}, "chat.completion.chunk"),
        ({"tools": [tool], "tool_choice": "required"}, '"weather"'),
    ):
        assert shown in home.run("bash", "-ec", text.replace('{"model"', json.dumps(more)[:-1] + ', "model"'))
    assert home.refused == []


LISTED = """
curl -s "$OPENAI_API_BASE_URL/models" -H "Authorization: Bearer $OPENAI_API_KEY" > models
for name in "$DEFAULT_MODELS" "$TASK_MODEL_EXTERNAL" "$RAG_EMBEDDING_MODEL"; do grep -q "\\"$name\\"" models; done
curl -s "$RAG_OPENAI_API_BASE_URL/embeddings" -H "Authorization: Bearer $RAG_OPENAI_API_KEY" \\
  -H 'content-type: application/json' -d "{\\"model\\": \\"$RAG_EMBEDDING_MODEL\\", \\"input\\": \\"hello\\"}"
"""


def test_open_webui(home: Home) -> None:
    """Its variables name an address that lists the models which they name, and what embeds there embeds."""
    assert '"embedding"' in home.run("bash", "-ec", home.text("open-webui") + LISTED) and home.refused == []
