"""Answers over HTTP (``sidecar.status.routes`` says what), and the check that Docker's HEALTHCHECK runs."""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import threading
import time
from http import HTTPStatus
from typing import NamedTuple

from sidecar.errors import UsageError
from sidecar.status.routes import TEXT, Request, Response, respond
from sidecar.status.state import Status
from sidecar.text import printable

log = logging.getLogger(__name__)

DEADLINE = 5.0
"""Seconds that a client has for all of it: its request, and taking the answer."""
MAX_CONNECTIONS = 64
MAX_HEAD = 8192
"""Bytes of request line and headers; those of a browser have a thousand."""
MAX_BODY = 65_536
"""Bytes of a report of a LiteLLM worker, at most."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE = 0.1


class _Refused(NamedTuple):
    """A request that is none, or too large."""

    status: HTTPStatus


class _Connection:
    """A client: what it has sent so far, and what is still to be sent to it."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer, self.until = peer, time.monotonic() + DEADLINE
        self.received, self.wanted, self.answer = b"", 0, memoryview(b"")


class StatusServer:
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
        self._thread = threading.Thread(target=self._serve, name="status", daemon=True)
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
        except OSError as error:
            if error.errno in _EXHAUSTED:  # the client is still waiting: asking again at once would only take time
                time.sleep(_PAUSE)
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
                received = connection.peer.recv(MAX_HEAD)
                connection.received += received
                if not received:
                    self._drop(connection)
                    return
                if len(connection.received) < connection.wanted:
                    return
                request = _request(connection.received)
                if isinstance(request, int):
                    connection.wanted = request
                    return
                connection.answer = memoryview(_bytes(request, self._status))
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


def _request(received: bytes) -> Request | _Refused | int:
    """The request that has come; if it is not complete yet, how many bytes there have to be before it can be."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        head, end, body = received.partition(b"\n\n")
    if len(head) > MAX_HEAD:
        return _Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    if not end:
        return len(received) + 1
    first, *lines = head.decode("latin-1").split("\n")
    match first.rstrip("\r").split(" "):
        case [method, path, version] if version.startswith("HTTP/1."):
            pairs = (line.partition(":") for line in lines)
            headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        case _:
            return _Refused(HTTPStatus.BAD_REQUEST)
    if "transfer-encoding" in headers:
        return _Refused(HTTPStatus.LENGTH_REQUIRED)
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit() and len(length) < 10):
        return _Refused(HTTPStatus.BAD_REQUEST)
    if int(length) > MAX_BODY:
        return _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    if (missing := int(length) - len(body)) > 0:
        return len(received) + missing
    return Request(method, path, headers, body[: int(length)])


def _plain(code: HTTPStatus) -> Response:
    return Response(code, f"{code.phrase}\n".encode(), {"Content-Type": TEXT})


def _bytes(request: Request | _Refused, status: Status) -> bytes:
    """The whole answer."""
    try:
        response = _plain(request.status) if isinstance(request, _Refused) else respond(request, status)
    except Exception:  # a bug in what is only to be looked at must not end the service
        log.exception("%s cannot be answered", printable(request), extra={"event": "request.defect"})
        response = _plain(HTTPStatus.INTERNAL_SERVER_ERROR)
    code = response.status
    headers = {**response.headers, "Content-Length": str(len(response.body)), "X-Content-Type-Options": "nosniff"}
    lines = [f"HTTP/1.0 {code.value} {code.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    head = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")
    without_body = isinstance(request, Request) and request.method == "HEAD"
    return head if without_body else head + response.body


def serve(port: int, status: Status) -> StatusServer:
    """Answer on ``port`` from a separate thread. Raises UsageError when the port is in use."""
    try:
        return StatusServer(port, status)
    except OSError as error:
        raise UsageError(
            f"COPILOT_HEALTH_PORT={port}: {error.strerror}",
            hint="Choose a free port, or 0 to disable the health server.",
        ) from error
