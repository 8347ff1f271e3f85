"""The cluster, asked for by ``--k8s`` or COPILOT_TEST_K8S=1 (in CI always), and the image in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.k8s.cluster import BASE, IMAGE, LITELLM, Cluster, KubectlFailed
from tests.support.paths import ROOT

HERE = Path(__file__).parent
CI = os.environ.get("CI", "").lower() == "true"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.k8s)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def kubectl() -> str:
    """The command; in CI it has to be there."""
    found = shutil.which("kubectl")
    if not found:
        (pytest.fail if CI else pytest.skip)("there is no `kubectl` command")
    return str(found)


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, kubectl: str) -> Iterator[Cluster]:
    """kubectl's current context, with the image in it. Only when asked for: it makes and deletes namespaces."""
    asked = request.config.getoption("--k8s") or os.environ.get("COPILOT_TEST_K8S", "").lower() in {"1", "true"}
    if not asked and not CI:
        pytest.skip("no cluster asked for: --k8s or COPILOT_TEST_K8S=1 uses kubectl's current context")
    cluster = Cluster()
    try:
        cluster.kubectl("get", "--raw", "/readyz", seconds=20)
    except (KubectlFailed, subprocess.TimeoutExpired) as error:
        pytest.fail(f"no cluster answers: {error}")
    _image(cluster)
    cluster.start()
    yield cluster
    cluster.stop()


def _image(cluster: Cluster) -> None:
    """Build the image and see that a kind cluster has it; any other cluster has to know COPILOT_TEST_K8S_IMAGE."""
    if os.environ.get("COPILOT_TEST_K8S_IMAGE"):
        return
    build = ["docker", "build", "--quiet", "--tag", IMAGE, "--build-arg", f"BASE_IMAGE={BASE}", "."]
    env = {**os.environ, "DOCKER_BUILDKIT": "1"}
    done = subprocess.run(build, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    context = cluster.kubectl("config", "current-context").strip()
    if context.startswith("kind-"):
        for image in (IMAGE, LITELLM, BASE):
            words = ["kind", "load", "docker-image", "--name", context.removeprefix("kind-"), image]
            subprocess.run(words, check=True, timeout=600, capture_output=True)
