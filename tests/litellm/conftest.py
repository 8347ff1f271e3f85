"""What the tests against the real LiteLLM share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.github import GitHub

from . import results
from .proxy import Proxy
from .results import record_figure  # noqa: F401  # fixtures are found by name here

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.litellm)
    results.pytest_collection_modifyitems(items)


@pytest.fixture(scope="module")
def gh() -> Iterator[GitHub]:
    with GitHub() as github:
        yield github


@pytest.fixture
def fresh_gh() -> Iterator[GitHub]:
    """A stand-in for one test that breaks it."""
    with GitHub() as github:
        yield github


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Proxy]]:
    """Makes proxies that end with the test."""
    with ExitStack() as running:

        def make(github: GitHub, **how: Any) -> Proxy:
            home = tmp_path / f"proxy{len(list(tmp_path.iterdir()))}"
            home.mkdir()
            proxy = Proxy(home, {**github.env(), **how.pop("env", {})}, **how)
            running.callback(proxy.stop)
            return proxy

        yield make
