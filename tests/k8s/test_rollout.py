"""Pods that are replaced under load: no client notices, not even one in the middle of a long answer.

The clients ask the Service, and their streams last longer than the pause before a pod is told to end. The cluster here
has one node: it is open again as soon as the drain has closed it, so that it stands for the node that pods move to.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.k8s.clients import Load
from tests.k8s.cluster import App, Cluster
from tests.k8s.manifests import K8S, build, find, objects
from tests.support.waiting import until

CLIENTS = [f"client {number}" for number in range(6)]
STREAM = 12
"""Seconds that a stream lasts, a piece each."""
LONGEST = 120
"""Seconds for a pod to end."""


@pytest.fixture
def clients(request: pytest.FixtureRequest, apps: dict[str, App]) -> Iterator[Load]:
    """Those of one variant, in the middle of their streams."""
    app = apps[request.param]
    app.github.set(stream_chunks=STREAM, stream_gap=1.0)
    with Load(app, *CLIENTS) as load:
        yield load
    app.github.set(stream_chunks=5, stream_gap=0.02)


def running(app: App) -> set[str]:
    """The pods with a container that runs, those on their way out too."""
    pods = app.get("pods", "-l", "app.kubernetes.io/name=litellm")["items"]
    states = {pod["metadata"]["name"]: pod["status"].get("containerStatuses", ()) for pod in pods}
    return {name for name, found in states.items() if any("running" in one["state"] for one in found)}


def nobody_noticed(load: Load, old: set[str]) -> None:
    """Other pods are there and the old ones have ended; every answer until then, and of a while after, was whole."""
    app = load.app
    until(lambda: not old & running(app), LONGEST, "the old pods have ended", every=0.5)
    app.wait_ready()
    assert not old & set(app.names())
    ended = load.look()

    def all_asked_again() -> bool:
        # What was under way when the last pod ended has an answer by then, or none.
        return all(figures["requests"] >= ended[name]["requests"] + 2 for name, figures in load.look().items())

    until(all_asked_again, 120, "each client asks again", every=1)
    figures = load.take()
    print(f"{app.variant}: {sum(each['requests'] for each in figures.values())} requests")
    assert [failure for each in figures.values() for failure in each["failures"]] == []


def test_the_streams_outlast_the_pause_but_not_the_time_to_end(kubectl: str) -> None:
    """So a pod that ended too early would cut some of them, and one that ended by itself was not killed."""
    spec = find(objects(build(K8S / "cronjob")), "Deployment", "litellm")["spec"]["template"]["spec"]
    (litellm,) = [item for item in spec["containers"] if item["name"] == "litellm"]
    (pause,) = re.findall(r"sleep\((\d+)\)", str(litellm["lifecycle"]["preStop"]))
    assert int(pause) < STREAM < LONGEST < spec["terminationGracePeriodSeconds"]


@pytest.mark.parametrize(
    "clients", ["sidecar", pytest.param("cronjob", marks=pytest.mark.nightly)], indirect=True, ids=str
)
def test_rolling_update(clients: Load) -> None:
    """One pod after the other is replaced, each only when its successor serves."""
    app = clients.app
    old = running(app)
    clients.take()
    app.kubectl("rollout", "restart", "deployment/litellm")
    app.kubectl("rollout", "status", "deployment/litellm", "--timeout=240s", seconds=250)
    nobody_noticed(clients, old)


@pytest.mark.nightly
@pytest.mark.parametrize("clients", ["sidecar", "cronjob"], indirect=True, ids=str)
def test_node_drained(clients: Load, cluster: Cluster) -> None:
    """`kubectl drain` evicts the pods, one at a time because of the budget for disruptions."""
    app = clients.app
    node = app.pods()[0]["spec"]["nodeName"]
    old = {pod["metadata"]["name"] for pod in app.pods() if pod["spec"]["nodeName"] == node}
    app.kubectl("label", "pods", *old, f"copilot-test/drained={app.namespace}")
    clients.take()
    words = ["kubectl", "drain", node, f"--pod-selector=copilot-test/drained={app.namespace}", "--delete-emptydir-data"]
    drain = subprocess.Popen([*words, "--timeout=400s"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        until(lambda: cluster.get("node", node)["spec"].get("unschedulable"), 30, "the node is closed", every=0.1)
        cluster.kubectl("uncordon", node)
        said, _ = drain.communicate(timeout=420)
    finally:
        drain.kill()
        cluster.kubectl("uncordon", node)
    assert drain.returncode == 0, said
    assert ("disruption budget" in said) == (len(old) > 1), said
    nobody_noticed(clients, old)
