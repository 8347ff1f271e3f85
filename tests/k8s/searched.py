"""All that a namespace shows or its pods leave, for the search for secrets (tests/support/canary.py).

Secrets are where secrets belong, and so are the directories that they are mounted at; both are left out.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

from tests.fakes.marked import KINDS
from tests.support import canary

if TYPE_CHECKING:
    from tests.k8s.cluster import App

KINDS_OF_OBJECTS = (
    "pods,deployments,replicasets,jobs,cronjobs,services,endpoints,configmaps,events,serviceaccounts,"
    "roles,rolebindings,networkpolicies,persistentvolumeclaims,poddisruptionbudgets"
)
NOT_OURS = {"github", "stand-in", "load"}  # the stand-in for GitHub, and the clients
# What a pod's processes were started with, and in the directories that are given the files there, as JSON.
LOOK = """
import base64, glob, io, json, os, sys, tarfile
found = {"processes": []}
for name in glob.glob("/proc/[0-9]*"):
    try:
        found["processes"].append([open(name + "/" + part, "rb").read().decode("utf-8", "replace").split("\\0")
                                   for part in ("cmdline", "environ")])
    except OSError:
        pass
archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode="w:gz") as tar:
    for path in sys.argv[1:]:
        tar.add(path)
# Compressed: or else the secrets in it would be found on this way, too.
found["files"] = base64.b64encode(archive.getvalue()).decode()
print(json.dumps(found))
"""


def search(app: App) -> None:
    """Objects as they are stored, what describe and the logs say, processes and files of the pods."""
    with canary.may_see("".join(KINDS), "here it is looked at place by place"):
        for item in app.get(KINDS_OF_OBJECTS)["items"]:
            name, kind = item["metadata"]["name"], item["kind"]
            if name in NOT_OURS or item.get("involvedObject", {}).get("name") in NOT_OURS:
                continue
            canary.search(f"{kind} {name}", json.dumps(item))
            if kind in ("Pod", "Deployment", "ConfigMap"):  # this kubectl describes no CronJob of so old a cluster
                canary.search(f"what is described of {kind} {name}", _if_there(app, "describe", kind, name))
            if kind == "Pod":
                _pod(app, item)


def _pod(app: App, pod: dict[str, Any]) -> None:
    name, spec = pod["metadata"]["name"], pod["spec"]
    secret = {volume["name"] for volume in spec["volumes"] if "secret" in volume or "projected" in volume}
    states = {item["name"]: item for item in _statuses(pod)}
    for container in [*spec.get("initContainers", ()), *spec["containers"]]:
        place, state = f"{container['name']} of {name}", states.get(container["name"], {})
        words = ("logs", name, "--container", container["name"])
        if set(state.get("state", {})) & {"running", "terminated"}:
            canary.search(f"the log of {place}", _if_there(app, *words))
        if state.get("restartCount"):
            canary.search(f"the earlier log of {place}", _if_there(app, *words, "--previous"))
        if "running" in state.get("state", {}):
            mounts = container.get("volumeMounts", ())
            paths = [mount["mountPath"] for mount in mounts if mount["name"] not in secret]
            # A pod may end at any moment, and then there is no process in it to look at.
            with contextlib.suppress(AssertionError):
                _look(place, json.loads(app.exec(name, container["name"], "python3", "-c", LOOK, *paths)))


def _if_there(app: App, *words: str) -> str:
    """What kubectl says; nothing of a Job's pod that has been removed meanwhile, as may happen at any moment."""
    try:
        return app.kubectl(*words)
    except AssertionError as error:
        if "(NotFound)" in str(error):
            return ""
        raise


def _statuses(pod: dict[str, Any]) -> list[dict[str, Any]]:
    status = pod["status"]
    return [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]


def _look(place: str, seen: dict[str, Any]) -> None:
    for arguments, environ in seen["processes"]:
        canary.search(f"the arguments of a process of {place}", " ".join(arguments))
        canary.search_environment(f"a process of {place}", dict(pair.partition("=")[::2] for pair in environ))
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(seen["files"]))) as tar:
        for member in tar:
            if member.isfile():
                data = tar.extractfile(member).read()  # type: ignore[union-attr]
                canary.search_file(f"{member.name} of {place}", member.name, member.mode, data)
