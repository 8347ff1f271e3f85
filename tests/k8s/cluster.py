"""A cluster that ``kubectl`` points at, and one deployment of a variant in a namespace of its own.

Everything is reached through the API server's proxy, so that it works with any cluster: nothing has to be
reachable from here but the API server.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import pytest
import requests

from tests.fakes.control import Control
from tests.k8s import control_plane, searched
from tests.k8s.manifests import (
    K8S,
    LITELLM_IMAGE,
    SIDECAR_IMAGE,
    Object,
    build,
    containers,
    objects,
    pod_template,
    rewritten,
)
from tests.k8s.manifests import find as find_object
from tests.support import canary
from tests.support.paths import ROOT
from tests.support.waiting import until

IMAGE = os.environ.get("COPILOT_TEST_K8S_IMAGE") or "litellm-copilot-model-sync:k8s-test"
LITELLM = os.environ.get("LITELLM_IMAGE") or LITELLM_IMAGE
BASE = os.environ.get("BASE_IMAGE") or "python:3.13-slim"
CI = os.environ.get("CI", "").lower() == "true"
KEY = canary.new("k")
MODEL = "github_copilot/claude-sonnet-4.6"


def no(reason: str) -> NoReturn:
    """This cannot be tested here; in CI it has to be."""
    if CI:
        pytest.fail(reason)
    pytest.skip(reason)


class KubectlFailed(AssertionError):
    """``kubectl`` ended with another exit code than 0."""


class Cluster:
    """The cluster of kubectl's current context."""

    def __init__(self) -> None:
        self.proxy: subprocess.Popen[str] | None = None
        self.base = ""

    def kubectl(self, *words: str, stdin: str | None = None, seconds: float = 90) -> str:
        done = subprocess.run(["kubectl", *words], input=stdin, capture_output=True, text=True, timeout=seconds)
        if done.returncode:
            raise KubectlFailed(f"kubectl {' '.join(words)} ended with {done.returncode}: {done.stderr[-3000:]}")
        return done.stdout

    def get(self, *words: str) -> Any:
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    @property
    def version(self) -> tuple[int, int]:
        found = json.loads(self.kubectl("version", "-o", "json"))["serverVersion"]
        return int(found["major"]), int(re.sub(r"\D", "", found["minor"]))

    def apply(self, items: list[Object], *words: str) -> str:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        return self.kubectl("apply", "--validate=false", *words, "-f", "-", stdin=text)

    def start(self) -> None:
        """``kubectl proxy`` on a free port; it outlives a restart of the API server."""
        self.proxy = subprocess.Popen(
            ["kubectl", "proxy", "--port=0", "--append-server-path"], stdout=subprocess.PIPE, text=True
        )
        assert self.proxy.stdout is not None
        line = self.proxy.stdout.readline()
        self.base = "http://" + line.strip().rpartition(" ")[2]

    def stop(self) -> None:
        if self.proxy:
            self.proxy.terminate()
            self.proxy.wait(10)
            assert self.proxy.stdout is not None
            self.proxy.stdout.close()

    def answers(self) -> bool:
        """Whether the API server is there, and ready."""
        try:
            return self.kubectl("get", "--raw", "/readyz", seconds=5) == "ok"
        except (KubectlFailed, subprocess.TimeoutExpired):
            return False

    @cached_property
    def home(self) -> Path | None:
        """Where its processes were started, if they are this machine's; None elsewhere."""
        return control_plane.home()

    def processes_at(self) -> Path:
        """``home``; the test is skipped where the cluster's processes are not to be had, and fails in CI."""
        if self.home is None:
            no("needs a cluster whose processes the tests may stop")
        return self.home


class App:
    """One variant, in a namespace of its own, with the stand-in for GitHub as a pod beside it."""

    def __init__(self, cluster: Cluster, variant: str | None, replicas: int = 2, **settings: str) -> None:
        self.cluster, self.variant, self.replicas, self.settings = cluster, variant, replicas, settings
        self.namespace = f"copilot-test-{secrets.token_hex(4)}"
        self.token = canary.new("a")
        self.github_ip = ""
        self.items: list[Object] = []

    def __enter__(self) -> App:
        self.cluster.kubectl("create", "namespace", self.namespace)
        try:
            until(self._has_account, 90, "the namespace has its service account", every=0.3)
            self._start_github()
        except BaseException:
            self._delete()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            searched.search(self)
        finally:
            self._delete()

    def _delete(self) -> None:
        with contextlib.suppress(KubectlFailed, subprocess.TimeoutExpired):
            self.kubectl("delete", "deployment,cronjob,job", "--all", "--wait=false")
            self.kubectl("delete", "pod", "--all", "--grace-period=1", "--wait=false")
            self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def _has_account(self) -> bool:
        try:
            return bool(self.kubectl("get", "serviceaccount", "default", "-o", "name"))
        except KubectlFailed:
            return False

    # Objects

    def kubectl(self, *words: str, stdin: str | None = None, seconds: float = 90) -> str:
        return self.cluster.kubectl("-n", self.namespace, *words, stdin=stdin, seconds=seconds)

    def get(self, *words: str) -> Any:
        return self.cluster.get("-n", self.namespace, *words)

    def apply(self, items: list[Object], *words: str) -> str:
        return self.cluster.apply(items, "-n", self.namespace, *words)

    def secret(self, name: str, **values: str) -> None:
        data = {key.replace("_", "-") if name == "github-copilot" else key: value for key, value in values.items()}
        self.apply(
            [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque", "stringData": data}]
        )

    def _start_github(self) -> None:
        files = {path.name: path.read_text() for path in (ROOT / "tests" / "fakes").glob("*.py")}
        program = ["python3", "-m", "tests.fakes.github", "--host", "0.0.0.0", "--port", "8000"]
        self.apply(
            [
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "stand-in"}, "data": files},
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": "github"},
                    "spec": {
                        "terminationGracePeriodSeconds": 1,
                        "containers": [
                            {
                                "name": "github",
                                "image": BASE,
                                "imagePullPolicy": "IfNotPresent",
                                "command": [*program, "--access-token", self.token],
                                "workingDir": "/stand-in",
                                "volumeMounts": [{"name": "code", "mountPath": "/stand-in/tests/fakes"}],
                                "readinessProbe": {
                                    "httpGet": {"path": "/_control/health", "port": 8000},
                                    "periodSeconds": 1,
                                },
                            }
                        ],
                        "volumes": [{"name": "code", "configMap": {"name": "stand-in"}}],
                    },
                },
            ]
        )
        self.kubectl("wait", "--for=condition=Ready", "pod/github", "--timeout=80s")
        # Not a Service: it would lose the pod whenever the kubelet is started again, and GitHub is in no cluster.
        self.github_ip = self.kubectl("get", "pod", "github", "-o", "jsonpath={.status.podIP}")

    @property
    def github(self) -> Control:
        return Control(self.address("pods", "github:8000"))

    def objects(self) -> list[Object]:
        """The variant's objects as they are applied here: as shipped but for names, images and the stand-in."""
        assert self.variant is not None
        items = rewritten(objects(build(K8S / self.variant)), self.cluster.version)
        host = f"http://{self.github_ip}:8000"
        find_object(items, "ConfigMap", "copilot-settings")["data"].update(
            {
                "GITHUB_COPILOT_API_KEY_URL": f"{host}/copilot_internal/v2/token",
                "GITHUB_COPILOT_API_BASE": host,
                "COPILOT_INSECURE_HTTP": "true",
                "COPILOT_MODEL_SYNC_INTERVAL": "5",
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "LITELLM_TELEMETRY": "False",
                **self.settings,
            }
        )
        for item in items:
            item["metadata"]["namespace"] = self.namespace
            for subject in item.get("subjects", ()):
                subject["namespace"] = self.namespace
            template = pod_template(item)
            for container in containers(template["spec"]) if template else ():
                container["image"] = {SIDECAR_IMAGE: IMAGE, LITELLM_IMAGE: LITELLM}[
                    container["image"].partition("@")[0]
                ]
            if item["kind"] == "Deployment":
                item["spec"]["replicas"] = self.replicas
            if item["kind"] == "CronJob":
                item["spec"]["schedule"] = "* * * * *"
                for container in containers(pod_template(item)["spec"]):  # type: ignore[index]
                    container["env"] = [e for e in container["env"] if e["name"] != "COPILOT_SYNC_JITTER"]
        return items

    def deploy(self, *, logged_in: bool = True) -> None:
        """Everything there is, as the documentation says it; does not wait."""
        self.secret("litellm", LITELLM_MASTER_KEY=KEY)
        if logged_in:
            self.log_in(self.token)
        self.items = self.objects()
        self.apply(self.items)

    def log_in(self, token: str) -> None:
        self.secret("github-copilot", access_token=token)

    # Pods

    def pods(self, name: str = "litellm") -> list[Object]:
        """Pods that are not on their way out."""
        # Not by kubectl: tests that wait ask many times, and each time it would be a process.
        where = f"{self.cluster.base}/api/v1/namespaces/{self.namespace}/pods"
        answer = requests.get(where, {"labelSelector": f"app.kubernetes.io/name={name}"}, timeout=20)
        assert answer.status_code == 200, answer.text
        found = answer.json()["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def names(self) -> list[str]:
        return sorted(pod["metadata"]["name"] for pod in self.pods())

    def wait_ready(self, seconds: float = 300) -> None:
        def ready() -> bool:
            pods = self.pods()
            return len(pods) == self.replicas and all(_ready(pod) for pod in pods)

        try:
            until(ready, seconds, "all replicas ready", every=0.5)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.kubectl('get', 'pods,events')}\n{self.logs()}") from None

    def restarts(self) -> dict[str, int]:
        """How often each container of each LiteLLM pod was restarted."""
        return {
            f"{pod['metadata']['name']}/{status['name']}": status["restartCount"]
            for pod in self.pods()
            for status in pod["status"].get("containerStatuses", ())
        }

    def logs(self, pod: str | None = None, container: str = "litellm") -> str:
        words = [pod] if pod else ["-l", "app.kubernetes.io/name=litellm"]
        return self.kubectl("logs", "--tail=400", *words, "-c", container)

    def exec(self, pod: str, container: str, *words: str) -> str:
        return self.kubectl("exec", pod, "-c", container, "--", *words)

    def kill(self, pod: str, container: str) -> None:
        """SIGKILL where the engine is at hand, else SIGTERM, which is all that PID 1 takes from inside."""
        label = [f"label=io.kubernetes.{key}" for key in (f"pod.name={pod}", f"container.name={container}")]
        if self.cluster.home and shutil.which("docker"):
            words = ["docker", "ps", "-q", "--filter", label[0], "--filter", label[1]]
            found = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout.split()
            subprocess.run(["docker", "kill", "--signal", "KILL", *found], check=True, timeout=30, capture_output=True)
        else:
            self.exec(pod, container, "python3", "-c", f"import os; os.kill(1, {int(signal.SIGTERM)})")

    def evict(self, pod: str) -> None:
        """Have a pod removed as a drain does it."""
        policy = "policy/v1" if self.cluster.version >= (1, 22) else "policy/v1beta1"
        eviction = {"apiVersion": policy, "kind": "Eviction", "metadata": {"name": pod, "namespace": self.namespace}}
        where = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"
        self.cluster.kubectl("create", "--raw", where, "-f", "-", stdin=json.dumps(eviction))

    # What clients see

    def address(self, kind: str, name: str) -> str:
        """Where the API server lets ``services`` or ``pods`` be reached."""
        return f"{self.cluster.base}/api/v1/namespaces/{self.namespace}/{kind}/http:{name}/proxy"

    def request(self, method: str, path: str, pod: str | None = None, **more: Any) -> requests.Response:
        """A request to the Service, or to one pod. The API server takes ``Authorization`` for itself."""
        base = self.address("pods", f"{pod}:4000") if pod else self.address("services", "litellm:4000")
        return requests.request(method, base + path, headers={"x-litellm-api-key": KEY}, timeout=30, **more)

    def models(self, pod: str | None = None) -> set[str]:
        try:
            return {item["id"] for item in self.request("GET", "/v1/models", pod).json()["data"]}
        except (requests.RequestException, ValueError, KeyError):
            return set()

    def chat(self, pod: str | None = None, model: str = MODEL) -> requests.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
        return self.request("POST", "/v1/chat/completions", pod, json=body)

    def serves(self, pod: str | None = None, model: str = MODEL) -> bool:
        try:
            answer = self.chat(pod, model)
        except requests.RequestException:
            return False
        return answer.status_code == 200 and "hello from" in answer.text

    def everywhere(self, check: Callable[[str], Any], seconds: float, what: str) -> float:
        """Wait until ``check`` holds for every replica; the seconds that it took.

        A kubelet looks at a pod's volumes about once a minute, and when the pod changes: for as long as it takes, it
        does.
        """
        began, left = time.monotonic(), set(self.names())
        assert len(left) == self.replicas

        def there() -> bool:
            left.difference_update([pod for pod in left if check(pod)])
            if left:
                pods = [f"pod/{pod}" for pod in left]
                self.kubectl("annotate", "--overwrite", *pods, f"copilot-test/waiting={time.monotonic()}")
            return not left

        until(there, seconds, what, every=1)
        return time.monotonic() - began

    # Syncs

    def by_schedule(self) -> None:
        """The CronJob starts Jobs."""
        self.kubectl("patch", "cronjob", "copilot-sync", "--patch", '{"spec": {"suspend": false}}')

    def only_by_hand(self) -> None:
        """The CronJob starts no Jobs any more, and has none running."""
        self.kubectl("patch", "cronjob", "copilot-sync", "--patch", '{"spec": {"suspend": true}}')
        until(lambda: not self.get("cronjob", "copilot-sync")["status"].get("active"), 90, "no Job", every=0.5)

    def start_job(self) -> str:
        """A Job as the CronJob would start it; its name."""
        template = find_object(self.items, "CronJob", "copilot-sync")["spec"]["jobTemplate"]
        name = f"copilot-sync-{secrets.token_hex(4)}"
        job = {"apiVersion": "batch/v1", "kind": "Job", **copy.deepcopy(template)}
        job["metadata"] = {**job.get("metadata", {}), "name": name, "namespace": self.namespace}
        self.apply([job])
        return name

    def wait_job(self, name: str, seconds: float = 90) -> None:
        """Wait until a Job has done its work."""

        def done() -> bool:
            status = self.get("job", name)["status"]
            given_up = [item for item in status.get("conditions", ()) if item["type"] == "Failed"]
            assert not given_up, f"{given_up}\n{self.kubectl('logs', f'job/{name}')}"
            return bool(status.get("succeeded"))

        until(done, seconds, f"job {name} has succeeded", every=0.5)

    def sync(self) -> None:
        """Have the catalog read: by a Job, or by waiting for the sidecar, which does it all the time."""
        if self.variant != "sidecar":
            self.wait_job(self.start_job())

    def configmap(self) -> Object:
        return dict(self.get("configmap", "copilot-models"))


def _ready(pod: Object) -> bool:
    conditions = {item["type"]: item["status"] for item in pod["status"].get("conditions", ())}
    return conditions.get("Ready") == "True"
