"""What belongs to all tests: the search for secrets, the flag for those that need a cluster, who runs beside whom."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.litellm import results
from tests.support import canary

# LiteLLM would ask the network for its price list as soon as a test module imports it.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

# Even where Python was told otherwise: each process of each run would compile all tests anew, which is most of the time
# that it takes to collect them.
sys.dont_write_bytecode = False

# What is there once, or started once, for all tests of a directory: they stay with one worker.
SHARED = ("tests/browser/", "tests/clients/", "tests/containers/", "tests/k8s/", "tests/litellm/workers/")
# What takes longest, and so begins first: nothing goes on alone at the end.
FIRST = (
    "tests/k8s/",
    "tests/containers/",
    "tests/monitoring/test_states.py",
    "tests/browser/",
    "tests/clients/",
    "tests/litellm/test_per_user.py",
    "tests/litellm/test_no_network.py",
    "tests/litellm/workers/",
    "tests/litellm/",
)


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
def loggers() -> Iterator[None]:
    """A test that sets up logging, as the command line and the hook do, leaves the loggers as they were, and no file
    open: what a handler writes into the output of a test that has ended is a traceback, in that of another one.
    """
    found = [logging.getLogger(name) for name in (None, "urllib3", "copilot_hook")]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in found]
    yield
    for logger, (handlers, level, propagate) in zip(found, before, strict=True):
        opened = [handler for handler in logger.handlers if handler not in handlers]
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)
        for handler in opened:
            handler.close()


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
    items.sort(key=lambda item: next((n for n, place in enumerate(FIRST) if item.nodeid.startswith(place)), len(FIRST)))
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cluster)
        if item.get_closest_marker("core") and item.get_closest_marker("alone"):
            raise pytest.UsageError(f"{item.nodeid}: what measures is not run with --core")


class ByModule(LoadScopeScheduling):
    """With ``-n``: a worker takes a module at a time, so that a LiteLLM which its tests share is started once."""

    def _split_scope(self, nodeid: str) -> str:
        return next((place for place in SHARED if nodeid.startswith(place)), nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule:
    config.option.loadscopereorder = False  # in the order of the tests as they are collected
    return ByModule(config, log)
