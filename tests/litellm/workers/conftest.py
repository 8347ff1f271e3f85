"""LiteLLM with one worker and LiteLLM with two, on one token and one models file, started once for all tests here."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.fakes.github import GitHub
from tests.support.files import put_secret
from tests.support.receiver import Receiver

from ..proxy import KEY, OTHER, OWN, Both
from . import MOCK, PINNED, picky


@pytest.fixture(scope="package")
def gh() -> Iterator[GitHub]:
    with GitHub() as github:
        yield github


@pytest.fixture(scope="package")
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


@pytest.fixture(scope="package")
def both(gh: GitHub, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Logged in, with no models yet; a model elsewhere knows another 401. The master key is that of a file. Each worker
    reports to the receiver.
    """
    elsewhere = {"model": "openai/by-chat", "api_base": gh.url, "api_key": "not-ours"}
    config = {"model_list": [OTHER, OWN, MOCK, PINNED, {"model_name": "elsewhere", "litellm_params": elsewhere}]}
    home = tmp_path_factory.mktemp("both")
    put_secret(home / "master-key", f"{KEY}\n")
    key = {"LITELLM_MASTER_KEY": "", "LITELLM_MASTER_KEY_FILE": str(home / "master-key")}
    env = {**gh.env(), **key, "COPILOT_SYNC_URL": receiver.url}
    shutil.copy(picky.__file__, home)
    env["LITELLM_WORKER_STARTUP_HOOKS"] = "picky:start,litellm_hot_reload:start"
    both = Both(home, env, config)
    both.login(gh.new_access_token())
    with both:
        yield both


@pytest.fixture(scope="package")
def settings(gh: GitHub) -> dict[str, object]:
    """The stand-in's as they were in the beginning."""
    return dict(gh.snapshot()["settings"])


@pytest.fixture(scope="module")
def proxy(gh: GitHub, both: Both, settings: dict[str, object]) -> Both:
    """Whatever the module before did to the stand-in is undone, and nobody has an exchange still to make."""
    gh.heal()
    gh.accept_copilot_tokens()
    gh.set(**settings)
    both.forget_exchanges()
    both.exchanged(gh.new_access_token())
    return both
