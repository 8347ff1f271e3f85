"""What belongs to all tests: the flag for those that need a cluster."""

from __future__ import annotations

import os

import pytest

# LiteLLM would ask the network for its price list as soon as a test module imports it.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--k8s", action="store_true", help="run the tests that need a cluster, in kubectl's current one")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "k8s: manifests, and with --k8s a Kubernetes cluster")
