"""Leaks in a cluster, for test_canary.py: the test has to fail, for every one of its leaks."""

from __future__ import annotations

import base64
import urllib.parse

from tests.k8s.cluster import IMAGE, App
from tests.support import canary
from tests.support.waiting import until

SCRIPT = """
echo "said {log}" >&2
umask 0; echo {url} > /tmp/url.txt; echo {wide} > /tmp/access-token
sh -c 'sleep 100; true' {argument} &
touch /tmp/done
wait
"""


def test_leak_of_every_kind(cluster):
    with App(cluster, None) as app, canary.may_see("o", "this is how it gets there"):
        app.secret("litellm", LITELLM_MASTER_KEY=canary.new("k"), ANOTHER=canary.new("k"))
        basic = base64.b64encode(f"me:{canary.new('a')}".encode()).decode()
        script = SCRIPT.format(
            log=canary.new("o"),
            url=urllib.parse.quote("x:" + canary.new("a"), safe=""),
            wide=canary.new("a"),
            argument=canary.new("k"),
        )
        container = {
            "name": "leaking",
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-euc", script],
            "envFrom": [{"secretRef": {"name": "litellm"}}],
            "env": [{"name": "GITHUB_COPILOT_TOKEN_DIR", "value": canary.new("c")}],
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        }
        spec = {
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
            "terminationGracePeriodSeconds": 1,
        }
        app.apply(
            [
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "wide"}, "data": {"basic": basic}},
                {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "leaking"}, "spec": spec},
            ]
        )
        app.kubectl("wait", "--for=condition=Ready", "pod/leaking", "--timeout=80s")
        until(lambda: "done" in app.exec("leaking", "leaking", "ls", "/tmp"), 30, "the leaks", every=0.5)
