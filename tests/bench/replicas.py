"""What more workers of LiteLLM cost the sidecar that they share: 1, 10 and 100 simulated ones report to the real
service as the hook does (`litellm_hot_reload.report.post`), each with models of its own use, and the status page is
asked for. CPU is the service's own. More than 64 workers it does not remember: the one that was silent for longest
makes room. What replicas cost GitHub and a cluster is not measured but calculated (`scripts/k8s_scale.py`,
[kubernetes.md](kubernetes.md)): reports go to no one but the sidecar, and each replica's hook asks GitHub for
itself.
"""

from __future__ import annotations

import hashlib
import secrets

from sidecar.litellm_hot_reload.report import encoded, post
from sidecar.litellm_hot_reload.reported import BEAT
from tests.support.ports import free_port
from tests.support.waiting import until

from .account import account
from .figures import Figure, exponent
from .processes import cpu, memory, running

REPLICAS = (1, 10, 100)
REPORTS = 600


def measure(left_out: list[str]) -> list[Figure]:
    figures, growth, port = [], {}, free_port()
    with (
        account() as one,
        running("-m", "sidecar", "run", **{**one.environ, "COPILOT_HEALTH_PORT": str(port)}) as service,
    ):
        until(lambda: one.models_file.exists() and b"m-1" in one.models_file.read_bytes(), 30, "a first sync")
        digest = hashlib.sha256(one.models_file.read_bytes()).hexdigest()
        for replicas in REPLICAS:
            bodies = [_report(digest) for _ in range(replicas)]
            for body in bodies:
                assert post("127.0.0.1", port, body, 10) == 200
            before = cpu(service.pid)
            for number in range(REPORTS):
                assert post("127.0.0.1", port, bodies[number % replicas], 10) == 200
            a_report = (cpu(service.pid) - before) / REPORTS
            growth[replicas] = replicas * a_report * 3600 / BEAT
            figures.append(Figure(f"CPU an hour for the reports of {replicas} workers", "s", (growth[replicas],)))
        figures.append(Figure("RSS after that", "MB", (memory(service.pid).rss,)))
    return [*figures, Figure("exponent of CPU", "", (exponent(growth),), most=1.1)]


def _report(digest: str) -> bytes:
    return encoded(
        {
            "worker": secrets.token_hex(16),
            "litellm": "1.110.2",
            "follows": "the models file",
            "guarded": ["the login"],
            "unguarded": [],
            "unknown": [],
            "digest": digest,
            "entries": 42,
            "refused": [],
            "refusals": 0,
            "token_end": None,
            "problem": "",
            "spend": {f"github_copilot/m-{number}": (0.01, 0.01) for number in range(10)},
        }
    )
