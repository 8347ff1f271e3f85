"""The manifests as shipped: they build, are valid for every version that is promised, and break no policy."""

from __future__ import annotations

import json
import os
import re
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

LINTERS = Path(__file__).with_name("requirements-linters.in").read_text()
NEWEST = int(re.findall(r"^kubernetes-validate==1\.(\d+)\.", LINTERS, re.MULTILINE)[0])
"""The checker is numbered as the newest Kubernetes whose schemas it brings."""
OPERATOR = "monitoring.coreos.com/"
NATIVE, PLAIN = 29, 25
"""The oldest minor versions. Native sidecars came on with 1.29; sidecar-plain is for older ones, too. So are the
CronJobs, but the published schemas before 1.29 demand a field of `podFailurePolicy` that the API servers do not."""


@pytest.fixture(scope="module")
def built(kubectl: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """All variants, the example, and a variant with the autoscaler."""
    overlay = tmp_path_factory.mktemp("overlay")
    variant, component = (os.path.relpath(K8S / name, overlay.resolve()) for name in ("cronjob", "autoscaling"))
    text = json.dumps({"resources": [variant], "components": [component]})
    (overlay / "kustomization.yaml").write_text(text)
    return {name: build(K8S / name) for name in (*VARIANTS, "example")} | {"autoscaled": build(overlay)}


@pytest.fixture(scope="module")
def files(built: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("manifests")
    for name, text in built.items():
        (directory / f"{name}.yaml").write_text(text)
    return {name: directory / f"{name}.yaml" for name in built}


def _validate(path: Path, *minors: int) -> str:
    """What the strict schema check finds; nothing when all is well."""
    versions = [word for minor in minors for word in ("-k", f"1.{minor}")]
    words = [tool("kubernetes-validate"), *versions, "--strict", "--quiet", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    return done.stdout + done.stderr if done.returncode else ""


def test_strict_schema_of_every_version(built: dict[str, str], files: dict[str, Path], tmp_path: Path) -> None:
    """All that is shipped is valid by the strict schema of each Kubernetes that it is promised for."""
    assert NEWEST > NATIVE
    # What several variants have alike is checked once.
    shipped = [item for text in built.values() for item in objects(text)] + objects(build(K8S / "monitoring"))
    every = {json.dumps(item, sort_keys=True) for item in shipped if not item["apiVersion"].startswith(OPERATOR)}
    (tmp_path / "every.yaml").write_text("\n---\n".join(sorted(every)))
    assert _validate(tmp_path / "every.yaml", *range(NATIVE, NEWEST + 1)) == ""
    assert _validate(files["sidecar-plain"], *range(PLAIN, NATIVE)) == ""


def test_the_schema_check_finds_what_is_wrong(files: dict[str, Path], tmp_path: Path) -> None:
    """A field that is unknown, or too new for one of the versions, does not get past the schema check."""
    found = _validate(files["sidecar"], 28, 27, NEWEST)
    assert "restartPolicy" in found and "1.27" in found and f"1.{NEWEST}" not in found
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(files["cronjob"].read_text().replace("concurrencyPolicy", "concurencyPolicy"))
    assert "concurencyPolicy" in _validate(wrong, NEWEST)
    wrong.write_text(files["autoscaled"].read_text().replace("averageValue", "averageAmount"))
    assert "averageAmount" in _validate(wrong, NATIVE)


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


ALLOWED = {
    "pod": {"runAsNonRoot", "runAsUser", "runAsGroup", "fsGroup", "fsGroupChangePolicy", "seccompProfile"},
    "volumes": {"configMap", "emptyDir", "secret", "persistentVolumeClaim"},
    "ports": {"name", "containerPort", "protocol"},
    "httpGet": {"path", "port"},
    "actions": {"httpGet", "exec"},
}
"""Of what the "restricted" standard looks at, what is used here and allowed there: no sysctl, no SELinux or AppArmor
option, no volume of the host, no port on it, and no other host in a probe."""


@pytest.mark.parametrize("variant", [*VARIANTS, "example", "autoscaled"])
def test_pod_security_restricted_throughout(variant: str, built: dict[str, str]) -> None:
    """The "restricted" standard, field by field, for every container there is; and a read-only root besides."""
    templates = [template for item in objects(built[variant]) if (template := pod_template(item))]
    assert templates
    for template in templates:
        spec = template["spec"]
        assert "annotations" not in template["metadata"]
        assert set(spec["securityContext"]) == ALLOWED["pod"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert min(spec["securityContext"][name] for name in ("runAsUser", "runAsGroup", "fsGroup")) > 10000
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers", "ephemeralContainers"} & set(spec)
        assert {kind for volume in spec["volumes"] for kind in volume if kind != "name"} <= ALLOWED["volumes"]
        for container in containers(spec):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {key for port in container.get("ports", ()) for key in port} <= ALLOWED["ports"]
            for action in _actions(container):
                assert set(action) & {"httpGet", "exec", "tcpSocket", "grpc", "sleep"} <= ALLOWED["actions"]
                assert set(action.get("httpGet", ())) <= ALLOWED["httpGet"]
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]
            for mount in container["volumeMounts"]:
                assert "subPath" not in mount, "a subPath mount never shows a new file"


def _actions(container: Object) -> list[Object]:
    """What the kubelet does to a container: its probes, and what it runs at its start and end."""
    probes = [value for name, value in container.items() if name.endswith("Probe")]
    return probes + list(container.get("lifecycle", {}).values())


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


def test_litellm_reports_to_the_sidecar_of_its_pod(built: dict[str, str]) -> None:
    """Where there is one; a CronJob hears nobody."""
    for variant in VARIANTS:
        spec = pod_template(find(objects(built[variant]), "Deployment", "litellm"))["spec"]  # type: ignore[index]
        ports = [
            port["containerPort"] for one in containers(spec) if one["name"] == "copilot-sync" for port in one["ports"]
        ]
        (litellm,) = [one for one in containers(spec) if one["name"] == "litellm"]
        told = [item["value"] for item in litellm["env"] if item["name"] == "COPILOT_SYNC_URL"]
        assert told == [f"http://127.0.0.1:{port}" for port in ports], variant


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


@pytest.mark.parametrize("variant", [*VARIANTS, "example"])
def test_aliases_and_overrides_are_mounted_where_the_catalog_is_read(variant: str, built: dict[str, str]) -> None:
    """As directories, so that a change arrives, in each container that makes the models file; the object is there."""
    items = objects(built[variant])
    files = find(items, "ConfigMap", "copilot-custom")["data"]
    specs = [template["spec"] for item in items if (template := pod_template(item))]
    readers = [(spec, one) for spec in specs for one in containers(spec) if one.get("args") in (["run"], ["sync"])]
    assert len(readers) == (1 if variant.startswith("sidecar") else 2)
    for spec, container in readers:
        environment = {item["name"]: item["value"] for item in container["env"]}
        named = [environment["COPILOT_ALIASES_FILE"], environment["COPILOT_OVERRIDES_FILE"]]
        assert sorted(named) == sorted(f"/custom/{name}" for name in files)
        assert {"name": "custom", "mountPath": "/custom", "readOnly": True} in container["volumeMounts"]
        assert {"name": "custom", "configMap": {"name": "copilot-custom"}} in spec["volumes"]


def test_the_autoscaler_alone_says_how_many_replicas(built: dict[str, str]) -> None:
    """It scales the Deployment by the CPU of a container that is there, and nothing else sets the number."""
    items = objects(built["autoscaled"])
    spec = find(items, "HorizontalPodAutoscaler", "litellm")["spec"]
    deployment = find(items, "Deployment", "litellm")
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "litellm"}
    assert "replicas" not in deployment["spec"]
    assert find(items, "HorizontalPodAutoscaler", "litellm")["metadata"]["namespace"] == "litellm"
    (metric,) = spec["metrics"]
    names = {item["name"] for item in deployment["spec"]["template"]["spec"]["containers"]}
    assert metric["containerResource"]["container"] in names
    assert 1 < spec["minReplicas"] < spec["maxReplicas"], "one could not be drained without a gap"


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
    assert find(items, "ConfigMap", "copilot-custom")["data"]["aliases.yaml"].startswith("claude-sonnet: newest of")
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
