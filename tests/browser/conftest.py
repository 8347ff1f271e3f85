"""One Chromium for the tests of this directory, which is there for no longer than they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .browser import Browser, axe, start


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """Ended with the last test of the package: as long as Playwright runs, its event loop does, in this thread."""
    playwright, chromium = start()
    yield chromium
    chromium.close()
    playwright.stop()


@pytest.fixture(scope="package")
def axe_source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return axe(tmp_path_factory.mktemp("axe"))


@pytest.fixture
def browser(chromium: Any, axe_source: str) -> Iterator[Browser]:
    """Opens pages in Chromium; whatever problem one has had, and the test has not taken out, fails the test."""
    browser = Browser(chromium, axe_source)
    yield browser
    browser.close()
    assert [problem for shown in browser.opened for problem in shown.problems] == []
