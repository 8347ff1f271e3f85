"""What the hook relies on in LiteLLM. A LiteLLM upgrade that breaks one of these breaks the hook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from sidecar import render
from tests.fakes.catalog import model

from .proxy import Proxy

P = render.PROVIDER
OTHER = {"model_name": "other", "litellm_params": {"model": "openai/x", "api_key": "x", "mock_response": "hello"}}

PROBE = """
import asyncio, inspect, json, logging, sys, time
from pathlib import Path
import litellm
from litellm import Router
from litellm.llms.github_copilot.authenticator import Authenticator
from litellm.llms.github_copilot.common_utils import GetAPIKeyError
from litellm.types.router import Deployment
logging.disable()

facts = {}
router = Router(model_list=[], ignore_invalid_deployments=True)
facts["synchronous"] = not any(
    inspect.iscoroutinefunction(getattr(Router, name)) for name in ("upsert_deployment", "delete_deployment")
)
key_file = Path(sys.argv[1])
key_file.write_text(json.dumps({"token": "from the file", "expires_at": time.time() + 60}))
facts["valid_by_expires_at"] = Authenticator().get_api_key()
base = {"endpoints": {"api": "http://127.0.0.1:9"}}
key_file.write_text(json.dumps({"token": "from the file", "expires_at": time.time() - 1, **base}))
try:
    facts["expired_by_expires_at"] = Authenticator().get_api_key()
except GetAPIKeyError:
    facts["expired_by_expires_at"] = "wants an exchange"

def no_key(self):
    raise GetAPIKeyError(status_code=401, message="called by the provider")
stock, Authenticator.get_api_key = Authenticator.get_api_key, no_key
try:
    litellm.get_llm_provider("github_copilot/gpt-4o")
except Exception as error:
    facts["provider_error"] = str(error)
    facts["provider_status"] = getattr(error, "status_code", None)

entry = {
    "model_name": "github_copilot/x",
    "litellm_params": {"model": "github_copilot/x"},
    "model_info": {"id": "github_copilot/managed/x", "input_cost_per_token": 1.0},
}
facts["dropped_without_token"] = router.upsert_deployment(Deployment(**entry)) is None

async def ask(kind):
    say, model = [{"role": "user", "content": "x"}], "github_copilot/gpt-4o"
    if kind == "chat":
        await litellm.acompletion(model=model, messages=say)
    if kind == "responses":
        await litellm.aresponses(model=model, input="x")
    if kind == "messages":
        await litellm.anthropic_messages(model=model, messages=say, max_tokens=9)
    if kind == "embedding":
        await litellm.aembedding(model=model, input=["x"])

facts["errors"] = {}
for kind in ("chat", "responses", "messages", "embedding"):
    for calls in range(9):
        left = iter(["a token"] * calls)
        def ends(self):
            token = next(left, None)
            if token is None:
                raise litellm.BadRequestError("the token has ended", "", "github_copilot")
            return token
        Authenticator.get_api_key = ends
        try:
            asyncio.run(ask(kind))
        except Exception as error:
            if "the token has ended" in str(error):
                facts["errors"].setdefault(kind, []).append(getattr(error, "status_code", str(error)))

Authenticator.get_api_key = lambda self: "a token"
facts["taken_with_token"] = router.upsert_deployment(Deployment(**entry)) is not None
facts["same_is_none"] = router.upsert_deployment(Deployment(**entry)) is None
facts["cost_map_key"] = "github_copilot/managed/x" in litellm.model_cost
facts["deployment_names"] = list(router.deployment_names)
router.delete_deployment(id="github_copilot/managed/x")
facts["model_names"] = sorted(router.model_names)
facts["deployment_names_after"] = list(router.deployment_names)
print(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory) -> dict[str, Any]:
    """What a look into LiteLLM, in a process of its own, finds."""
    home = tmp_path_factory.mktemp("facts")
    env = {
        **{key: value for key, value in os.environ.items() if "COPILOT" not in key and "LITELLM" not in key},
        "GITHUB_COPILOT_TOKEN_DIR": str(home),
        "GITHUB_COPILOT_API_KEY_FILE": str(home / "api-key.json"),
        "GITHUB_COPILOT_API_KEY_URL": "http://127.0.0.1:9/",
        "GITHUB_COPILOT_API_BASE": "http://127.0.0.1:9",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    (home / "access-token").write_text("ghu_x")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROBE, str(home / "api-key.json")],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return dict(json.loads(run.stdout.splitlines()[-1]))


def test_the_router_changes_without_awaiting(facts):
    """upsert_deployment and delete_deployment exist and are synchronous: a change is whole for every request."""
    assert facts["synchronous"]


def test_expires_at_in_the_token_file_decides(facts):
    """A valid one keeps LiteLLM from asking GitHub; an old one makes it ask."""
    assert facts["valid_by_expires_at"] == "from the file"
    assert facts["expired_by_expires_at"] == "wants an exchange"


def test_the_provider_calls_get_api_key(facts):
    """Authenticator.get_api_key is the place where LiteLLM gets its token, and its error reaches the client as 400."""
    assert "called by the provider" in facts["provider_error"]
    assert facts["provider_status"] == 400


@pytest.mark.parametrize("kind", ["chat", "responses", "messages", "embedding"])
def test_a_token_that_ends_amid_a_request_is_a_400(kind, facts):
    """LiteLLM asks for the token several times per request: the hook's error comes out the same from each place."""
    assert set(facts["errors"][kind]) == {400}


def test_a_model_is_dropped_when_there_is_no_token(facts):
    """The router wants a token to register a model, which is why the hook hands it a placeholder."""
    assert facts["dropped_without_token"] and facts["taken_with_token"] and facts["same_is_none"]


def test_the_cost_map_is_keyed_by_the_managed_id(facts):
    """The hook takes the old prices out under this key."""
    assert facts["cost_map_key"]


def test_names_are_left_behind_by_a_removal(facts):
    """model_names follows a removal, deployment_names does not: the hook sets it."""
    assert facts["model_names"] == []
    assert facts["deployment_names"] == facts["deployment_names_after"] == [P + "x"]


def test_a_stock_litellm_drops_every_copilot_model_while_github_is_down(fresh_gh, start):
    """Why the hook exists; and a start-up hook is awaited, before the configuration is loaded."""
    gh = fresh_gh
    proxy: Proxy = start(
        gh,
        hook=False,
        config={"model_list": [OTHER]},
        env={"LITELLM_WORKER_STARTUP_HOOKS": "recorder:start"},
    )
    recorder = """
        import asyncio
        from pathlib import Path

        async def start():
            from litellm.proxy import proxy_server
            await asyncio.sleep(0.1)
            Path(__file__).with_name("awaited").write_text(repr(proxy_server.llm_router))
        """
    (proxy.home / "recorder.py").write_text(textwrap.dedent(recorder))
    proxy.login(gh.new_access_token())
    proxy.publish([model("gpt-4o"), model("gpt-4.1")])
    gh.down()
    proxy.start()
    assert Path(proxy.home, "awaited").read_text() == "None"
    assert proxy.models() == {"other"}
    gh.up()
    answer = proxy.chat(P + "gpt-4o")
    assert answer.status_code == 400 and proxy.models() == {"other"}
