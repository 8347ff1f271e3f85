"""LiteLLM with one worker and LiteLLM with two, on one token and one models file, started once for all tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.github import GitHub

from ..proxy import OTHER, OWN, Both
from . import MOCK, PINNED


@pytest.fixture(scope="package")
def gh() -> Iterator[GitHub]:
    with GitHub() as github:
        yield github


@pytest.fixture(scope="package")
def both(gh: GitHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Logged in, with no models yet; a model elsewhere knows another 401."""
    elsewhere = {"model": "openai/by-chat", "api_base": gh.url, "api_key": "not-ours"}
    config = {"model_list": [OTHER, OWN, MOCK, PINNED, {"model_name": "elsewhere", "litellm_params": elsewhere}]}
    both = Both(tmp_path_factory.mktemp("both"), gh.env(), config)
    both.login(gh.new_access_token())
    with both:
        yield both


@pytest.fixture(scope="package")
def settings(gh: GitHub) -> dict[str, object]:
    """The stand-in's as they were in the beginning."""
    return dict(gh.snapshot()["settings"])


@pytest.fixture(scope="module")
def proxy(gh: GitHub, both: Both, settings: dict[str, object]) -> Both:
    """Whatever the module before did to the stand-in is undone."""
    gh.heal()
    gh.accept_copilot_tokens()
    gh.set(**settings)
    both.login(gh.new_access_token())
    return both
