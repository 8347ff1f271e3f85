"""The ConfigMap as target, against the real API server, with the right of the shipped Role and no other."""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sidecar.errors import BadAnswer, StorageError, Unreachable
from sidecar.models.changes import Change
from sidecar.models.entries import models_file_bytes
from sidecar.targets import configmap
from sidecar.targets.base import Built, Make
from sidecar.targets.configmap import ABSENCES_KEY, KEY, MAX_BYTES, ConfigMapTarget
from sidecar.targets.models_file import entries_in
from tests.k8s.cluster import App, Cluster
from tests.k8s.control_plane import Part
from tests.k8s.manifests import K8S, build, objects
from tests.support.entries import managed_entry
from tests.support.waiting import until


def counting(*names: str) -> Make:
    """Entries, and a memory that counts how often it was taken further."""
    return lambda stored: Built([managed_entry(name) for name in names], b"%d\n" % (int(stored or b"0") + 1))


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[App]:
    """A namespace with the shipped ConfigMap and RBAC, and with neither LiteLLM nor a stand-in."""
    app = App(cluster, "cronjob")
    cluster.kubectl("create", "namespace", app.namespace)
    shipped = [item for item in objects(build(K8S / "cronjob")) if item["kind"] in KINDS]
    for item in shipped:
        item["metadata"]["namespace"] = app.namespace
        for subject in item.get("subjects", ()):
            subject["namespace"] = app.namespace
    app.apply(shipped)
    yield app
    cluster.kubectl("delete", "namespace", app.namespace, "--wait=false")


KINDS = {"ConfigMap", "ServiceAccount", "Role", "RoleBinding"}


@pytest.fixture
def fresh(namespace: App) -> App:
    """The object as it is before the first sync."""
    namespace.kubectl("delete", "configmap", "copilot-models", "--ignore-not-found")
    namespace.kubectl("create", "configmap", "copilot-models")
    return namespace


@pytest.fixture(scope="module")
def authority(namespace: App, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The cluster's CA, as pods have it."""
    found = until(lambda: _ca(namespace), 30, "kube-root-ca.crt", every=0.5)
    return str(found)


def _ca(namespace: App) -> str:
    with contextlib.suppress(AssertionError):
        return str(namespace.get("configmap", "kube-root-ca.crt")["data"]["ca.crt"])
    return ""


def token(namespace: App, *words: str, account: str = "copilot-sync") -> str:
    return namespace.kubectl("create", "token", account, "--duration=10m", *words).strip()


@pytest.fixture
def account(namespace: App, authority: str, tmp_path: Path) -> Path:
    """The files of a service account, as in a pod; the token is a real one."""
    directory = tmp_path / "account"
    directory.mkdir()
    (directory / "namespace").write_text(namespace.namespace)
    (directory / "ca.crt").write_text(authority)
    (directory / "token").write_text(token(namespace))
    return directory


@pytest.fixture
def make(namespace: App, account: Path) -> Callable[..., ConfigMapTarget]:
    view = namespace.cluster.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
    address = urlsplit(view.strip())
    host = address.hostname or ""
    if namespace.cluster.home:  # its certificate names the address that it advertises
        found = namespace.cluster.get("-n", "default", "endpoints", "kubernetes")["subsets"][0]["addresses"][0]
        host = found["ip"]
    return lambda name="copilot-models", directory=account: ConfigMapTarget(name, host, address.port or 443, directory)


def stored(namespace: App) -> tuple[set[str], int]:
    """The names in the object's models file, and the count in the record of absences."""
    found = namespace.configmap()
    names = {item["model_name"] for item in entries_in(found["data"][KEY].encode()).values()}
    return names, int(configmap._unpack(found["binaryData"][ABSENCES_KEY]) or b"0")


def test_first_write_change_and_no_change(fresh: App, make: Callable[..., ConfigMapTarget]) -> None:
    """The first sync fills the object; one without a change does not write to it."""
    stop = threading.Event()
    assert make().update(counting("a"), stop).change == Change(added=("github_copilot/a",))
    assert stored(fresh) == ({"github_copilot/a"}, 1)
    version = fresh.configmap()["metadata"]["resourceVersion"]
    assert make().update(lambda memory: Built([managed_entry("a")], memory or b""), stop).change is None
    assert fresh.configmap()["metadata"]["resourceVersion"] == version, "written although nothing had changed"


def test_two_writers_at_once_lose_nothing(fresh: App, make: Callable[..., ConfigMapTarget]) -> None:
    """Each increments the count in the record, ten times, both at once: the count is twenty, or something was lost."""
    failures: list[BaseException] = []

    def writer() -> None:
        try:
            for _ in range(10):
                make().update(counting("a", "b"), threading.Event())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=writer) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failures == []
    assert stored(fresh) == ({"github_copilot/a", "github_copilot/b"}, 20)


def test_other_objects_are_refused(fresh: App, make: Callable[..., ConfigMapTarget]) -> None:
    """The Role of the sync lets it touch no other ConfigMap, in this namespace or another, and the hint names it."""
    fresh.kubectl("create", "configmap", "other")
    for name in ("other", "kube-root-ca.crt", "kube-system/copilot-models"):
        with pytest.raises(StorageError, match="403") as caught:
            make(name).update(counting("a"), threading.Event())
        assert "Role" in caught.value.hint
    assert "data" not in fresh.get("configmap", "other")


def test_a_secret_is_refused(namespace: App, make: Callable[..., ConfigMapTarget]) -> None:
    """The Role of the sync lets it read no Secret."""
    namespace.secret("not-for-it", key="value")
    target = make()
    with pytest.raises(StorageError, match="403"):
        target.api.get(target.path.replace("/configmaps/copilot-models", "/secrets/not-for-it"), "a Secret")


def test_a_missing_object_is_said(fresh: App, make: Callable[..., ConfigMapTarget]) -> None:
    """An object that is not there is named as such, and is not made."""
    fresh.kubectl("delete", "configmap", "copilot-models")
    with pytest.raises(StorageError, match="does not exist"):
        make().update(counting("a"), threading.Event())


def test_the_size_limit_is_the_api_servers(fresh: App, make: Callable[..., ConfigMapTarget]) -> None:
    """One byte below the limit is taken by the real one, one above is refused before it is sent."""
    stop = threading.Event()
    entries, memory = [managed_entry("a")], b"m"
    ours = len(models_file_bytes(entries)) + len(configmap.gzip.compress(memory, mtime=0))

    def fill(size: int) -> None:
        """What somebody else has put into the same object."""
        patch = json.dumps({"data": {"other": "y" * size}})
        fresh.kubectl("patch", "configmap", "copilot-models", "--patch-file", "/dev/stdin", stdin=patch)

    fill(MAX_BYTES - ours + 1)
    with pytest.raises(StorageError, match=str(MAX_BYTES)):
        make().update(lambda _: Built(entries, memory), stop)
    assert KEY not in fresh.configmap()["data"]
    fill(MAX_BYTES - ours)
    make().update(lambda _: Built(entries, memory), stop)
    found = fresh.configmap()
    size = sum(map(len, found["data"].values())) + sum(len(base64.b64decode(v)) for v in found["binaryData"].values())
    assert size == MAX_BYTES


def test_a_token_that_rotates(fresh: App, make: Callable[..., ConfigMapTarget], account: Path) -> None:
    """The token is bound to a Secret; with that it dies, and the file gets a new one a second later."""
    stop = threading.Event()
    fresh.kubectl("create", "secret", "generic", "holder")
    (account / "token").write_text(token(fresh, "--bound-object-kind=Secret", "--bound-object-name=holder"))
    make().update(counting("a"), stop)
    fresh.kubectl("delete", "secret", "holder")
    dead = (account / "token").read_text()
    target = make()

    def refused() -> bool:
        try:
            target.api.get(target.path, target.name)
        except BadAnswer as error:
            return "401" in str(error)
        return False

    until(refused, 30, "the old token is dead", every=0.5)
    new = token(fresh)
    assert new != dead
    timer = threading.Timer(1.0, lambda: (account / "token").write_text(new))
    timer.start()
    assert target.update(counting("a", "b"), stop).change
    timer.join()
    assert stored(fresh) == ({"github_copilot/a", "github_copilot/b"}, 2)


@pytest.fixture
def server(cluster: Cluster) -> Iterator[Part]:
    part = Part("kube-apiserver", cluster.processes_at())
    yield part
    part.start()
    until(cluster.answers, 90, "the API server is back", every=0.5)


@pytest.mark.parametrize("how", ["paused", "killed"])
def test_api_server_stopped_between_read_and_write_and_back(
    how: str, fresh: App, make: Callable[..., ConfigMapTarget], server: Part
) -> None:
    """Nothing is lost and nothing is counted twice, whether it answers late or has to be started again."""
    stop, calls = threading.Event(), []
    make().update(counting("a"), stop)

    def broken(memory: bytes | None) -> Any:
        calls.append(memory)
        if len(calls) == 1:
            if how == "paused":
                server.signal(signal.SIGSTOP)
                threading.Timer(3, server.signal, [signal.SIGCONT]).start()
            else:
                server.kill()
                threading.Timer(2, server.start).start()
        return counting("a", "b")(memory)

    began = time.monotonic()
    change = make().update(broken, stop).change
    print(f"{how}: done after {time.monotonic() - began:.1f} s, {len(calls)} tries")
    assert change == Change(added=("github_copilot/b",))
    assert stored(fresh) == ({"github_copilot/a", "github_copilot/b"}, 2)


def test_api_server_away_for_good_leaves_the_last_good(
    fresh: App, make: Callable[..., ConfigMapTarget], server: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync that the API server never answers fails in bounded time, and what is published stays."""
    monkeypatch.setattr(configmap, "RETRY_DEADLINE", 3.0)
    target, began = make(), 0.0
    target.update(counting("a"), threading.Event())
    server.kill()
    began = time.monotonic()
    with pytest.raises(Unreachable, match="API server"):
        target.update(counting("a", "b"), threading.Event())
    assert time.monotonic() - began < 20
    server.start()
    until(fresh.cluster.answers, 90, "back", every=0.5)
    assert stored(fresh) == ({"github_copilot/a"}, 1)
