"""What a cluster does to both ways to run it, one thing after the other, under load: no client ever notices.

One deployment of each variant, two replicas each, and clients that ask them all the time for a model that stays
(``tests.k8s.load``). A test ends with the figures of its time: requests, failures, the longest silence.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

import pytest
import requests

from sidecar.litellm_hot_reload.exchange import fingerprint
from sidecar.models.absences import load_absences
from sidecar.targets.configmap import ABSENCES_KEY, KEY, _unpack
from sidecar.targets.models_file import entries_in
from tests.fakes.catalog import model
from tests.fakes.control import Control
from tests.k8s.clients import Load
from tests.k8s.cluster import KEY as MASTER_KEY
from tests.k8s.cluster import App, Cluster
from tests.k8s.control_plane import Etcd, Part
from tests.k8s.manifests import find
from tests.support.waiting import until


@pytest.fixture(scope="module")
def loads(apps: dict[str, App]) -> Iterator[list[Load]]:
    apps["cronjob"].only_by_hand()
    with contextlib.ExitStack() as ending:
        yield [ending.enter_context(Load(app, "service", pods=True)) for app in apps.values()]


@pytest.fixture(autouse=True)
def nobody_notices(loads: list[Load], request: pytest.FixtureRequest) -> Iterator[None]:
    """Around each test: no request failed, no pod is another one, and no container was started again.

    A kubelet that starts says first that its node is not ready, and the Service loses the pods there, here all of them.
    What then fails has not come to LiteLLM.
    """
    before = [(each.app.names(), each.app.restarts(), each.take()) for each in loads]
    yield
    asked = ("pods",) if request.node.get_closest_marker("kubelet_restarts") else ("pods", "service")
    for each, (names, restarts, _) in zip(loads, before, strict=True):
        figures = each.take()
        print(f"{request.node.name}: {each.app.variant}: {figures}")
        assert [figures[name]["failures"] for name in asked] == [[]] * len(asked)
        assert all(figures[name]["requests"] for name in asked)
        assert (each.app.names(), each.app.restarts()) == (names, restarts)


def change(app: App, name: str) -> str:
    """A new model in the catalog; its name at LiteLLM."""
    name = f"{name}-{secrets.token_hex(2)}"
    app.github.set_catalog(items=[*app.github.catalog, model(name)])
    return f"github_copilot/{name}"


def follows(app: App, name: str) -> str:
    """A new model comes to be served by every replica, by one sync; its name at LiteLLM."""
    name = change(app, name)
    app.sync()
    app.everywhere(lambda pod: app.serves(pod, name), 120, f"{name} everywhere")
    return name


def published(app: App) -> tuple[set[str], set[str]]:
    """The models in the ConfigMap's models file, and those in its record of absences."""
    found = app.configmap()
    names = {item["model_name"].partition("/")[2] for item in entries_in(found["data"][KEY].encode()).values()}
    record = load_absences(_unpack(found["binaryData"][ABSENCES_KEY]))
    assert record is not None
    return names, set(record)


def in_volume(app: App, pod: str) -> str:
    """The models file as the kubelet has put it into the pod."""
    return app.exec(pod, "litellm", "sh", "-c", "cat /models/copilot_models.yaml 2>/dev/null || true")


def login_of_the_hook(app: App, pod: str) -> str:
    """The fingerprint of the access token that the hook has exchanged."""
    words = "import json; print(json.load(open('/run/copilot/api-key.json'))['login'])"
    return app.exec(pod, "litellm", "python3", "-c", words).strip()


@pytest.mark.parametrize("variant", ["sidecar", "cronjob"])
def test_secret_rotated(variant: str, apps: dict[str, App]) -> None:
    """A Secret deleted and made again: LiteLLM serves on, then hooks and syncs use the new token without a restart."""
    app = apps[variant]
    app.kubectl("delete", "secret", "github-copilot")
    app.everywhere(lambda pod: not app.exec(pod, "litellm", "ls", "/github_auth"), 120, "no token")
    old, app.token = app.token, app.github.new_access_token()
    app.log_in(app.token)
    app.everywhere(lambda pod: login_of_the_hook(app, pod) == fingerprint(app.token), 120, "the hook's exchange")
    app.github.revoke(token=old)
    follows(app, "after-the-rotation")


def test_job_evicted_in_mid_run(cronjob: App) -> None:
    """A drain takes the Job's pod while it reads the catalog: nothing is lost, and its next pod does the work."""
    before = cronjob.configmap()
    name = change(cronjob, "after-the-eviction")
    cronjob.github.fail(path="/models", how="hang")
    reads = cronjob.github.count("/models")
    job = cronjob.start_job()
    until(lambda: cronjob.github.count("/models") > reads, 60, "it reads the catalog", every=0.5)
    (pod,) = [pod["metadata"]["name"] for pod in cronjob.pods("copilot-sync") if job in pod["metadata"]["name"]]
    cronjob.evict(pod)
    assert cronjob.configmap() == before
    cronjob.github.heal()
    cronjob.wait_job(job)
    cronjob.everywhere(lambda pod: cronjob.serves(pod, name), 120, f"{name} everywhere")


def test_two_jobs_at_once(cronjob: App) -> None:
    """Both have read the catalog and write at once: what is published is one of them whole, after the other."""
    # One of them does not see the model; models file and record have to agree.
    name = change(cronjob, "flickering").partition("/")[2]
    cronjob.github.set(flicker=[name])
    cronjob.github.fail(path="/models", delay=60)  # late, but at once when that is healed
    reads = cronjob.github.count("/models")
    jobs = [cronjob.start_job() for _ in range(2)]
    until(lambda: cronjob.github.count("/models") >= reads + 2, 60, "both read the catalog", every=0.5)
    cronjob.github.heal()
    for job in jobs:
        cronjob.wait_job(job)
        print(cronjob.kubectl("logs", f"job/{job}"))
    models, remembered = published(cronjob)
    assert models <= remembered
    assert (name in models) == (name in remembered)
    cronjob.github.set(flicker=[])
    follows(cronjob, "after-both")


def test_configmap_deleted_and_made_again_by_gitops(cronjob: App) -> None:
    """It comes back empty, the kubelet empties the volume, and the models stay until the next sync fills it."""
    before, served = published(cronjob), {pod: cronjob.models(pod) for pod in cronjob.names()}
    cronjob.kubectl("delete", "configmap", "copilot-models")
    cronjob.apply([find(cronjob.items, "ConfigMap", "copilot-models")])
    assert not cronjob.configmap().get("data")
    cronjob.everywhere(lambda pod: not in_volume(cronjob, pod), 120, "an empty volume")
    for pod, models in served.items():
        assert cronjob.models(pod) == models
    cronjob.sync()
    assert published(cronjob) == before
    follows(cronjob, "after-the-deletion")


@pytest.mark.kubelet_restarts
def test_kubelet_stopped(apps: dict[str, App], cluster: Cluster) -> None:
    """No volume is brought up to date and no Job starts; the sidecar does its work; afterwards everything follows."""
    kubelet, sidecar, cronjob = Part("kubelet", cluster.processes_at()), apps["sidecar"], apps["cronjob"]
    kubelet.kill()
    try:
        alone, late = change(sidecar, "without-kubelet"), change(cronjob, "without-kubelet")
        until(lambda: all(sidecar.serves(pod, alone) for pod in sidecar.names()), 60, "the sidecar's", every=0.5)
        job = cronjob.start_job()
        assert not any(late in cronjob.models(pod) for pod in cronjob.names())
    finally:
        kubelet.start()
    cronjob.wait_job(job)
    cronjob.everywhere(lambda pod: cronjob.serves(pod, late), 120, "followed afterwards")


def test_api_server_stopped(apps: dict[str, App], loads: list[Load], cluster: Cluster) -> None:
    """LiteLLM does not need it, and the sidecar works on; a sync after it is back is like any other."""
    server, sidecar = Part("kube-apiserver", cluster.processes_at()), apps["sidecar"]
    places = [f"http://{pod['status']['podIP']}:4000/v1/models" for pod in sidecar.pods()]
    github = Control(f"http://{sidecar.github_ip}:8000")  # from this machine: it is the node
    server.kill()
    try:
        github.set_catalog(items=[*github.catalog, model("without-api-server")])
        headers = {"x-litellm-api-key": MASTER_KEY}

        def there(place: str) -> bool:
            return "without-api-server" in requests.get(place, headers=headers, timeout=10).text

        until(lambda: all(there(place) for place in places), 60, "the sidecar's", every=0.5)
    finally:
        server.start()
    until(cluster.answers, 90, "it is back", every=0.5)
    follows(apps["cronjob"], "after-the-api-server")


@pytest.mark.kubelet_restarts
def test_etcd_lost_and_restored(cronjob: App, cluster: Cluster) -> None:
    """An older ConfigMap comes back, with an older resourceVersion, and the next sync repairs it."""
    # As Kubernetes' documentation says, the other parts are started again after a restore.
    home = cluster.processes_at()
    etcd, server = Etcd(home), Part("kube-apiserver", home)
    others = [Part(name, home) for name in ("kube-controller-manager", "kube-scheduler", "kubelet")]
    with etcd.snapshot() as snapshot:
        old = cronjob.configmap()
        lost = follows(cronjob, "after-the-snapshot")
        new = cronjob.configmap()
        etcd.lose()
        server.kill()
        etcd.restore(snapshot)
    server.start()
    for part in others:
        part.restart()
    until(cluster.answers, 90, "it is back", every=0.5)
    found = cronjob.configmap()
    assert (found["data"], found["metadata"]["resourceVersion"]) == (old["data"], old["metadata"]["resourceVersion"])
    cronjob.sync()
    assert cronjob.configmap()["data"] == new["data"]
    cronjob.everywhere(lambda pod: cronjob.serves(pod, lost), 120, "it is back, too")
    follows(cronjob, "after-the-restore")
