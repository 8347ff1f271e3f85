"""The variant with a ReadWriteMany volume: here a directory of the one node."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.catalog import model
from tests.k8s.cluster import App, Cluster, KubectlFailed


@pytest.fixture
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="copilot-test-volume-"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


def test_cronjob_with_a_volume_rewritten_as_v1beta1_before_1_21(cluster: Cluster, directory: Path) -> None:
    """From nothing to a served completion and a served change; LiteLLM cannot write to the volume."""
    cluster.processes_at()  # the node's directories are this machine's
    with App(cluster, "cronjob-volume", replicas=1) as app:
        name = f"copilot-test-{secrets.token_hex(4)}"
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "capacity": {"storage": "16Mi"},
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": str(directory)},
                "claimRef": {"namespace": app.namespace, "name": "copilot-models"},
            },
        }
        cluster.apply([volume])
        try:
            app.deploy()
            app.wait_ready()
            app.everywhere(app.serves, 120, "a completion from every replica")
            app.github.set_catalog(items=[*app.github.catalog, model("brand-new")])
            app.sync()
            app.everywhere(lambda pod: app.serves(pod, "github_copilot/brand-new"), 120, "the change everywhere")
            for pod in app.names():
                with pytest.raises(KubectlFailed, match="Read-only"):
                    app.exec(pod, "litellm", "touch", "/shared/x")
            assert set(app.restarts().values()) == {0}
        finally:
            app.kubectl("delete", "deployment,cronjob,job", "--all", "--wait=false")
            cluster.kubectl("delete", "persistentvolume", name, "--wait=false")
