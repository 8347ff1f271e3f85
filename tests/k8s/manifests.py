"""The shipped manifests, and what has to be rewritten in them for an older API server."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from scripts.litellm_versions import default_image
from tests.support.paths import ROOT

K8S = ROOT / "k8s"
VARIANTS = ("sidecar", "sidecar-plain", "cronjob", "cronjob-volume")
CRONJOBS = ("cronjob", "cronjob-volume")
SIDECAR_IMAGE, LITELLM_IMAGE = "litellm-copilot-model-sync:local", default_image()
Object = dict[str, Any]


def build(directory: Path) -> str:
    """What ``kubectl kustomize`` makes of a directory."""
    done = subprocess.run(["kubectl", "kustomize", str(directory)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower(), done.stderr
    return done.stdout


def objects(text: str) -> list[Object]:
    return [item for item in yaml.safe_load_all(text) if item]


def find(items: list[Object], kind: str, name: str) -> Object:
    """The one object of that kind whose name is ``name``, or begins with it and a hyphen (generated ones)."""
    found = [item for item in items if item["kind"] == kind]
    exact = [item for item in found if item["metadata"]["name"] == name]
    (one,) = exact or [item for item in found if item["metadata"]["name"].startswith(f"{name}-")]
    return one


def pod_template(item: Object) -> Object | None:
    """The pod template of a workload."""
    match item["kind"]:
        case "Deployment" | "Job":
            return item["spec"]["template"]
        case "CronJob":
            return item["spec"]["jobTemplate"]["spec"]["template"]
    return None


def containers(spec: Object) -> list[Object]:
    return [*spec.get("initContainers", ()), *spec["containers"]]


def rewritten(items: list[Object], version: tuple[int, int]) -> list[Object]:
    """The objects as an API server of ``version`` knows them.

    Before 1.21 CronJob and PodDisruptionBudget are v1beta1; before 1.26 a Job has no podFailurePolicy; before
    1.29 a native sidecar becomes an ordinary container, after an init container that does its first step.
    """
    items = copy.deepcopy(items)
    for item in items:
        if version < (1, 21) and item["apiVersion"] in {"batch/v1", "policy/v1"} and item["kind"] != "Job":
            item["apiVersion"] += "beta1"
        if version < (1, 26):
            job = item["spec"]["jobTemplate"]["spec"] if item["kind"] == "CronJob" else item.get("spec") or {}
            job.pop("podFailurePolicy", None)
        template = pod_template(item)
        if template and version < (1, 29):
            _without_native_sidecars(template["spec"])
    return items


def _without_native_sidecars(spec: Object) -> None:
    native = [item for item in spec.get("initContainers", ()) if item.pop("restartPolicy", None) == "Always"]
    for item in native:
        spec["initContainers"].remove(item)
        spec["containers"].append(item)
        first = {key: item[key] for key in ("image", "imagePullPolicy", "securityContext", "resources", "volumeMounts")}
        spec["initContainers"].append({**json.loads(json.dumps(first)), "name": "copilot-prepare", "args": ["prepare"]})
