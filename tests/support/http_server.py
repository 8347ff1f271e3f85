"""An HTTP server that answers what a test tells it to: stands for anything but GitHub, which has tests/fakes."""

from __future__ import annotations

import http.server
import json
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Request(NamedTuple):
    """A request as it came in; ``headers`` has lower-case names."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


Answer = tuple[int, Mapping[str, str], Any]
"""Status, header fields, and what becomes the body as JSON; bytes are the body as it is."""


class HttpServer(http.server.ThreadingHTTPServer):
    """Answers each request with what ``respond`` makes of it, on a free port of 127.0.0.1; a context manager.

    Where ``respond`` gives None, the connection ends without an answer. ``requests`` are those that came in.
    """

    daemon_threads = True

    def __init__(self, respond: Callable[[Request], Answer | None], tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.respond = respond
        self.requests: list[Request] = []
        self.port = int(self.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error of the server."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: HttpServer
    protocol_version = "HTTP/1.1"
    server_version = "test-server"

    def do_GET(self) -> None:
        """Any request, whatever its method."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length") or 0))
        request = Request(self.command, self.path, headers, body)
        self.server.requests.append(request)
        answer = self.server.respond(request)
        if answer is None:
            self.close_connection = True
            return
        status, fields, content = answer
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**fields, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_PATCH = do_PUT = do_POST = do_DELETE = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are kept, not logged."""
