"""A look into LiteLLM: prints, as JSON, what the hook relies on. Run by the Python that has LiteLLM, a directory given.

The directory holds an access token and nothing else; no request leaves this process. What is asked here is the same for
every version; what the answers have to be is in test_facts.py.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import litellm
from litellm import Router
from litellm.llms.github_copilot import authenticator as module
from litellm.llms.github_copilot import common_utils
from litellm.llms.github_copilot.authenticator import Authenticator
from litellm.types.router import Deployment

NO_KEY = getattr(common_utils, "GetAPIKeyError", common_utils.GetAccessTokenError)
ENTRY: dict[str, Any] = {
    "model_name": "github_copilot/x",
    "litellm_params": {"model": "github_copilot/x"},
    "model_info": {"id": "github_copilot/managed/x", "input_cost_per_token": 1.0},
}
ID = ENTRY["model_info"]["id"]
facts: dict[str, Any] = {}


class Client:
    """Stands in for LiteLLM's http client: remembers what is asked for, and answers like GitHub's exchange."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def get(self, url: str, **_: Any) -> Any:
        self.asked.append(url)
        return self

    post = get
    is_success, status_code = True, 200

    def raise_for_status(self) -> None: ...

    def json(self) -> dict[str, Any]:
        return {"token": "exchanged", "expires_at": time.time() + 60, "endpoints": {"api": "http://127.0.0.1:9"}}


@contextmanager
def swapped(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def asked_by(action: Callable[[], Any]) -> tuple[list[str], str]:
    """The addresses that LiteLLM asks for, and what comes of it."""
    client = Client()
    name = "get_httpx_client" if hasattr(module, "get_httpx_client") else "_get_httpx_client"
    with swapped(module, name, lambda *_, **__: client):
        try:
            outcome = str(action())
        except Exception as error:
            outcome = type(error).__name__
    return client.asked, outcome


def tokens(key_file: Path) -> None:
    """Where LiteLLM gets its Copilot token and Copilot's address, by itself."""
    record = {"token": "from the file", "endpoints": {"api": "http://127.0.0.1:9"}}
    key_file.write_text(json.dumps({**record, "expires_at": time.time() + 60}))
    facts["valid_file"] = asked_by(Authenticator().get_api_key)
    key_file.write_text(json.dumps({**record, "expires_at": time.time() - 1}))
    facts["expired_file"] = asked_by(Authenticator().get_api_key)
    facts["address"] = asked_by(Authenticator().get_api_base)
    os.environ["GITHUB_COPILOT_API_KEY_FILE"] = "/proc/nowhere/api-key.json"
    facts["unwritable_file"] = asked_by(Authenticator().get_api_key)[1]
    os.environ["GITHUB_COPILOT_API_KEY_FILE"] = str(key_file)


def provider() -> None:
    """What an error of get_api_key becomes."""

    def no_key(_: Authenticator) -> str:
        raise NO_KEY(status_code=401, message="called by the provider")

    with swapped(Authenticator, "get_api_key", no_key):
        try:
            litellm.get_llm_provider("github_copilot/gpt-4o")
        except Exception as error:
            facts["provider_error"] = str(error)
            facts["provider_status"] = getattr(error, "status_code", None)
        facts["kept_without_token"] = Router(model_list=[ENTRY], ignore_invalid_deployments=True).get_model_ids() == [
            ID
        ]


async def ask(kind: str) -> None:
    say: list[Any] = [{"role": "user", "content": "x"}]
    how: dict[str, Any] = {"model": "github_copilot/gpt-4o", "max_retries": 0}
    if kind == "chat":
        await litellm.acompletion(messages=say, **how)
    if kind == "responses":
        await litellm.aresponses(input="x", **how)
    if kind == "messages":
        await litellm.anthropic_messages(messages=say, max_tokens=9, **how)
    if kind == "embedding":
        await litellm.aembedding(input=["x"], **how)


def requests() -> None:
    """LiteLLM asks for the token several times per request; what becomes of an error at each of these places."""
    facts["errors"] = {}
    for kind in ("chat", "responses", "messages", "embedding"):
        for calls in range(9):
            left = iter(["a token"] * calls)

            def ends(_: Authenticator, left: Iterator[str] = left) -> str:
                token = next(left, None)
                if token is None:
                    raise litellm.BadRequestError("the token has ended", "", "github_copilot")
                return token

            with swapped(Authenticator, "get_api_key", ends):
                try:
                    asyncio.run(ask(kind))
                except Exception as error:
                    if "the token has ended" not in str(error):
                        break  # it had all the tokens that it wanted, and went on to Copilot
                    facts["errors"].setdefault(kind, []).append(getattr(error, "status_code", str(error)))


def router() -> None:
    """How models come, change and go."""
    facts["synchronous"] = not any(
        inspect.iscoroutinefunction(getattr(Router, name)) for name in ("upsert_deployment", "delete_deployment")
    )
    facts["entry_points"] = all(hasattr(Router, name) for name in ("apply", "registry"))
    with swapped(Authenticator, "get_api_key", lambda _: "a token"):
        live = Router(model_list=[], ignore_invalid_deployments=True)
        live.upsert_deployment(Deployment(**ENTRY))
        facts["taken_with_token"] = live.get_model_ids() == [ID]
        facts["cost_map_key"] = ID in litellm.model_cost
        info = {**ENTRY["model_info"], "input_cost_per_token": 2.0}
        live.upsert_deployment(Deployment(**{**ENTRY, "model_info": info}))
        (found,) = live.get_model_list(model_name="github_copilot/x") or []
        facts["updated"] = found["model_info"]["input_cost_per_token"] == 2.0
        live.delete_deployment(id=ID)
        facts["names_after_removal"] = sorted(live.model_names)
        facts["deployment_names_after_removal"] = sorted(live.deployment_names)


def main(directory: Path) -> None:
    logging.disable()
    facts["own_messages"] = importlib.util.find_spec("litellm.llms.github_copilot.messages") is not None
    router()
    tokens(directory / "api-key.json")
    provider()
    requests()
    try:
        from litellm import router_deprecated
    except ImportError:
        facts["deprecated"] = []
    else:
        facts["deprecated"] = sorted(router_deprecated.DEPRECATED_ROUTER_MEMBER_USES)
    print(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
