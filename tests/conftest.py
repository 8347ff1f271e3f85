"""What belongs to all tests: the search for secrets, the flag for those that need a cluster, who runs beside whom."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.litellm import results
from tests.support import canary

# LiteLLM would ask the network for its price list as soon as a test module imports it.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

# What is there once, or started once, for all tests of a directory: they stay with one worker.
SHARED = ("tests/containers/", "tests/k8s/", "tests/litellm/workers/")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--k8s", action="store_true", help="run the tests that need a cluster, in kubectl's current one")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "k8s: manifests, and with --k8s a Kubernetes cluster")
    # From here, because with -n the process that has everybody's reports loads no conftest below this one.
    results.pytest_configure(config)
    canary.watch_answers()
    canary.watch_commands()
    canary.watch_directories()


@pytest.fixture(autouse=True)
def searched_records(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Every log record, with all that it carries."""
    yield
    for when in ("setup", "call"):
        for record in caplog.get_records(when):  # type: ignore[arg-type]
            error = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
            canary.search("a log record", f"{record.getMessage()} {record.__dict__} {error}")


@pytest.fixture(autouse=True)
def searched_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test reads with capsys is not in its report."""
    read = pytest.CaptureFixture.readouterr

    def searched(self: pytest.CaptureFixture[Any]) -> Any:
        out, err = result = read(self)
        for text in (out, err):
            canary.search("the captured output", text)
        return result

    monkeypatch.setattr(pytest.CaptureFixture, "readouterr", searched)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """After a test and all that ends with it: search what is left of it, and fail for whatever has been found."""
    try:
        return (yield)
    finally:
        for when, what, text in item._report_sections:
            canary.search(f"{what} of {when}", text)
        last_of_module = nextitem is None or nextitem.path != item.path
        canary.search_made(item.funcargs.get("tmp_path"), others=last_of_module)  # type: ignore[attr-defined]
        if leaked := canary.taken():
            pytest.fail("a secret got out:\n  " + "\n  ".join(leaked[:40]), pytrace=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cluster)


class ByModule(LoadScopeScheduling):
    """With ``-n``: a worker takes a module at a time, so that a LiteLLM which its tests share is started once."""

    def _split_scope(self, nodeid: str) -> str:
        return next((place for place in SHARED if nodeid.startswith(place)), nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule:
    config.option.loadscopereorder = False  # in the order of the directories: what takes longest begins first
    return ByModule(config, log)
