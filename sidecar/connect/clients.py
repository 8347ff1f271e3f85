"""What each client needs to be told, in the form of its own settings. Pure.

No key is ever part of it: LITELLM_API_KEY, a variable, holds LiteLLM's key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from sidecar.connect.choose import RESPONSES, Models
from sidecar.connect.merge import merged
from sidecar.models.claude import PREFIX
from sidecar.models.view import Row

KEY = "LITELLM_API_KEY"
_SECRET = "${{ secrets." + KEY + " }}"


@dataclass(frozen=True)
class Setup:
    """Either ``values`` for the client's file, of which ``missing`` only where it says nothing, or ``text`` to copy.

    ``then`` are the commands that follow.
    """

    text: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    missing: Mapping[str, Any] = field(default_factory=dict)
    then: tuple[str, ...] = ()


@dataclass(frozen=True)
class Client:
    """A client by its ``title``; ``docs`` is its own page about this.

    ``file`` is in the directory that the variable ``home`` names, else in ``~/default``; empty if there is none.
    """

    title: str
    docs: str
    make: Callable[[Models, str], Setup]
    file: str = ""
    home: str = ""
    default: str = ""

    def path(self, environ: Mapping[str, str]) -> PurePosixPath:
        """The client's own file; with ``~`` where it is in the user's home."""
        named = environ.get(self.home, "") if self.home else ""
        return PurePosixPath(named or PurePosixPath("~", self.default), self.file)


def new_file(client: Client, setup: Setup) -> str:
    """What is shown: the file that would be there if there was none, else the text."""
    if not client.file:
        return setup.text
    return merged(PurePosixPath(client.file).suffix, "", setup.values, setup.missing)


def _claude_code(models: Models, url: str) -> Setup:
    tiers = {
        "OPUS": models.claude("opus", "sonnet"),
        "SONNET": models.claude("sonnet", "opus"),
        "HAIKU": models.claude("haiku", "sonnet"),
    }
    env = {"ANTHROPIC_BASE_URL": url}
    env |= {f"ANTHROPIC_DEFAULT_{tier}_MODEL": row["name"] for tier, row in tiers.items()}
    # Copilot takes shorter prompts than Claude Code assumes; conversations are not had with the small model.
    for name, limit, of in (
        ("CLAUDE_CODE_AUTO_COMPACT_WINDOW", "context", ("OPUS", "SONNET")),
        ("CLAUDE_CODE_MAX_OUTPUT_TOKENS", "output", tuple(tiers)),
    ):
        known = [tiers[tier][limit] for tier in of if tiers[tier][limit]]
        env |= {name: str(min(known))} if known else {}
    odd = [row["name"] for row in tiers.values() if not row["name"].startswith(PREFIX)]
    note = ("# With COPILOT_CLAUDE_NAMES=true the models also have the names that Claude Code knows.",) if odd else ()
    return Setup(values={"apiKeyHelper": f"printenv {KEY}", "env": env}, then=(*note, "claude"))


def _codex(models: Models, url: str) -> Setup:
    model = models.strong(RESPONSES)
    provider = {"name": "LiteLLM", "base_url": f"{url}/v1", "env_key": KEY, "wire_api": "responses"}
    window = {"model_context_window": model["context"]} if model["context"] else {}
    top = {"model": model["name"], "model_provider": "litellm", **window}
    return Setup(values={**top, "model_providers": {"litellm": provider}}, then=("codex",))


def _opencode(models: Models, url: str) -> Setup:
    listed = {row["name"]: _opencode_model(row) for row in models.chat()}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "LiteLLM",
        "options": {"baseURL": f"{url}/v1", "apiKey": f"{{env:{KEY}}}"},
        "models": listed,
    }
    top = {"model": f"litellm/{models.strong()['name']}", "small_model": f"litellm/{models.fast()['name']}"}
    schema = {"$schema": "https://opencode.ai/config.json"}
    return Setup(missing=schema, values={**top, "provider": {"litellm": provider}}, then=("opencode",))


def _opencode_model(row: Row) -> dict[str, Any]:
    limits = {"context": row["context"], "output": row["output"]}
    return {"name": row["display_name"] or row["name"], **({"limit": limits} if all(limits.values()) else {})}


def _aider(models: Models, url: str) -> Setup:
    values = {
        "model": f"openai/{models.strong()['name']}",
        "weak-model": f"openai/{models.fast()['name']}",
        "openai-api-base": f"{url}/v1",
    }
    return Setup(values=values, then=(f'OPENAI_API_KEY="${KEY}" aider',))


def _continue(models: Models, url: str) -> Setup:
    def item(name: str, row: Row, *roles: str) -> dict[str, Any]:
        limits = {"contextLength": row["context"], "maxTokens": row["output"]}
        options = {key: value for key, value in limits.items() if value}
        return {
            "name": name,
            "provider": "openai",
            "model": row["name"],
            "apiBase": f"{url}/v1",
            "apiKey": _SECRET,
            "roles": list(roles),
            **({"defaultCompletionOptions": options} if options and row["mode"] != "embedding" else {}),
            **({"capabilities": ["tool_use"]} if "tools" in row["abilities"] else {}),
        }

    listed = [item("Copilot", models.strong(), "chat", "edit", "apply")]
    listed.append(item("Copilot, fast", models.fast(), "chat", "autocomplete"))
    if embedding := models.embedding():
        listed.append(item("Copilot, embeddings", embedding, "embed"))
    head = {"name": "Copilot", "version": "1.0.0", "schema": "v1"}
    then = (f'umask 077; echo "{KEY}=${KEY}" >> ~/.continue/.env   # where the editor\'s extension reads it', "cn")
    return Setup(missing=head, values={"models": listed}, then=then)


def _cline(models: Models, url: str) -> Setup:
    name = models.strong()["name"]
    text = f"""\
API Provider  OpenAI Compatible
Base URL      {url}/v1
API Key       (what {KEY} holds)
Model ID      {name}
"""
    auth = f'cline auth --provider openai --baseurl {url}/v1 --modelid {name} --apikey "${KEY}"'
    return Setup(text, then=(f"{auth}   # on the command line",))


def _open_webui(models: Models, url: str) -> Setup:
    pairs = {
        "OPENAI_API_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": f"${KEY}",
        "DEFAULT_MODELS": models.strong()["name"],
        "TASK_MODEL_EXTERNAL": models.fast()["name"],
    }
    if embedding := models.embedding():
        pairs |= {
            "RAG_EMBEDDING_ENGINE": "openai",
            "RAG_EMBEDDING_MODEL": embedding["name"],
            "RAG_OPENAI_API_BASE_URL": f"{url}/v1",
            "RAG_OPENAI_API_KEY": f"${KEY}",
        }
    lines = [f'export {key}="{value}"' for key, value in pairs.items()]
    note = "# In a container, localhost is the container: use host.docker.internal there, or LiteLLM's service name."
    return Setup("\n".join([*lines, note]) + "\n", then=("open-webui serve",))


def _openai_sdk(models: Models, url: str) -> Setup:
    chat = {"model": models.strong()["name"], "messages": [{"role": "user", "content": "Hello!"}]}
    text = f"""\
import os

from openai import OpenAI

client = OpenAI(base_url="{url}/v1", api_key=os.environ["{KEY}"])
answer = client.chat.completions.create(model={json.dumps(chat["model"])}, messages={json.dumps(chat["messages"])})
print(answer.choices[0].message.content)
# Small and cheap: {models.fast()["name"]}
"""
    if embedding := models.embedding():
        text += f'print(len(client.embeddings.create(model="{embedding["name"]}", input="Hello!").data[0].embedding))\n'
    return Setup(text, then=("pip install openai",))


def _anthropic_sdk(models: Models, url: str) -> Setup:
    strong, fast = models.claude("opus", "sonnet"), models.claude("haiku", "sonnet")
    text = f"""\
import os

from anthropic import Anthropic

client = Anthropic(base_url="{url}", auth_token=os.environ["{KEY}"])
answer = client.messages.create(
    model="{strong["name"]}", max_tokens=1024, messages=[{{"role": "user", "content": "Hello!"}}]
)
print(answer.content[0].text)
# Small and cheap: {fast["name"]}
"""
    return Setup(text, then=("pip install anthropic",))


def _curl(models: Models, url: str) -> Setup:
    body = json.dumps({"model": models.strong()["name"], "messages": [{"role": "user", "content": "Hello!"}]})
    text = f"""\
curl {url}/v1/models -H "Authorization: Bearer ${KEY}"
curl {url}/v1/chat/completions -H "Authorization: Bearer ${KEY}" -H 'content-type: application/json' \\
    -d '{body}'
"""
    return Setup(text)


CLIENTS = {
    "claude-code": Client(
        "Claude Code",
        "https://code.claude.com/docs/en/llm-gateway",
        _claude_code,
        "settings.json",
        "CLAUDE_CONFIG_DIR",
        ".claude",
    ),
    "codex": Client(
        "Codex CLI",
        "https://developers.openai.com/codex/config-advanced",
        _codex,
        "config.toml",
        "CODEX_HOME",
        ".codex",
    ),
    "opencode": Client(
        "opencode",
        "https://opencode.ai/v1/docs/providers",
        _opencode,
        "opencode/opencode.json",
        "XDG_CONFIG_HOME",
        ".config",
    ),
    "aider": Client("aider", "https://aider.chat/docs/llms/openai-compat.html", _aider, ".aider.conf.yml"),
    "continue": Client(
        "Continue", "https://docs.continue.dev/reference", _continue, "config.yaml", "CONTINUE_GLOBAL_DIR", ".continue"
    ),
    "cline": Client("Cline", "https://docs.cline.bot/provider-config/openai-compatible", _cline),
    "open-webui": Client("Open WebUI", "https://docs.openwebui.com/getting-started/env-configuration", _open_webui),
    "openai-sdk": Client("OpenAI SDK for Python", "https://github.com/openai/openai-python", _openai_sdk),
    "anthropic-sdk": Client(
        "Anthropic SDK for Python", "https://github.com/anthropics/anthropic-sdk-python", _anthropic_sdk
    ),
    "curl": Client("curl", "https://docs.litellm.ai/docs/proxy/user_keys", _curl),
}
"""The clients by the name under which `connect` knows them."""
