"""What the service takes when it has nothing to do: the real one, with its port, after a thousand syncs of 42 models
(`tests/bench/hours.py`). Compared with a Python that has imported the four packages and waits, and with one that has
imported the `kubernetes` client, as sidecars of this kind do, and has made a `CoreV1Api`. RSS is all that is in
memory, PSS counts what others use as well in part; a MB is a million bytes. Each three times, the same interpreter,
and what the Dockerfile tells the C library (`MALLOC_ARENA_MAX`).
"""

from __future__ import annotations

import re
import subprocess

from tests.support.paths import ROOT
from tests.support.ports import free_port

from .account import account
from .figures import Figure
from .processes import PACKAGES, child, memory_in, memory_of

SYNCS, TIMES = 1000, 3
KUBERNETES = ROOT / "build" / "bench" / "kubernetes"
BARE, CLIENT = "the four packages", "the kubernetes client"
ARENAS = "MALLOC_ARENA_MAX"


def measure(left_out: list[str]) -> list[Figure]:
    (most,) = re.findall(rf"^ +{ARENAS}=(\d+) ", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    told = {ARENAS: str(most)}
    found = {BARE: [memory_of(PACKAGES, **told) for _ in range(TIMES)]}
    ratios = {BARE: 1.15}
    if _has_kubernetes():
        code = "import kubernetes.client; api = kubernetes.client.CoreV1Api()"
        found[CLIENT] = [memory_of(code, PYTHONPATH=str(KUBERNETES), **told) for _ in range(TIMES)]
        ratios[CLIENT] = 0.5
    else:
        left_out.append("the kubernetes client, because it could not be installed")
    with account() as one:
        environ = {**one.environ, **told, "COPILOT_HEALTH_PORT": str(free_port())}
        seen = [child("hours", SYNCS if n == 0 else 100, 3600, environ=environ) for n in range(TIMES)]
    ours = [memory_in(each["smaps"]) for each in seen]
    return [
        Figure(
            name.upper(),
            "MB",
            tuple(getattr(each, name) for each in ours),
            {other: tuple(getattr(each, name) for each in taken) for other, taken in found.items()},
            ratios=ratios,
        )
        for name in ("rss", "pss")
    ]


def _has_kubernetes() -> bool:
    """Install the client for this row alone, where it is not there yet."""
    if not (KUBERNETES / "kubernetes").exists():
        script = '. scripts/_uv.sh && use_uv && "$uv" pip install --quiet --compile-bytecode --target "$1" kubernetes'
        done = subprocess.run(["bash", "-c", script, "", str(KUBERNETES)], cwd=ROOT, check=False, capture_output=True)
        return done.returncode == 0
    return True
