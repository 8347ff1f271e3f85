"""Clients that ask a deployment all the time, and what they got."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests

from tests.k8s import load
from tests.k8s.cluster import BASE, MODEL, App
from tests.support.waiting import until


class Load:
    """The clients of one deployment, in a pod beside it: one of the Service by each name, and one of each pod."""

    def __init__(self, app: App, *names: str, pods: bool = False) -> None:
        self.app, self.address = app, app.address("pods", f"load:{load.PORT}") + "/"
        address = app.get("service", "litellm")["spec"]["clusterIP"]
        self.targets = [f"{name}={address}" for name in names]
        self.targets += [f"pods={pod['status']['podIP']}" for pod in app.pods()] if pods else []

    def __enter__(self) -> Load:
        code = {"name": "code", "configMap": {"name": "load"}}
        container = {
            "name": "load",
            "image": BASE,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", "/load/load.py", MODEL, *self.targets],
            "envFrom": [{"secretRef": {"name": "litellm"}}],
            "volumeMounts": [{"name": "code", "mountPath": "/load"}],
            "readinessProbe": {"httpGet": {"path": "/", "port": load.PORT}, "periodSeconds": 1},
        }
        spec = {"containers": [container], "volumes": [code], "terminationGracePeriodSeconds": 1}
        data = {"load.py": Path(load.__file__).read_text()}
        self.app.apply(
            [
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "load"}, "data": data},
                {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "load"}, "spec": spec},
            ]
        )
        try:
            self.app.kubectl("wait", "--for=condition=Ready", "pod/load", "--timeout=80s")
            until(lambda: all(of["requests"] for of in self.look().values()), 60, "the clients ask", every=0.5)
            self.take()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.app.kubectl("delete", "pod", "load", "--force", "--grace-period=0")

    def take(self) -> dict[str, Any]:
        """The figures since the last time, of the clients of each name, and of those of the pods as "pods"."""
        return dict(requests.post(self.address, timeout=30).json())

    def look(self) -> dict[str, Any]:
        """What ``take`` would give; it goes on counting."""
        return dict(requests.get(self.address, timeout=30).json())
