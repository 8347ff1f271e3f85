"""Ports that nobody uses."""

from __future__ import annotations

import itertools
import os
import socket

FIRST, EACH, WORKERS = 11_000, 2_000, 9
"""Below what Linux gives to connections, and Kubernetes to nodes: LiteLLM takes its port half a minute after it was
chosen, and until then a connection could have had it. A range for each process of a test run.
"""


def _range_of_this_process() -> itertools.cycle[int]:
    number = int("0" + os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")) % WORKERS
    first, offset = FIRST + EACH * number, os.getpid() % EACH
    return itertools.cycle((*range(first + offset, first + EACH), *range(first, first + offset)))


_ports = _range_of_this_process()


def free_port() -> int:
    """One that is free now, and that this process has not been given for two thousand times."""
    for port in itertools.islice(_ports, EACH):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")


def is_free(port: int) -> bool:
    """Whether this machine's ``port`` can be had."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
