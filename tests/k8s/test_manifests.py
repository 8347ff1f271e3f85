"""The manifests as shipped: they build, are valid for the oldest and newest version, and break no policy."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.k8s.manifests import (
    CRONJOBS,
    K8S,
    VARIANTS,
    Object,
    build,
    containers,
    find,
    objects,
    pod_template,
    rewritten,
)
from tests.support.tools import tool

NEWEST = "1.37"
OLDEST = {"sidecar": "1.29", "sidecar-plain": "1.25", "cronjob": "1.29", "cronjob-volume": "1.29", "example": "1.29"}
"""Native sidecars came on with 1.29. For the CronJobs older versions do, too, but their published schemas demand a
field of `podFailurePolicy` that the API servers do not."""
DIRECTORIES = (*VARIANTS, "example")


@pytest.fixture(scope="module")
def built(kubectl: str) -> dict[str, str]:
    return {name: build(K8S / name) for name in DIRECTORIES}


@pytest.fixture(scope="module")
def files(built: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("manifests")
    for name, text in built.items():
        (directory / f"{name}.yaml").write_text(text)
    return {name: directory / f"{name}.yaml" for name in built}


def _validate(path: Path, version: str) -> str:
    """What the strict schema check finds; nothing when all is well."""
    words = [tool("kubernetes-validate"), "-k", version, "--strict", "--quiet", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.parametrize("variant", DIRECTORIES)
def test_strict_schema_of_the_oldest_and_newest_version(variant: str, files: dict[str, Path]) -> None:
    """Every variant is valid by the strict schema of the oldest and of the newest Kubernetes."""
    for version in (OLDEST[variant], NEWEST):
        assert _validate(files[variant], version) == "", version


def test_the_schema_check_finds_what_is_wrong(files: dict[str, Path], tmp_path: Path) -> None:
    """A field that is unknown, or too new for the version, does not get past the schema check."""
    assert "restartPolicy" in _validate(files["sidecar"], "1.27")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(files["cronjob"].read_text().replace("concurrencyPolicy", "concurencyPolicy"))
    assert "concurencyPolicy" in _validate(wrong, NEWEST)


def _checkov(path: Path) -> Object:
    words = [tool("checkov"), "--framework", "kubernetes", "--skip-download", "-o", "json", "-f", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=180, cwd=path.parent)
    assert done.returncode in {0, 1}, done.stderr
    return dict(json.loads(done.stdout)["results"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_policy_every_check_passes_or_is_justified_in_the_file(variant: str, files: dict[str, Path]) -> None:
    """All of checkov's checks, none switched off; an exception is an annotation with a reason."""
    results = _checkov(files[variant])
    assert [(item["check_id"], item["resource"]) for item in results["failed_checks"]] == []
    assert len(results["passed_checks"]) > 80
    for item in results["skipped_checks"]:
        reason = item["check_result"]["suppress_comment"]
        assert len(reason.split()) >= 5, f"{item['check_id']} of {item['resource']} has no reason: {reason!r}"


def test_the_policy_check_finds_what_is_wrong(files: dict[str, Path], tmp_path: Path) -> None:
    """A privileged container does not get past the policy check."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(files["cronjob"].read_text().replace("allowPrivilegeEscalation: false", "privileged: true"))
    assert {"CKV_K8S_16", "CKV_K8S_20"} <= {item["check_id"] for item in _checkov(wrong)["failed_checks"]}


@pytest.mark.parametrize("variant", VARIANTS)
def test_pod_security_restricted_throughout(variant: str, built: dict[str, str]) -> None:
    """The "restricted" standard, field by field, for every container there is; and a read-only root besides."""
    templates = [template for item in objects(built[variant]) if (template := pod_template(item))]
    assert templates
    for template in templates:
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 10000
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
        assert kinds <= {"configMap", "emptyDir", "secret", "persistentVolumeClaim", "projected"}
        for container in containers(spec):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]
            for mount in container["volumeMounts"]:
                assert "subPath" not in mount, "a subPath mount never shows a new file"


@pytest.mark.parametrize("variant", VARIANTS)
def test_tokens_are_read_only_and_models_too(variant: str, built: dict[str, str]) -> None:
    """Tokens are mounted read-only everywhere, the models file in LiteLLM, which has both of its probes."""
    templates = [template for item in objects(built[variant]) if (template := pod_template(item))]
    found = [container for template in templates for container in containers(template["spec"])]
    mounts = [(c["name"], mount["mountPath"], mount.get("readOnly")) for c in found for mount in c["volumeMounts"]]
    assert {read_only for _, path, read_only in mounts if path == "/github_auth"} == {True}
    assert {read_only for name, path, read_only in mounts if (name, path) == ("litellm", "/shared")} == {True}
    (litellm,) = [container for container in found if container["name"] == "litellm"]
    assert litellm["readinessProbe"]["httpGet"]["path"] == "/health/readiness"
    assert litellm["livenessProbe"]["httpGet"]["path"] == "/health/liveliness"


@pytest.mark.parametrize("variant", VARIANTS)
def test_selectors_meet_the_pods_they_mean(variant: str, built: dict[str, str]) -> None:
    """Service, disruption budget and network policies select the pods that the Deployment makes."""
    items = objects(built[variant])
    labels = find(items, "Deployment", "litellm")["spec"]["template"]["metadata"]["labels"]
    budget = find(items, "PodDisruptionBudget", "litellm")["spec"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    assert find(items, "Service", "litellm")["spec"]["selector"].items() <= labels.items()
    policies = [item for item in items if item["kind"] == "NetworkPolicy"]
    assert policies
    for policy in policies:
        name = {"litellm": "litellm", "copilot-sync": "copilot-sync"}[policy["metadata"]["name"]]
        assert policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == name
        assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}


DNS: Object = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}


def _tcp(*ports: int) -> Object:
    return {"ports": [{"protocol": "TCP", "port": port} for port in ports]}


@pytest.mark.parametrize("variant", VARIANTS)
def test_network_policies_admit_what_is_needed_and_no_more(variant: str, built: dict[str, str]) -> None:
    """Clients reach LiteLLM, nobody the health port; DNS, 443 and, for the job, the API server may be called."""
    items = objects(built[variant])
    policies = {item["metadata"]["name"]: item["spec"] for item in items if item["kind"] == "NetworkPolicy"}
    clients = [{"podSelector": {}}, {"namespaceSelector": {"matchLabels": {"litellm-copilot/clients": "true"}}}]
    expected: Object = {"litellm": ([{"from": clients, **_tcp(4000)}], [DNS, _tcp(443)])}
    if variant in CRONJOBS:
        expected["copilot-sync"] = ([], [DNS, _tcp(443, 6443) if variant == "cronjob" else _tcp(443)])
    assert {name: (spec.get("ingress", []), spec["egress"]) for name, spec in policies.items()} == expected
    for template in [template for item in items if (template := pod_template(item))]:
        labels = template["metadata"]["labels"].items()
        (policy,) = [spec for spec in policies.values() if spec["podSelector"]["matchLabels"].items() <= labels]
        assert set(policy["policyTypes"]) == {"Ingress", "Egress"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_litellm_does_not_start_without_a_master_key(variant: str, built: dict[str, str]) -> None:
    """The Secret and its LITELLM_MASTER_KEY have to be there, and nothing gives leave to do without."""
    spec = pod_template(find(objects(built[variant]), "Deployment", "litellm"))["spec"]  # type: ignore[index]
    (litellm,) = [container for container in containers(spec) if container["name"] == "litellm"]
    (key,) = [item for item in litellm["env"] if item["name"] == "LITELLM_MASTER_KEY"]
    assert key["valueFrom"] == {"secretKeyRef": {"name": "litellm", "key": "LITELLM_MASTER_KEY"}}
    assert {"secretRef": {"name": "litellm"}} in litellm["envFrom"]
    assert "PERMIT_WEAK_OR_UNSET" not in built[variant]


def test_native_sidecar_starts_before_litellm(built: dict[str, str]) -> None:
    """The native sidecar goes first, holds LiteLLM back until it is ready once, and never after that."""
    spec = pod_template(find(objects(built["sidecar"]), "Deployment", "litellm"))["spec"]  # type: ignore[index]
    (sidecar,) = spec["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["startupProbe"]["httpGet"]["path"] == "/readyz"
    assert "readinessProbe" not in sidecar


def test_the_native_sidecar_before_1_29_becomes_the_plain_variant(built: dict[str, str]) -> None:
    """So what the tests run on an old cluster in place of k8s/sidecar is what k8s/sidecar-plain ships."""
    native, plain = (
        pod_template(find(rewritten(objects(built[name]), (1, 28)), "Deployment", "litellm"))["spec"]  # type: ignore[index]
        for name in ("sidecar", "sidecar-plain")
    )
    assert {c["name"]: c for c in native["containers"]} == {c["name"]: c for c in plain["containers"]}
    assert [c["name"] for c in native["initContainers"]] == [c["name"] for c in plain["initContainers"]]


def test_rbac_is_exactly_one_configmap(built: dict[str, str]) -> None:
    """The CronJob may read and patch one ConfigMap; no other variant has a role, and LiteLLM has no token."""
    items = objects(built["cronjob"])
    (role,) = [item for item in items if item["kind"].endswith("Role")]
    rule = {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": ["copilot-models"],
        "verbs": ["get", "patch"],
    }
    assert role["kind"] == "Role"
    assert role["rules"] == [rule]
    assert not [
        item for name in VARIANTS if name != "cronjob" for item in objects(built[name]) if "Role" in item["kind"]
    ]
    job = pod_template(find(items, "CronJob", "copilot-sync"))["spec"]  # type: ignore[index]
    assert job["serviceAccountName"] == "copilot-sync"
    litellm = pod_template(find(items, "Deployment", "litellm"))["spec"]  # type: ignore[index]
    assert litellm["automountServiceAccountToken"] is False


def test_what_the_cronjob_writes_is_not_in_what_is_applied(built: dict[str, str]) -> None:
    """The shipped ConfigMap is empty, so that applying it again takes no model away."""
    configmap = find(objects(built["cronjob"]), "ConfigMap", "copilot-models")
    assert set(configmap) == {"apiVersion", "kind", "metadata"}


@pytest.mark.parametrize("variant", CRONJOBS)
def test_cronjob_is_bounded(variant: str, built: dict[str, str]) -> None:
    """One job at a time, few retries, a deadline, little history, and a jitter between installations."""
    items = objects(built[variant])
    spec = find(items, "CronJob", "copilot-sync")["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] <= 3600
    assert spec["successfulJobsHistoryLimit"] + spec["failedJobsHistoryLimit"] <= 5
    for job in (spec["jobTemplate"]["spec"], find(items, "Job", "copilot-sync-first")["spec"]):
        assert job["backoffLimit"] <= 4
        assert job["activeDeadlineSeconds"] <= 900
        assert job["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [2, 3]
    (container,) = containers(spec["jobTemplate"]["spec"]["template"]["spec"])
    assert {"name": "COPILOT_SYNC_JITTER", "value": "300"} in container["env"]


def test_every_documented_patch_takes_effect(built: dict[str, str]) -> None:
    """Namespace, images, interval, replicas, Secret name, hosts: all of the example; nothing keeps the old value."""
    text, items = built["example"], objects(built["example"])
    assert {item["metadata"]["namespace"] for item in items if item["kind"] != "Ingress"} == {"team-llm"}
    assert {s["namespace"] for s in find(items, "RoleBinding", "copilot-sync")["subjects"]} == {"team-llm"}
    images = {c["image"] for item in items if (t := pod_template(item)) for c in containers(t["spec"])}
    assert images == {
        "registry.example.com/litellm-copilot-model-sync:0.1.0",
        "ghcr.io/berriai/litellm@sha256:" + "0" * 64,
    }
    assert find(items, "CronJob", "copilot-sync")["spec"]["schedule"] == "42,12 * * * *"
    assert find(items, "ConfigMap", "copilot-settings")["data"]["COPILOT_MODEL_SYNC_INTERVAL"] == "1800"
    assert find(items, "ConfigMap", "copilot-settings")["data"]["GITHUB_COPILOT_API_BASE"].endswith(".ghe.com")
    assert find(items, "Deployment", "litellm")["spec"]["replicas"] == 5
    secrets = [v["secret"] for i in items if (t := pod_template(i)) for v in t["spec"]["volumes"] if "secret" in v]
    assert [item["secretName"] for item in secrets] == ["team-copilot-login"] * 3
    assert all(item["defaultMode"] == 0o440 and item["optional"] for item in secrets)
    assert find(items, "Ingress", "litellm")["spec"]["rules"][0]["host"] == "llm.example.com"
    assert "litellm-copilot-model-sync:local" not in text
    clients, metrics = find(items, "NetworkPolicy", "litellm")["spec"]["ingress"]
    assert len(clients["from"]) == 3 and metrics["ports"] == [{"protocol": "TCP", "port": 8080}]


def test_settings_in_the_manifests_are_known_ones() -> None:
    """Every variable of ours that a manifest sets is one that the program knows."""
    from sidecar.settings import declarations

    known = {item.name for item in declarations()} | {"GITHUB_COPILOT_API_KEY_FILE"}
    documents = [document for path in K8S.rglob("*.yaml") for document in yaml.safe_load_all(path.read_text())]
    used = {name for document in documents for name in _variables(document)}
    assert len(used) > 5
    assert used - known == set()


def _variables(node: object) -> list[str]:
    """Names of our variables anywhere in a document: as `name:` of an environment, or `NAME=` of a generator."""
    if isinstance(node, dict):
        own = [str(node["name"])] if isinstance(node.get("name"), str) else []
        found = own + [name for value in node.values() for name in _variables(value)]
    elif isinstance(node, list):
        texts = [item.partition("=")[0] for item in node if isinstance(item, str)]
        found = texts + [name for value in node for name in _variables(value)]
    else:
        found = []
    return [name for name in found if name.isupper() and "COPILOT" in name]
