"""Ports that nobody uses."""

from __future__ import annotations

import socket


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether this machine's ``port`` can be had."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
