"""The search for secrets finds what a cluster shows."""

from __future__ import annotations

from pathlib import Path

from tests.k8s.cluster import Cluster
from tests.support import planted


def test_every_leak_in_a_cluster_is_found(cluster: Cluster, tmp_path: Path) -> None:
    """In objects, logs, variables, arguments, and files with their modes."""
    (said,) = planted.outcomes("tests/k8s/planted.py", tmp_path, "--k8s").values()
    for place in (
        "ConfigMap wide: secret as base64",
        "what is described of ConfigMap wide: secret as base64",
        "Pod leaking: Copilot token",
        "the log of leaking of leaking: other secret",
        "the variable ANOTHER of a process of leaking",
        "the arguments of a process of leaking of leaking: key",
        "tmp/url.txt of leaking of leaking: access token",
        "tmp/access-token of leaking of leaking holds a secret, and its mode is 0666",
    ):
        assert place in said, place
    assert "LITELLM_MASTER_KEY" not in said
