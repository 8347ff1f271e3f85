"""Both ways to run it on a real API server, scheduler and kubelet, with the real LiteLLM in two replicas.

The manifests are those shipped. What the server is too old for is rewritten (``tests.k8s.manifests.rewritten``),
which the names of the tests say.
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.fakes.catalog import model
from tests.k8s.cluster import App, Cluster, KubectlFailed
from tests.k8s.manifests import Object, find, pod_template
from tests.support.waiting import until

SIDECAR = pytest.param("sidecar", id="sidecar_rewritten_as_plain_container_before_1_29")
CRONJOB = pytest.param("cronjob", id="cronjob_rewritten_as_v1beta1_before_1_21")


@pytest.fixture(scope="module", params=[SIDECAR, CRONJOB])
def app(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[App]:
    """The variant, deployed as the documentation says; the sidecar's before anybody has logged in."""
    with App(cluster, request.param) as app:
        app.deploy(logged_in=request.param == "cronjob")
        app.wait_ready()
        if request.param == "sidecar":
            assert app.everywhere(lambda pod: app.request("GET", "/v1/models", pod).status_code == 200, 30, "answers")
            assert not any(app.models(pod) for pod in app.names())
            app.log_in(app.token)
        app.everywhere(app.serves, 180, "a completion from every replica")
        yield app


def add_model(app: App, name: str) -> str:
    """A new model in the catalog; its name at LiteLLM."""
    app.github.set_catalog(items=[*app.github.catalog, model(name)])
    return f"github_copilot/{name}"


def test_from_secret_to_served_completion(app: App) -> None:
    """With the token in its Secret every replica serves a completion, without a restart and without a refusal."""
    for pod in app.names():
        answer = app.chat(pod)
        assert answer.status_code == 200, answer.text
    assert app.serves(), "by the Service, too"
    assert set(app.restarts().values()) == {0}
    assert app.github.refusals == []


def test_confined_as_the_manifest_says(app: App) -> None:
    """In each pod: no root, no capability, a seccomp filter, nothing to write to, and no service account token."""
    for pod in app.names():
        status = app.exec(pod, "litellm", "cat", "/proc/1/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split() == ["10001"] * 4
        assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
        assert (fields["NoNewPrivs"].strip(), fields["Seccomp"].strip()) == ("1", "2")
        for path in ("/shared/x", "/github_auth/x", "/app/x"):
            with pytest.raises(KubectlFailed):
                app.exec(pod, "litellm", "python3", "-c", f"open({path!r}, 'w')")
        with pytest.raises(KubectlFailed):
            app.exec(pod, "litellm", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token")


def test_catalog_change_is_served_by_every_replica_without_a_restart(app: App) -> None:
    """A new model in the catalog reaches every replica, and no container restarts for it."""
    name = add_model(app, "brand-new")
    seconds = app.everywhere(lambda pod: app.serves(pod, name), 180, f"{name} everywhere")
    print(f"{app.variant}: a new model served by every replica after {seconds:.0f} s")
    assert set(app.restarts().values()) == {0}


def test_token_rotation_without_a_restart(app: App) -> None:
    """A new token in the Secret is used by every pod when the old one is revoked; no pod changes, none restarts."""
    pods, before = app.names(), app.restarts()
    old, app.token = app.token, app.github.new_access_token()
    app.github.revoke(token=old)
    app.github.expire_copilot_tokens()  # what LiteLLM holds is worth nothing from now on
    app.log_in(app.token)
    app.everywhere(lambda pod: _fingerprint(app, pod) == _sha(app.token), 180, "the new token in every replica")
    name = add_model(app, "after-rotation")
    app.everywhere(lambda pod: app.serves(pod, name), 180, "served with the new token")
    assert (app.names(), app.restarts()) == (pods, before)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _fingerprint(app: App, pod: str) -> str:
    words = "import hashlib; print(hashlib.sha256(open('/github_auth/access-token','rb').read()).hexdigest())"
    return app.exec(pod, "litellm", "python3", "-c", words).strip()


def test_litellm_killed_comes_back_with_its_models_while_the_other_serves(app: App) -> None:
    """A killed LiteLLM returns with all of its models, and the other replica answers all the while."""
    victim, other = app.names()
    before = app.models(victim)
    app.kill(victim, "litellm")
    began = time.monotonic()

    def back() -> bool:
        assert app.serves(other), "the other replica failed"
        return app.restarts()[f"{victim}/litellm"] == 1 and app.serves(victim)

    until(back, 150, "the killed replica serves again", every=0.5)
    print(f"{app.variant}: a killed LiteLLM served again after {time.monotonic() - began:.0f} s")
    assert app.models(victim) == before


def test_sidecar_or_job_killed_and_litellm_serves_on(app: App) -> None:
    """Killing what syncs loses nothing that is published, and the next change arrives as usual."""
    victim = app.names()[0]
    if app.variant == "sidecar":
        app.kill(victim, "copilot-sync")

        def over() -> bool:
            assert app.serves(victim), "LiteLLM failed while its sidecar was away"
            return app.restarts()[f"{victim}/copilot-sync"] == 1
    else:
        before = app.configmap()
        app.github.fail(path="/models", how="hang")
        until(lambda: _running(app), 120, "a sync that hangs", every=0.5)
        app.kubectl("delete", "pod", "--force", "--grace-period=0", *_running(app))
        assert app.configmap()["data"] == before["data"]
        app.github.heal()

        def over() -> bool:
            return app.serves(victim)

    until(over, 90, "it is over", every=0.5)
    name = add_model(app, "after-the-kill")
    app.everywhere(lambda pod: app.serves(pod, name), 180, "changes arrive again")


def _running(app: App) -> list[str]:
    pods = app.pods("copilot-sync")
    return [pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") == "Running"]


def only_cronjob(app: App) -> None:
    if app.variant != "cronjob":
        pytest.skip("of the ConfigMap alone")


def test_the_cronjob_really_fires_and_reads_the_catalog_once_for_all_replicas(app: App) -> None:
    """The schedule starts Jobs by itself, and one Job asks GitHub for the catalog once."""
    only_cronjob(app)

    def fired() -> list[Object]:
        jobs = app.get("jobs")["items"]
        owned = [job for job in jobs if job["metadata"].get("ownerReferences")]
        return [job for job in owned if job["status"].get("succeeded")]

    (job, *_) = until(fired, 130, "a Job of the CronJob's has succeeded", every=1)
    assert job["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    app.github.clear()
    before = {job["metadata"]["uid"] for job in fired()}
    until(lambda: {job["metadata"]["uid"] for job in fired()} - before, 130, "the next one", every=1)
    assert app.github.count("/models") == 1


def test_applying_again_changes_nothing_and_takes_nothing_back(app: App) -> None:
    """Argo CD and Flux compare and apply all the time: no difference, whether client-side or server-side."""
    only_cronjob(app)
    items = [item for item in app.items if item["kind"] != "Job"]
    before = app.configmap()["data"]

    def differences() -> str:
        try:
            text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
            return app.kubectl("diff", "-f", "-", stdin=text)
        except KubectlFailed as error:
            return str(error)

    assert differences() == ""
    app.apply(items)
    app.cluster.apply(items, "--server-side", "--field-manager=flux", "--force-conflicts")
    app.cluster.apply(items, "--server-side", "--field-manager=flux", "--force-conflicts")
    assert app.configmap()["data"].keys() == before.keys()
    assert app.models(app.names()[0])
    assert set(app.restarts()) == {f"{pod}/litellm" for pod in app.names()}


def test_the_hook_follows_the_real_swap_within_three_seconds(app: App) -> None:
    """After the kubelet's swap of the volume each hook has the change in its router within three seconds."""
    only_cronjob(app)
    name = add_model(app, "timed")
    app.everywhere(lambda pod: name in app.models(pod), 180, "the change arrives")
    for pod in app.names():
        words = "import os; print(os.lstat('/models/..data').st_mtime)"
        swapped = float(app.exec(pod, "litellm", "python3", "-c", words))
        (line, *_) = [line for line in app.logs(pod).splitlines() if f"added {name}" in line]
        followed = datetime.strptime(" ".join(line.split()[:2]) + "+0000", "%Y-%m-%d %H:%M:%S,%f%z").timestamp()
        print(f"swap to router: {followed - swapped:.2f} s")
        assert 0 <= followed - swapped < 3.0


def test_rbac_allows_the_one_configmap_and_refuses_all_else(app: App) -> None:
    """The API server lets the sync's account get and patch its ConfigMap, and do nothing else."""
    only_cronjob(app)
    user = f"--as=system:serviceaccount:{app.namespace}:copilot-sync"

    def may(*words: str) -> bool:
        try:
            return app.kubectl("auth", "can-i", *words, user).strip() == "yes"
        except KubectlFailed:
            return False

    assert may("get", "configmap/copilot-models")
    assert may("patch", "configmap/copilot-models")
    for verb in ("create", "list", "watch", "delete", "update"):
        assert not may(verb, "configmaps"), verb
    for other in ("configmap/stand-in", "secret/github-copilot", "secret/litellm", "pods", "deployment/litellm"):
        assert not may("get", other), other
        assert not may("patch", other), other
    assert app.kubectl("get", "configmap", "copilot-models", "-o", "name", user)
    for other in ("configmap/stand-in", "secret/github-copilot"):
        with pytest.raises(KubectlFailed, match=r"(?i)forbidden"):
            app.kubectl("get", other, user)


def test_a_subpath_mount_is_warned_of(app: App) -> None:
    """The mistake that nobody would notice: such a mount keeps its first content for ever."""
    only_cronjob(app)
    template: Any = pod_template(find(app.items, "Deployment", "litellm"))
    spec = copy.deepcopy(template["spec"])
    (mount,) = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "models"]
    mount |= {"mountPath": "/models/copilot_models.yaml", "subPath": "copilot_models.yaml"}
    app.apply([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "subpath"}, "spec": spec}])

    def log() -> str:
        try:
            return app.kubectl("logs", "subpath", "-c", "litellm")
        except KubectlFailed:
            return ""

    try:
        until(lambda: "following" in log(), 120, "the hook started", every=0.5)
        assert "WARNING" in log()
        assert "single file" in log()
        assert "single file" not in app.logs(app.names()[0])
    finally:
        app.kubectl("delete", "pod", "subpath", "--grace-period=1", "--wait=false")
