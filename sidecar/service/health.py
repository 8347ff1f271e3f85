"""Liveness, readiness and metrics over HTTP, and the check that Docker's HEALTHCHECK runs.

``/livez`` fails when the loop has not sent a heartbeat for longer than its current step may take. ``/readyz``
succeeds once a models file is published; a GitHub outage never makes it fail, because a healthy LiteLLM must
not be taken out of service for that.
"""

from __future__ import annotations

import re
import selectors
import socket
import threading
import time
from http import HTTPStatus

from sidecar.errors import UpstreamError, UsageError
from sidecar.http_client import send
from sidecar.text import printable

DEADLINE = 5.0
"""Seconds that a client has for all of it: its request, and taking the answer."""
MAX_CONNECTIONS = 64
MAX_REQUEST = 4096
"""Bytes of request line and headers."""
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")


class Status:
    """What the loop reports and the HTTP server reads. Times are Unix seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._alive_until = 0.0
        self.ready = False
        self._syncs: dict[str, int] = {"success": 0}
        self._last_success = 0.0
        self._published = 0
        self._models = 0

    def beat(self, seconds: float) -> None:
        """A heartbeat; the next one is due within ``seconds``."""
        self._alive_until = time.monotonic() + seconds

    def alive(self) -> bool:
        return time.monotonic() < self._alive_until

    def succeeded(self, models: int, *, changed: bool) -> None:
        with self._lock:
            self._syncs["success"] += 1
            self._published += changed
            self._last_success, self._models = time.time(), models

    def failed(self, kind: str) -> None:
        with self._lock:
            self._syncs[kind] = self._syncs.get(kind, 0) + 1

    def metrics(self) -> str:
        """The metrics in the Prometheus text format."""
        with self._lock:
            syncs = "".join(
                f'copilot_sync_total{{result="{kind}"}} {count}\n' for kind, count in sorted(self._syncs.items())
            )
            return (
                "# HELP copilot_sync_total Syncs by result: success, or the kind of error.\n"
                "# TYPE copilot_sync_total counter\n"
                f"{syncs}"
                "# HELP copilot_publish_total Syncs that changed the models file.\n"
                "# TYPE copilot_publish_total counter\n"
                f"copilot_publish_total {self._published}\n"
                "# HELP copilot_models Models in the models file after the last successful sync.\n"
                "# TYPE copilot_models gauge\n"
                f"copilot_models {self._models}\n"
                "# HELP copilot_last_success_timestamp_seconds When a sync last succeeded; 0 if none has.\n"
                "# TYPE copilot_last_success_timestamp_seconds gauge\n"
                f"copilot_last_success_timestamp_seconds {self._last_success:.3f}\n"
            )


class _Connection:
    """A client: what it has sent so far, and what is still to be sent to it."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer, self.until = peer, time.monotonic() + DEADLINE
        self.received, self.answer = b"", b""


class HealthServer:
    """Answers from one thread, which waits for no client. Raises OSError when the port is in use.

    A client is answered as soon as its request is complete, and dropped at its deadline, however it spends that time.
    If there are too many, the one that has been there longest goes: a probe sends its request at once, so whoever
    holds connections open keeps no probe from its answer.
    """

    def __init__(self, port: int, status: Status) -> None:
        self._status = status
        dual = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if dual else socket.AF_INET
        self._listener = socket.create_server(("", port), family=family, backlog=MAX_CONNECTIONS, dualstack_ipv6=dual)
        self._listener.setblocking(False)
        self._stop, self._stopped = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._stopped, selectors.EVENT_READ)
        self._connections: dict[socket.socket, _Connection] = {}  # in the order of their deadlines
        self._thread = threading.Thread(target=self._serve, name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering and free the port."""
        self._stop.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            first = next(iter(self._connections.values()), None)
            ready = self._selector.select(max(0.0, first.until - time.monotonic()) if first else None)
            for key, _ in ready:
                if key.fileobj is self._stopped:
                    self._end()
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif key.data.peer in self._connections:  # an earlier event may have dropped it
                    self._proceed(key.data)
            now = time.monotonic()
            for connection in [item for item in self._connections.values() if item.until <= now]:
                self._drop(connection)

    def _end(self) -> None:
        self._selector.close()
        for one in (*self._connections, self._listener, self._stopped):
            one.close()

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError:  # the client has gone again
            return
        peer.setblocking(False)
        if len(self._connections) >= MAX_CONNECTIONS:
            self._drop(next(iter(self._connections.values())))
        connection = self._connections[peer] = _Connection(peer)
        self._selector.register(peer, selectors.EVENT_READ, connection)
        self._proceed(connection)

    def _proceed(self, connection: _Connection) -> None:
        """Receive, then answer, as far as that goes without waiting."""
        try:
            if not connection.answer:
                received = connection.peer.recv(MAX_REQUEST)
                connection.received += received
                if not received or len(connection.received) > MAX_REQUEST:
                    self._drop(connection)
                    return
                if not _END_OF_HEADERS.search(connection.received):
                    return
                connection.answer = _respond(connection.received, self._status)
                self._selector.modify(connection.peer, selectors.EVENT_WRITE, connection)
            connection.answer = connection.answer[connection.peer.send(connection.answer) :]
            if not connection.answer:
                self._drop(connection)
        except BlockingIOError:
            pass
        except OSError:
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        del self._connections[connection.peer]
        self._selector.unregister(connection.peer)
        connection.peer.close()


def _respond(request: bytes, status: Status) -> bytes:
    """The whole answer to a whole request."""
    match request.partition(b"\n")[0].rstrip(b"\r").split(b" "):
        case [b"GET", path, version] if version.startswith(b"HTTP/1."):
            code, text = _answer(path, status)
        case [_, _, version] if version.startswith(b"HTTP/1."):
            code, text = HTTPStatus.NOT_IMPLEMENTED, "only GET\n"
        case _:
            code, text = HTTPStatus.BAD_REQUEST, "not HTTP\n"
    headers = (
        f"HTTP/1.0 {code.value} {code.phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    )
    return (headers + text).encode("ascii")


def _answer(path: bytes, status: Status) -> tuple[HTTPStatus, str]:
    def either(good: bool, yes: str, no: str) -> tuple[HTTPStatus, str]:
        return (HTTPStatus.OK, yes) if good else (HTTPStatus.SERVICE_UNAVAILABLE, no)

    match path:
        case b"/livez":
            return either(status.alive(), "alive\n", "the loop is stuck\n")
        case b"/readyz":
            return either(status.ready, "ready\n", "nothing published yet\n")
        case b"/metrics":
            return HTTPStatus.OK, status.metrics()
    return HTTPStatus.NOT_FOUND, "not found; use /livez, /readyz or /metrics\n"


def serve(port: int, status: Status) -> HealthServer:
    """Serve health requests on ``port`` from a separate thread. Raises UsageError when the port is in use."""
    try:
        return HealthServer(port, status)
    except OSError as error:
        raise UsageError(
            f"COPILOT_HEALTH_PORT={port}: {error.strerror}",
            hint="Choose a free port, or 0 to disable the health server.",
        ) from error


def check(port: int) -> str | None:
    """Probe the service on this machine; None if it is alive and ready, else what is wrong.

    Raises UsageError when the health server is disabled.
    """
    if port == 0:
        raise UsageError("COPILOT_HEALTH_PORT is 0: the health server is disabled", hint="Set a port to enable it.")
    for path in ("/livez", "/readyz"):
        try:
            answer = send("GET", f"http://127.0.0.1:{port}{path}", headers={}, no_proxy=True)
        except UpstreamError:
            return f"nothing answers on port {port}"
        if answer.status != 200:
            return f"{path}: {printable(answer.body.decode('utf-8', 'replace').strip())}"
    return None
