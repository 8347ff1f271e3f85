"""Liveness, readiness and metrics over HTTP, and the check that Docker's HEALTHCHECK runs.

``/livez`` fails when the loop has not sent a heartbeat for longer than its current step may take. ``/readyz``
succeeds once a models file is published; a GitHub outage never makes it fail, because a healthy LiteLLM must
not be taken out of service for that.
"""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

from sidecar.errors import UpstreamError, UsageError
from sidecar.http_client import send
from sidecar.text import printable


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


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def server_bind(self) -> None:
        """Bind for IPv4 and IPv6, without the base class's reverse DNS lookup, which is slow offline."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        TCPServer.server_bind(self)


def serve(port: int, status: Status) -> ThreadingHTTPServer:
    """Serve health requests on ``port`` from a separate thread. Raises UsageError when the port is in use."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            match self.path:
                case "/livez":
                    self._answer(200 if status.alive() else 503, "alive\n" if status.alive() else "the loop is stuck\n")
                case "/readyz":
                    self._answer(200 if status.ready else 503, "ready\n" if status.ready else "nothing published yet\n")
                case "/metrics":
                    self._answer(200, status.metrics())
                case _:
                    self._answer(404, "not found; use /livez, /readyz or /metrics\n")

        def _answer(self, code: int, text: str) -> None:
            body = text.encode("utf-8")
            self.send_response(code)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: probes arrive every few seconds."""

    try:
        server = _Server(("", port), Handler)
    except OSError as error:
        raise UsageError(
            f"COPILOT_HEALTH_PORT={port}: {error.strerror}",
            hint="Choose a free port, or 0 to disable the health server.",
        ) from error
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server


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
