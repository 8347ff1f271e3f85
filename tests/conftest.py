"""What belongs to all tests: the flag for those that need a cluster, and who runs beside whom."""

from __future__ import annotations

import os
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.litellm import results

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
