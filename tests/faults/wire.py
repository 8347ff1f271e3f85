"""Faults below the content: sockets, TLS, framing, encoding."""

from __future__ import annotations

import functools
import gzip
import json
import socket
import ssl
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.github_paths import EXCHANGE, MODELS
from tests.support.raw_server import RawServer
from tests.support.tls import make_certificate, server_context

from .stage import Fault, Stage

Mend = Callable[[], None]
OK = b"HTTP/1.1 200 OK\r\n"
JSON = OK + b"Content-Type: application/json\r\n"
TEN_MINUTES = 600.0
HOPS = (("the exchange", EXCHANGE, "both"), ("the catalog", MODELS, "sidecar"))


def answering(path: str, **how: Any) -> Callable[[Stage], Mend]:
    """The stand-in misbehaves on one path."""

    def on(stage: Stage) -> Mend:
        stage.gh.fail(path, **how)
        return lambda: stage.gh.heal(path)

    return on


def both_hops(group: str, name: str, *, hangs: str = "", once: bool = False, **how: Any) -> Iterator[Fault]:
    """The same at the exchange, which the hook asks too, and at the catalog; the latter not where it is ``once``."""
    for hop, path, side in HOPS[: 1 if once else 2]:
        yield Fault(group, f"{name}, {hop}", answering(path, **how), path=path, side=side, hangs=hangs)


# Sockets


def refused(stage: Stage) -> Mend:
    stage.gh.down()
    return stage.gh.up


def instead(speak: Callable[[socket.socket, threading.Event], None]) -> Callable[[Stage], Mend]:
    """Something else listens in GitHub's place."""

    def on(stage: Stage) -> Mend:
        stage.gh.down()
        server = RawServer(speak, stage.gh.port)

        def mend() -> None:
            server.__exit__()
            stage.gh.up()

        return mend

    return on


def blackhole(stage: Stage) -> Mend:
    """Nothing answers a connection: the listener's queue is full."""
    stage.gh.down()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", stage.gh.port))
    listener.listen(0)
    waiting = [socket.socket() for _ in range(4)]
    for each in waiting:
        each.setblocking(False)
        each.connect_ex(("127.0.0.1", stage.gh.port))

    def mend() -> None:
        for each in (*waiting, listener):
            each.close()
        stage.gh.up()

    return mend


def resolving(error: Exception) -> Callable[[Stage], Mend]:
    """No name is resolved on the way to GitHub."""

    def on(stage: Stage) -> Mend:
        patch, look_up = pytest.MonkeyPatch(), socket.getaddrinfo

        def failing(host: Any, port: Any, *arguments: Any, **more: Any) -> Any:
            if str(port) == str(stage.gh.port):
                raise error
            return look_up(host, port, *arguments, **more)

        patch.setattr(socket, "getaddrinfo", failing)
        return patch.undo

    return on


def at_once(connection: socket.socket, _: threading.Event) -> None:
    """The end comes before the request does."""
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65536):
        pass


def silent(connection: socket.socket, over: threading.Event) -> None:
    over.wait()


def sockets() -> Iterator[Fault]:
    # Where there is nothing to connect to, they look every two seconds: a long hour, in which nothing else happens.
    for name, on in {
        "connection refused": refused,
        "name not found": resolving(socket.gaierror(-2, "Name or service not known")),
        "resolver fails": resolving(socket.gaierror(-3, "Temporary failure in name resolution")),
        "network unreachable": resolving(OSError(101, "Network is unreachable")),
    }.items():
        yield Fault("socket", name, on, patches=on is not refused, lasts=TEN_MINUTES)
    yield Fault("socket", "blackhole", blackhole, hangs="CONNECT_TIMEOUT", lasts=TEN_MINUTES)
    yield Fault("socket", "accepted and closed", instead(at_once))
    yield Fault("socket", "accepted and silent", instead(silent), hangs="READ_TIMEOUT")
    yield from both_hops("socket", "silent after the request", how="hang", hangs="READ_TIMEOUT")
    yield from both_hops("socket", "closed after the request", raw=b"")
    yield from both_hops("socket", "reset after the request", how="reset")
    yield from both_hops("socket", "reset in the headers", how="reset", raw=JSON + b"Content-Le")
    yield from both_hops("socket", "reset in the body", how="reset", raw=JSON + b'Content-Length: 900\r\n\r\n{"data"')
    yield from both_hops("socket", "closed in the headers", raw=JSON + b"Content-Le")
    yield from both_hops("socket", "closed in the body", how="truncate")


# TLS


@functools.cache
def certificates() -> dict[str, Path]:
    """One for this machine, and those that are not: all but the stranger's are trusted, by ``bundle``."""
    top = Path(tempfile.mkdtemp(prefix="faults-tls-"))
    made = {}
    for name, how in {"good": {}, "expired": {"days": -1}, "other host": {"host": "127.0.0.2"}, "stranger": {}}.items():
        (top / name).mkdir()
        made[name] = make_certificate(top / name, **how)  # type: ignore[arg-type]
    bundle = top / "bundle.crt"
    bundle.write_bytes(b"".join((made[name] / "ca.crt").read_bytes() for name in ("good", "expired", "other host")))
    return {**made, "bundle": bundle}


def speaking(context: Callable[[], ssl.SSLContext | None]) -> Callable[[Stage], Mend]:
    """The stand-in speaks TLS in another way."""

    def on(stage: Stage) -> Mend:
        good, stage.gh.tls = stage.gh.tls, context()

        def mend() -> None:
            stage.gh.tls = good

        return mend

    return on


def too_old() -> ssl.SSLContext:
    context = server_context(certificates()["good"])
    context.set_ciphers("AES128-SHA@SECLEVEL=0")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def hello_cut(connection: socket.socket, _: threading.Event) -> None:
    connection.recv(65536)
    connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00")


def alert(connection: socket.socket, _: threading.Event) -> None:
    connection.recv(65536)
    connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28")


def slow_hello(connection: socket.socket, over: threading.Event) -> None:
    connection.recv(65536)
    connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
    while not over.wait(0.01):
        connection.sendall(b"\x03")


def secure() -> Iterator[Fault]:
    def row(name: str, on: Callable[[Stage], Mend], **more: Any) -> Fault:
        return Fault("TLS", name, on, tls=True, **more)

    for name in ("stranger", "expired", "other host"):
        shown = {"stranger": "certificate not trusted", "expired": "certificate expired"}
        yield row(
            shown.get(name, "certificate of another host"),
            speaking(lambda name=name: server_context(certificates()[name])),  # type: ignore[misc]
        )
    yield row("no cipher in common", speaking(too_old))
    yield row("plain http on the port", speaking(lambda: None))
    yield row("closed at the handshake", instead(hello_cut))
    yield row("handshake refused", instead(alert))
    yield row("handshake without an end", instead(slow_hello), hangs="TOTAL_TIMEOUT")


# Framing


def framing() -> Iterator[Fault]:
    def each(name: str, raw: bytes, again: bytes = b"", **more: Any) -> Iterator[Fault]:
        if again:
            more = {"again": again, "delay": 0.005, "hangs": "TOTAL_TIMEOUT", **more}
        yield from both_hops("framing", name, raw=raw, **more)

    chunked = JSON + b"Transfer-Encoding: chunked\r\n\r\n"
    yield from each("HTTP/0.9", b'{"data": []}')
    yield from each("another protocol", b"SSH-2.0-OpenSSH_9.9\r\n", once=True)
    yield from each("status line without a status", b"HTTP/1.1\r\n\r\n", once=True)
    yield from each("status of letters", b"HTTP/1.1 abc OK\r\n\r\n", once=True)
    yield from each("status of 5 digits", b"HTTP/1.1 20000 OK\r\n\r\n", once=True)
    yield from each("header without a colon", OK + b"no header at all\r\nContent-Length: 2\r\n\r\n{}", once=True)
    yield from each("header of 100 kB", OK + b"x: " + b"y" * 100_000 + b"\r\nContent-Length: 2\r\n\r\n{}")
    yield from each("1,000 headers", OK + b"x: y\r\n" * 1000 + b"Content-Length: 2\r\n\r\n{}", once=True)
    yield from each("chunk size of letters", chunked + b"zz\r\n{}\r\n0\r\n\r\n")
    yield from each("chunk size negative", chunked + b"-2\r\n{}\r\n0\r\n\r\n", once=True)
    yield from each("chunk shorter than it says", chunked + b"ff\r\n{}\r\n0\r\n\r\n", once=True)
    yield from each("last chunk missing", chunked + b"2\r\n{}\r\n", once=True)
    yield from each("length too long", JSON + b"Content-Length: 500\r\n\r\n{}")
    yield from each("length too short", JSON + b'Content-Length: 1\r\n\r\n{"data": []}')
    yield from each("length negative", JSON + b"Content-Length: -5\r\n\r\n{}", once=True)
    yield from each("length of letters", JSON + b"Content-Length: many\r\n\r\n{}", once=True)
    yield from each("length twice, different", JSON + b"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}", once=True)
    yield from each("no length, no body", JSON + b"\r\n", once=True)
    yield from each("a byte of a header now and then", OK + b"x-slow: ", b"a", once=True)
    yield from each("headers without an end", OK, b"x-slow: a\r\n")
    yield from each("100 Continue without an end", b"", b"HTTP/1.1 100 Continue\r\n\r\n", once=True)
    yield from each("103 Early Hints without an end", b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", once=True)
    yield from each("a byte of the body now and then", JSON + b"Content-Length: 1000000\r\n\r\n", b" ", once=True)
    yield from each("a byte of a chunk's size now and then", chunked, b"0", once=True)
    yield from each("trailers without an end", chunked + b"0\r\n", b"x: y\r\n", once=True)
    yield from both_hops("framing", "body of 17 MB", status=200, body=b" " * (17 * 2**20))


# Encoding


def encoded(name: str, encoding: str, body: bytes, *, once: bool = True) -> Iterator[Fault]:
    headers = {"Content-Encoding": encoding} if encoding else {}
    yield from both_hops("encoding", name, status=200, body=body, headers=headers, once=once)


def encodings() -> Iterator[Fault]:
    bomb = gzip.compress(b" " * 40_000_000)
    yield from encoded("gzip that is none", "gzip", b"this is no gzip at all", once=False)
    yield from encoded("gzip cut", "gzip", gzip.compress(b'{"data": []}' * 50)[:20])
    yield from encoded("gzip of 40 MB", "gzip", bomb, once=False)
    yield from encoded("gzip of gzip of 40 MB", "gzip, gzip", gzip.compress(bomb))
    yield from encoded("deflate that is none", "deflate", b"\xff\xfe\xfd")
    yield from encoded("deflate of nothing", "deflate", zlib.compress(b""))
    yield from encoded("an encoding nobody knows", "rot13", b"{}")
    yield from encoded("UTF-16", "", json.dumps({"message": "é"}, ensure_ascii=False).encode("utf-16"))
    yield from encoded("UTF-8 that is none", "", b'{"data": ["\xff\xfe"]}')
    yield from encoded("NUL bytes", "", b"\0" * 1000)


def faults() -> list[Fault]:
    return [*sockets(), *secure(), *framing(), *encodings()]
