"""Both ways to run it on a real API server, scheduler and kubelet, with the real LiteLLM in two replicas.

The manifests are those shipped. What the server is too old for is rewritten (``tests.k8s.manifests.rewritten``),
which the names of the tests say.
"""

from __future__ import annotations

import copy
import json
import time
from datetime import datetime
from typing import Any

import pytest

from tests.fakes.catalog import model
from tests.k8s.cluster import App, KubectlFailed
from tests.k8s.manifests import Object, find, pod_template
from tests.support.waiting import until

SIDECAR = pytest.param("sidecar", id="sidecar_rewritten_as_plain_container_before_1_29")
CRONJOB = pytest.param("cronjob", id="cronjob_rewritten_as_v1beta1_before_1_21")


@pytest.fixture(params=[SIDECAR, CRONJOB])
def app(request: pytest.FixtureRequest, apps: dict[str, App]) -> App:
    return apps[request.param]


def add_model(app: App, name: str) -> str:
    """A new model in the catalog, and a sync; its name at LiteLLM."""
    app.github.set_catalog(items=[*app.github.catalog, model(name)])
    app.sync()
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


def test_a_change_of_catalog_and_aliases_is_served_by_every_replica_without_a_restart(app: App) -> None:
    """A new model, and an alias for it put into the ConfigMap, reach every replica; no container restarts for them."""
    app.kubectl("patch", "configmap", "copilot-custom", "--patch", '{"data": {"aliases.yaml": "mine: brand-new"}}')
    name = add_model(app, "brand-new")
    seconds = app.everywhere(lambda pod: app.serves(pod, name), 180, f"{name} everywhere")
    print(f"{app.variant}: a new model served by every replica after {seconds:.0f} s")
    seconds = app.everywhere(lambda pod: app.serves(pod, "mine"), 120, "the alias, too")
    print(f"{app.variant}: the alias after another {seconds:.0f} s")
    assert set(app.restarts().values()) == {0}
    app.apply([item for item in app.items if item["metadata"]["name"] == "copilot-custom"])  # as it is shipped, again


def test_litellm_killed_comes_back_with_its_models_while_the_other_serves(cronjob: App) -> None:
    """A killed LiteLLM returns with all of its models, and the other replica answers all the while."""
    victim, other = cronjob.names()
    before = cronjob.models(victim)
    cronjob.kill(victim, "litellm")
    began = time.monotonic()

    def back() -> bool:
        assert cronjob.serves(other), "the other replica failed"
        return cronjob.restarts()[f"{victim}/litellm"] == 1 and cronjob.serves(victim)

    until(back, 150, "the killed replica serves again", every=0.5)
    print(f"a killed LiteLLM served again after {time.monotonic() - began:.0f} s")
    # It is ready before the hook has put in the last of them.
    until(lambda: cronjob.models(victim) == before, 30, "all of its models")


def test_sidecar_killed_and_litellm_serves_on(apps: dict[str, App]) -> None:
    """Killing what syncs loses nothing that is published, and the next change arrives as usual."""
    app = apps["sidecar"]
    victim = app.names()[0]
    app.kill(victim, "copilot-sync")

    def over() -> bool:
        assert app.serves(victim), "LiteLLM failed while its sidecar was away"
        return app.restarts()[f"{victim}/copilot-sync"] == 1

    until(over, 90, "it is over", every=0.5)
    name = add_model(app, "after-the-kill")
    app.everywhere(lambda pod: app.serves(pod, name), 180, "changes arrive again")


def test_the_cronjob_really_fires_and_one_job_reads_the_catalog_once_for_all_replicas(cronjob: App) -> None:
    """The schedule starts Jobs by itself, every minute here; then such a Job alone: it asks for the catalog once."""

    def jobs() -> list[Object]:
        return [job for job in cronjob.get("jobs")["items"] if job["metadata"].get("ownerReferences")]

    cronjob.by_schedule()
    (job, *_) = until(lambda: [job for job in jobs() if job["status"].get("succeeded")], 130, "a Job", every=1)
    assert job["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    cronjob.only_by_hand()
    cronjob.github.clear()
    cronjob.sync()
    assert cronjob.github.count("/models") == 1


def test_applying_again_changes_nothing_and_takes_nothing_back(cronjob: App) -> None:
    """Argo CD and Flux compare and apply all the time: no difference, whether client-side or server-side."""
    items = [item for item in cronjob.items if item["kind"] != "Job"]
    before = cronjob.configmap()["data"]

    def differences() -> str:
        try:
            text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
            return cronjob.kubectl("diff", "-f", "-", stdin=text)
        except KubectlFailed as error:
            return str(error)

    assert differences() == ""
    cronjob.apply(items)
    cronjob.cluster.apply(items, "--server-side", "--field-manager=flux", "--force-conflicts")
    cronjob.cluster.apply(items, "--server-side", "--field-manager=flux", "--force-conflicts")
    assert cronjob.configmap()["data"].keys() == before.keys()
    assert cronjob.models(cronjob.names()[0])
    assert set(cronjob.restarts()) == {f"{pod}/litellm" for pod in cronjob.names()}


def test_the_hook_follows_the_real_swap_within_three_seconds(cronjob: App) -> None:
    """After the kubelet's swap of the volume each hook has the change in its router within three seconds."""
    name = add_model(cronjob, "timed")
    cronjob.everywhere(lambda pod: name in cronjob.models(pod), 180, "the change arrives")
    for pod in cronjob.names():
        words = "import os; print(os.lstat('/models/..data').st_mtime)"
        swapped = float(cronjob.exec(pod, "litellm", "python3", "-c", words))
        (line, *_) = [line for line in cronjob.logs(pod).splitlines() if f"added {name}" in line]
        followed = datetime.strptime(" ".join(line.split()[:2]) + "+0000", "%Y-%m-%d %H:%M:%S,%f%z").timestamp()
        print(f"swap to router: {followed - swapped:.2f} s")
        assert 0 <= followed - swapped < 3.0


def test_rbac_allows_the_one_configmap_and_refuses_all_else(cronjob: App) -> None:
    """The API server lets the sync's account get and patch its ConfigMap, and do nothing else."""
    user = f"--as=system:serviceaccount:{cronjob.namespace}:copilot-sync"

    def may(*words: str) -> bool:
        try:
            return cronjob.kubectl("auth", "can-i", *words, user).strip() == "yes"
        except KubectlFailed:
            return False

    assert may("get", "configmap/copilot-models")
    assert may("patch", "configmap/copilot-models")
    for verb in ("create", "list", "watch", "delete", "update"):
        assert not may(verb, "configmaps"), verb
    for other in ("configmap/stand-in", "secret/github-copilot", "secret/litellm", "pods", "deployment/litellm"):
        assert not may("get", other), other
        assert not may("patch", other), other
    assert cronjob.kubectl("get", "configmap", "copilot-models", "-o", "name", user)
    for other in ("configmap/stand-in", "secret/github-copilot"):
        with pytest.raises(KubectlFailed, match=r"(?i)forbidden"):
            cronjob.kubectl("get", other, user)


def test_a_subpath_mount_is_warned_of(cronjob: App) -> None:
    """The mistake that nobody would notice: such a mount keeps its first content for ever."""
    template: Any = pod_template(find(cronjob.items, "Deployment", "litellm"))
    spec = copy.deepcopy(template["spec"])
    (mount,) = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "models"]
    mount |= {"mountPath": "/models/copilot_models.yaml", "subPath": "copilot_models.yaml"}
    cronjob.apply([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "subpath"}, "spec": spec}])

    def log() -> str:
        try:
            return cronjob.kubectl("logs", "subpath", "-c", "litellm")
        except KubectlFailed:
            return ""

    try:
        until(lambda: "following" in log(), 120, "the hook started", every=0.5)
        assert "WARNING" in log()
        assert "single file" in log()
        assert "single file" not in cronjob.logs(cronjob.names()[0])
    finally:
        cronjob.kubectl("delete", "pod", "subpath", "--grace-period=1", "--wait=false")
