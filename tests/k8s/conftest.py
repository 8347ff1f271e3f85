"""The cluster, asked for by ``--k8s`` or COPILOT_TEST_K8S=1 (in CI always), and the image in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.k8s.cluster import BASE, CI, IMAGE, LITELLM, App, Cluster, KubectlFailed, no
from tests.support.paths import ROOT

HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "kubelet_restarts: the Service loses its pods for a while")


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
        no("there is no `kubectl` command")
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


@pytest.fixture(scope="session")
def apps(cluster: Cluster) -> Iterator[dict[str, App]]:
    """Both ways to run it, deployed once for all tests: both at the same time, the sidecar before anybody logs in."""
    with contextlib.ExitStack() as ending:
        apps = {name: ending.enter_context(App(cluster, name)) for name in ("sidecar", "cronjob")}
        for name, app in apps.items():
            app.deploy(logged_in=name == "cronjob")
        for app in apps.values():
            app.wait_ready()
        sidecar = apps["sidecar"]
        assert sidecar.everywhere(lambda pod: sidecar.request("GET", "/v1/models", pod).status_code == 200, 30, "up")
        assert not any(sidecar.models(pod) for pod in sidecar.names())
        sidecar.log_in(sidecar.token)
        for app in apps.values():
            app.everywhere(app.serves, 180, "a completion from every replica")
        yield apps


@pytest.fixture
def cronjob(apps: dict[str, App]) -> App:
    return apps["cronjob"]


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
