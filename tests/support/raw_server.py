"""Servers below HTTP: one that says byte for byte what a test tells it to, and a proxy that tunnels."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress


class RawServer:
    """Lets ``speak`` answer each connection on a free (or the given) port of 127.0.0.1; a context manager.

    ``speak`` gets the connection and an event that is set when the test is over. ``connections`` counts them.
    """

    def __init__(self, speak: Callable[[socket.socket, threading.Event], None], port: int = 0) -> None:
        self.speak, self.over, self.connections = speak, threading.Event(), 0
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> RawServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                self._threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self.speak(connection, self.over)


def take_request(connection: socket.socket) -> None:
    """Read a request with its body: what is left unread when a connection is closed turns its end into a reset."""
    head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
    length = re.search(rb"^content-length: *(\d+)", head, re.IGNORECASE | re.MULTILINE)
    while length and len(body) < int(length[1]) and (more := connection.recv(65536)):
        body += more


def say(data: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Answers any request with ``data``."""

    def speak(connection: socket.socket, _: threading.Event) -> None:
        take_request(connection)
        connection.sendall(data)

    return speak


def drip(first: bytes, piece: bytes, *, every: float = 0.02) -> Callable[[socket.socket, threading.Event], None]:
    """Says ``first``, then ``piece`` again and again: an answer that never ends, and never is silent for long."""

    def speak(connection: socket.socket, over: threading.Event) -> None:
        take_request(connection)
        connection.sendall(first)
        while not over.wait(every):
            connection.sendall(piece)

    return speak


class Tunnel(RawServer):
    """An HTTP proxy that knows CONNECT only; ``heads`` are the requests that came in, up to the empty line."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        super().__init__(self._tunnel)

    def _tunnel(self, client: socket.socket, _: threading.Event) -> None:
        head = b""
        while b"\r\n\r\n" not in head and (data := client.recv(65536)):
            head += data
        self.heads.append(head)
        method, target, _rest = head.split(b" ", 2)
        if method != b"CONNECT":
            client.sendall(b"HTTP/1.1 405 CONNECT only\r\nContent-Length: 0\r\n\r\n")
            return
        host, _colon, port = target.decode().rpartition(":")
        with socket.create_connection((host, int(port))) as server:
            client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        for data in _pieces(source):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _pieces(source: socket.socket) -> Iterator[bytes]:
    while data := source.recv(65536):
        yield data
