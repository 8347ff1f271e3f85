"""Asks the service on this machine how it is. Without a library: this is a process every few seconds."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException

from sidecar.errors import UsageError
from sidecar.text import printable

TIMEOUT = 5.0
"""Seconds for each step of an answer."""
MAX_ANSWER = 64 * 1024


def check(port: int) -> str | None:
    """Probe the service on this machine; None if it is alive and ready, else what is wrong.

    Raises UsageError when the health server is disabled.
    """
    if port == 0:
        raise UsageError("COPILOT_HEALTH_PORT is 0: the health server is disabled", hint="Set a port to enable it.")
    for path in ("/livez", "/readyz"):
        connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read(MAX_ANSWER)
        except (OSError, HTTPException):
            return f"nothing answers on port {port}"
        finally:
            connection.close()
        if answer.status != 200:
            return f"{path}: {printable(body.decode('utf-8', 'replace').strip())}"
    return None
