"""Tells the sidecar what this worker serves: after each change, and on a slow beat.

It runs in a thread of its own and never raises. A report that is not taken is lost: the next one says all of it again.
Nothing is believed of the other side, of whose answer only the status counts.
"""

from __future__ import annotations

import json
import logging
import random
import re
import secrets
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from .clock import elapsed
from .reported import BEAT, MAX_LISTED, MAX_SIZE, MAX_TEXT, PATH
from .text import printable

log = logging.getLogger("copilot_hook")

VARIABLE = "COPILOT_SYNC_URL"
DEADLINE = 5.0
"""Seconds for one report: to connect, to send, and to be answered. Looking a name up takes what the system allows."""
_ADDRESS = re.compile(r"http://(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]{1,253}))(?::([0-9]{1,5}))?/?")
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])\b")


class Reporter:
    """Reports what ``state`` returns, which is called in the reporter's thread, to ``http://host:port``."""

    def __init__(self, url: str, state: Callable[[], Mapping[str, Any]]) -> None:
        self.worker = secrets.token_hex(16)
        self._url, self._state = url, state
        self._wake = threading.Event()
        self._said: set[str] = set()

    def start(self) -> None:
        """Begin, with a first report. Never raises."""
        address = _address(self._url)
        if address is None:
            log.warning("%s is not http://host:port, so nothing is reported to the sidecar", VARIABLE)
            return
        try:
            threading.Thread(target=self._run, args=address, name="copilot-report", daemon=True).start()
        except RuntimeError:  # no thread to be had
            self._say("nothing is reported to the sidecar: there is no room for another thread")

    def changed(self) -> None:
        """Report soon. Returns at once; from any thread."""
        self._wake.set()

    def _run(self, host: str, port: int) -> None:
        while True:
            try:
                self._say(self._report(host, port))
            except Exception as error:
                self._say(f"nothing is reported to the sidecar ({type(error).__name__})")
            self._wake.wait(BEAT * random.uniform(0.9, 1.1))
            self._wake.clear()

    def _report(self, host: str, port: int) -> str:
        """Make one report; what became of it."""
        body = encoded({"worker": self.worker, **self._state()})
        try:
            status = post(host, port, body, DEADLINE)
        except OSError as error:
            how = "in time" if isinstance(error, TimeoutError) else "no connection"
            return f"the sidecar at {self._url} does not take reports ({how})"
        if status is None or not 200 <= status < 300:
            return f"the sidecar at {self._url} does not take reports ({f'HTTP {status}' if status else 'not HTTP'})"
        return f"reporting to the sidecar at {self._url}"

    def _say(self, text: str) -> None:
        """Log each state once in this worker's life, however often it comes back."""
        if text not in self._said:
            self._said.add(text)
            log.info("%s", text)


def encoded(state: Mapping[str, Any]) -> bytes:
    """The report as it is sent: every text printable and without any secret, and all of it within bounds."""
    spend = {
        name: [round(billed, 12), round(computed, 12)] for name, (billed, computed) in state.get("spend", {}).items()
    }
    report = {**{name: _safe(value) for name, value in state.items()}, "spend": spend}
    body = json.dumps(report).encode()
    return body if len(body) <= MAX_SIZE else json.dumps({**report, "refused": []}).encode()


def _safe(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value, MAX_TEXT)
    if isinstance(value, (list, tuple)):
        return [_safe(item) for item in value[:MAX_LISTED]]
    return value


def post(host: str, port: int, body: bytes, seconds: float) -> int | None:
    """POST ``body``, and return the status; None for an answer that is not HTTP. Raises OSError, TimeoutError too.

    Directly to the address: without a proxy, and without following anything.
    """
    end = elapsed() + seconds
    name = f"[{host}]" if ":" in host else host
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {name}:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with _connected(host, port, end) as peer:
        peer.settimeout(_left(end))
        peer.sendall(head.encode("ascii") + body)
        answer = b""
        while b"\n" not in answer and len(answer) < 256:
            peer.settimeout(_left(end))
            received = peer.recv(256)
            if not received:
                break
            answer += received
    status = _STATUS.match(answer)
    return int(status[1]) if status else None


def _connected(host: str, port: int, end: float) -> socket.socket:
    failed: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        peer = socket.socket(family, kind, protocol)
        try:
            peer.settimeout(_left(end))
            peer.connect(address)
        except OSError as error:
            peer.close()
            failed = error
        else:
            return peer
    raise failed or OSError("no address")


def _left(end: float) -> float:
    """Seconds that are left. Raises TimeoutError."""
    left = end - elapsed()
    if left <= 0:
        raise TimeoutError
    return left


def _address(url: str) -> tuple[str, int] | None:
    found = _ADDRESS.fullmatch(url.strip())
    port = int(found[3] or 80) if found else 0
    return (found[1] or found[2], port) if found and 0 < port < 65536 else None
