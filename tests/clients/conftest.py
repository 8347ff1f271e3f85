"""One LiteLLM for all clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .clients import Home, Stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("clients")) as stack:
        yield stack


@pytest.fixture
def home(stack: Stack, tmp_path: Path) -> Home:
    """A home of the test's own, in which nothing is set up."""
    return Home(stack, tmp_path / "home")
