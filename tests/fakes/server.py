"""The HTTP side: reads requests, applies faults, writes replies. Knows nothing of GitHub itself."""

from __future__ import annotations

import contextlib
import http.server
import json
import math
import os
import socket
import ssl
import struct
import sys
import threading
import time
from typing import Any

from . import control, copilot, login
from .faults import Fault
from .state import Recorded, State
from .wire import Reply, Request, json_reply, text_reply

ROUTES = {
    ("POST", "/login/device/code"): login.device_code,
    ("POST", "/login/oauth/access_token"): login.access_token,
    ("GET", "/copilot_internal/v2/token"): login.exchange,
    ("GET", "/copilot_internal/user"): login.copilot_user,
    ("GET", "/user"): login.user,
    ("GET", "/models"): copilot.models,
    ("POST", copilot.CHAT): copilot.infer,
    ("POST", copilot.RESPONSES): copilot.infer,
    ("POST", copilot.MESSAGES): copilot.infer,
    ("POST", copilot.EMBEDDINGS): copilot.infer,
}
GARBAGE = b"<html>\x00\xff this is not JSON"
SLOW_PIECES = 8
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
JOIN_TIMEOUT = 5.0
HEAL_POLL = 0.02


class Server(http.server.ThreadingHTTPServer):
    """A server that knows its connections, so that it can really end them."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], state: State) -> None:
        super().__init__(address, Handler)
        self.state = state
        self.closing = threading.Event()
        self._connections: dict[socket.socket, threading.Thread | None] = {}
        self._lock = threading.Lock()

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        if self.state.tls is not None:
            # The handshake comes with the first read, in the connection's own thread.
            connection = self.state.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections[request] = None
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections[request] = threading.current_thread()
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._connections.pop(request, None)

    def close(self) -> None:
        """Stop listening, end all connections and wait for their threads."""
        self.closing.set()
        self.shutdown()
        self.server_close()
        with self._lock:
            connections = dict(self._connections)
        # A control request that asks for this must still get its own answer.
        connections = {c: t for c, t in connections.items() if t is not threading.current_thread()}
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in filter(None, connections.values()):
            thread.join(JOIN_TIMEOUT)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error of the server."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError, ssl.SSLError)):
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "github-fake"
    sys_version = ""
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Any request, whatever its method."""
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        request = Request.parse(self.command, self.path, self.headers.items(), raw)
        if request.path.startswith("/_control/"):
            self._write(control.handle(self.server.state, request))
            return
        state = self.server.state
        self._answer(request, state.record(request), state.fault_for(request.path))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _answer(self, request: Request, record: Recorded, fault: Fault | None) -> None:
        how = fault.how if fault else None
        if fault and how != "slow" and fault.raw is None:
            self._pause(fault.delay, fault)
        if fault and fault.raw is not None:
            self._say(fault)
        elif how == "hang":
            self._pause(math.inf, fault)
            self.close_connection = True
        elif how == "reset":
            self._reset()
        else:
            reply = (_canned(fault) if fault else None) or self._route(request)
            if fault:
                reply.headers.update(fault.headers)
            self._pause(reply.delay)
            record.status = reply.status
            self._write(reply, how, fault.delay if fault else 0.0)

    def _route(self, request: Request) -> Reply:
        respond = ROUTES.get((request.method, request.path))
        if respond is None:
            return json_reply({"message": "Not Found", "status": "404"}, 404)
        if doubled := request.doubled:
            shown = "" if doubled == "authorization" else f": {request.headers[doubled]!r}"
            reason = f"bad request: {doubled} sent twice{shown}"
            self.server.state.refuse(request.path, reason)
            return text_reply(reason, 400)
        return respond(self.server.state, request)

    def _write(self, reply: Reply, how: str | None = None, gap: float = 0.0) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.events is None:
            self.send_header("Content-Length", str(len(reply.body)))
            pieces = _slices(reply.body, SLOW_PIECES) if how == "slow" else [reply.body]
        else:
            self.send_header("Transfer-Encoding", "chunked")
            pieces = [b"%x\r\n%s\r\n" % (len(e), e) for e in reply.events] + [b"0\r\n\r\n"]
        self.end_headers()
        if how == "truncate":
            self.close_connection = True
            pieces = pieces[: len(pieces) // 2] if len(pieces) > 1 else [reply.body[: len(reply.body) // 2]]
        gap = gap if how == "slow" else reply.gap
        for n, piece in enumerate(pieces):
            if n:
                self._pause(gap)
            self.wfile.write(piece)
            self.wfile.flush()

    def _pause(self, seconds: float, fault: Fault | None = None) -> None:
        """Sleep, but no longer than until the fault is healed. A server that closes answers nothing."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not (fault and fault.released.is_set()):
            if self.server.closing.wait(min(left, HEAL_POLL) if fault else left):
                raise ConnectionAbortedError("the server closes")

    def _say(self, fault: Fault) -> None:
        """What is not HTTP, or not for long."""
        self.close_connection = True
        with contextlib.suppress(OSError):  # the client has had enough
            self.connection.sendall(fault.raw or b"")
            while fault.again and not fault.released.is_set():
                self.connection.sendall(fault.again)
                self._pause(fault.delay, fault)
        if fault.how == "reset":
            self._reset()

    def _reset(self) -> None:
        """End the connection with RST, not with an orderly FIN."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        os.close(self.connection.detach())

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(self.server.state.now() if timestamp is None else timestamp)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are recorded, not logged."""


def _canned(fault: Fault) -> Reply | None:
    """The answer that a fault puts in place of the right one."""
    if fault.how == "redirect":
        return Reply(fault.status or 302, headers={"Location": fault.location or "/elsewhere"})
    if fault.how == "garbage":
        return Reply(fault.status or 200, GARBAGE, {"Content-Type": "application/json"})
    if fault.status is None and fault.body is None:
        return None
    body = {"message": "fault"} if fault.body is None else fault.body
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return Reply(fault.status or 200, body, {"Content-Type": "application/json"})


def _slices(body: bytes, count: int) -> list[bytes]:
    size = max(1, -(-len(body) // count))
    return [body[n : n + size] for n in range(0, len(body), size)]
