"""What the hook relies on in LiteLLM, by version. A LiteLLM that differs turns one of these red.

``FACTS`` (facts.py) is the table: for each line of releases, what a look into it (probe.py) has to find. A line that
the table lacks is held to the facts of the newest that it has, and fails besides, because somebody has to look at it.
"""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest

from sidecar.models.entries import PROVIDER
from tests.fakes.catalog import model

from .facts import EXCHANGE, FACTS, Facts, expected_of, line_of
from .proxy import OTHER, Proxy
from .results import litellm_python, litellm_version

P = PROVIDER
X = P + "x"
OLD_MEMBERS = {"upsert_deployment", "delete_deployment", "model_names", "deployment_names", "get_model_list"}


pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def expected() -> Facts:
    """The facts of this version's line, or of the newest one in the table."""
    return expected_of(litellm_version())


@pytest.fixture(scope="module")
def facts(tmp_path_factory) -> dict[str, Any]:
    """What a look into LiteLLM, in a process of its own, finds."""
    home = tmp_path_factory.mktemp("facts")
    env = {
        **{key: value for key, value in os.environ.items() if "COPILOT" not in key and "LITELLM" not in key},
        "GITHUB_COPILOT_TOKEN_DIR": str(home),
        "GITHUB_COPILOT_API_KEY_FILE": str(home / "api-key.json"),
        "GITHUB_COPILOT_API_KEY_URL": EXCHANGE,
        "GITHUB_COPILOT_API_BASE": "http://127.0.0.1:9",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    (home / "access-token").write_text("the access token")
    run = subprocess.run(
        [litellm_python(), "-P", "-W", "ignore", str(Path(__file__).with_name("probe.py")), str(home)],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return dict(json.loads(run.stdout.splitlines()[-1]))


def test_this_line_of_releases_is_in_the_table():
    """A LiteLLM that nobody has looked at is red, and says what to do."""
    version = litellm_version()
    assert line_of(version) in FACTS, (
        f"Nobody has looked at LiteLLM {version} yet. Give {line_of(version)} a row in FACTS of tests/litellm/"
        "facts.py: the row of the version before it, with what the other tests of this file found to differ. "
        "Where something differs, the hook's adapter has to know it. CONTRIBUTING.md tells the other steps."
    )


def test_the_router_changes_without_awaiting(facts):
    """upsert_deployment and delete_deployment exist and are synchronous: a change is whole for every request."""
    assert facts["synchronous"]


def test_the_router_takes_a_model_and_an_update(facts):
    """With a token a model is taken, and a changed one replaces it."""
    assert facts["taken_with_token"]
    assert facts["updated"]


def test_a_model_without_a_token(facts, expected):
    """Older routers drop a model that there is no token for, newer ones keep it."""
    assert facts["kept_without_token"] == expected.keeps_without_token


def test_names_are_left_behind_by_a_removal(facts, expected):
    """deployment_names never follows a removal, model_names does in newer versions: the hook sees to what is left."""
    assert facts["names_after_removal"] == ([X] if expected.removed_names else [])
    assert set(facts["deployment_names_after_removal"]) == {X}


def test_the_cost_map_is_keyed_by_the_managed_id(facts):
    """The hook takes the old prices out under this key."""
    assert facts["cost_map_key"]


def test_the_supported_entry_points(facts, expected):
    """Where apply() and registry() are, all else that a hook could use is counted and will go."""
    assert facts["entry_points"] == expected.entry_points
    assert set(facts["deprecated"]) >= (OLD_MEMBERS if expected.entry_points else set())


def test_where_litellm_gets_its_token(facts, expected):
    """By expires_at in api-key.json, and by an exchange when that is past; or it sends the access token itself."""
    if expected.exchange is None:
        assert facts["valid_file"] == facts["expired_file"] == [[], "the access token"]
    else:
        assert facts["valid_file"] == [[], "from the file"]
        assert facts["expired_file"] == [[expected.exchange], "exchanged"]
    assert facts["unwritable_file"] == expected.unwritable_file


def test_where_litellm_gets_copilots_address(facts, expected):
    """From api-key.json, or by asking GitHub, at an address that no variable changes."""
    asked, address = facts["address"]
    assert asked == ([expected.asks_for_address] if expected.asks_for_address else [])
    assert address == ("None" if expected.asks_for_address else "http://127.0.0.1:9")


def test_the_provider_calls_get_api_key(facts):
    """Authenticator.get_api_key is the place where LiteLLM gets its token, and its error reaches the client as 400."""
    assert "called by the provider" in facts["provider_error"]
    assert facts["provider_status"] == 400


@pytest.mark.parametrize("kind", ["chat", "responses", "messages", "embedding"])
def test_a_token_that_ends_amid_a_request_is_a_400(kind, facts):
    """LiteLLM asks for the token several times per request: the hook's error comes out the same from each place."""
    assert set(facts["errors"][kind]) == {400}


def test_what_a_stock_litellm_makes_of_a_start_while_github_is_down(fresh_gh, start, expected):
    """Why the hook exists: older ones lose every Copilot model for good. And a start-up hook is awaited first."""
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
    copilots = {P + "gpt-4o", P + "gpt-4.1"} if expected.keeps_without_token else set()
    assert proxy.models() == {"other"} | copilots
    gh.up()
    if not expected.keeps_without_token:
        answer = proxy.chat(P + "gpt-4o")
        assert answer.status_code == 400 and proxy.models() == {"other"}


def test_copilots_own_messages_endpoint(facts, expected):
    """Claude models go to Copilot's /v1/messages only where LiteLLM has that; a model with nothing else needs it."""
    assert facts["own_messages"] == expected.own_messages
