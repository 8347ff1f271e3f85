"""What answers at LiteLLM's address may be anything: `doctor` then says so, and has no bug."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.errors import LiteLLMError
from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX
from sidecar.litellm_proxy.probe import check_alive, check_hook, check_in_sync
from sidecar.settings import Settings
from tests.support.hostile import json_bytes
from tests.support.http_server import HttpServer

KEYS = (
    *("data", "model_name", "model_info", "id", "litellm", "follows", "unguarded", "refusals_noticed", "notes"),
    *("models_problem", "config_problem", "refused", "restart_for", "guarded"),
)
ENTRIES = {f"{MANAGED_PREFIX}a": {"model_name": "a", "model_info": {"id": f"{MANAGED_PREFIX}a"}}, "nameless": {}}


@pytest.fixture(scope="module")
def litellm():
    with HttpServer(lambda _: litellm.answer) as litellm:
        yield litellm


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from([200, 200, 200, 401, 500]), json_bytes(*KEYS))
def test_any_answer(litellm, status, body):
    """Every check comes to a result or to an error that is not a bug."""
    litellm.answer = status, {}, body
    found = Settings.load({"LITELLM_URL": litellm.url})
    for check in (check_alive, check_hook, lambda found: check_in_sync(found, ENTRIES)):
        try:
            text = check(found) or ""
        except LiteLLMError as error:
            text = f"{error} {error.hint}"
        assert len(text) < 1000


@pytest.mark.parametrize("value", [5, True, "text", {"a": 1}, [["a"], None], [{"a": []}], "\x1b[31m\n"])
def test_lists_that_are_none(litellm, value):
    """Where the hook's report should hold a list, anything else counts as one thing."""
    healthy = {"litellm": "1", "follows": "x", "refusals_noticed": True, "guarded": value}
    litellm.answer = 200, {}, healthy
    found = Settings.load({"LITELLM_URL": litellm.url})
    assert "guarded: " in check_hook(found)
    for key in ("unguarded", "notes", "refused", "restart_for"):
        litellm.answer = 200, {}, {**healthy, key: value}
        with pytest.raises(LiteLLMError) as caught:
            check_hook(found)
        assert str(caught.value).isprintable()


def test_names_that_are_none(litellm):
    """A model name that is no text is not the one that is missing."""
    litellm.answer = 200, {}, {"data": [{"model_name": ["a"]}, {"model_name": {}}, 5, None, {"model_info": 5}]}
    with pytest.raises(LiteLLMError, match=r"does not serve a$"):
        check_in_sync(Settings.load({"LITELLM_URL": litellm.url}), ENTRIES)


@pytest.mark.parametrize(("status", "said"), [(404, "what answers at"), (500, "LiteLLM is not well at")])
def test_a_secret_in_the_address(status, said, litellm):
    """The query of LiteLLM's address is not shown."""
    litellm.answer = status, {}, {}
    with pytest.raises(LiteLLMError, match=rf"{said} http://127") as caught:
        check_alive(Settings.load({"LITELLM_URL": f"{litellm.url}/?key=canary"}))
    assert "canary" not in str(caught.value)
