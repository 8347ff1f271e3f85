"""Liveness is the loop, readiness is a published models file, metrics are Prometheus text."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
import time

import pytest
import requests

from sidecar.errors import Unreachable, UsageError
from sidecar.status import server
from sidecar.status.healthcheck import check
from sidecar.status.server import serve
from sidecar.status.state import Status
from tests.support.ports import free_port
from tests.support.waiting import until


@pytest.fixture
def status():
    return Status()


@pytest.fixture
def port(status):
    """The port of a health server for ``status``."""
    port = free_port()
    server = serve(port, status)
    yield port
    server.close()


def code(port, path):
    return requests.get(f"http://127.0.0.1:{port}{path}", timeout=60).status_code


def test_not_ready_before_anything_is_published(status, port):
    """Before a models file is published the service may be alive, but is not ready."""
    status.beat(60)
    assert (code(port, "/livez"), code(port, "/readyz")) == (200, 503)
    assert "/readyz" in check(port)


def test_ready(status, port):
    """Alive and ready is healthy."""
    status.beat(60)
    status.note(ready=True)
    assert (code(port, "/livez"), code(port, "/readyz"), check(port)) == (200, 200, None)


def test_stuck(status, port):
    """When the loop gives no sign of life for longer than it may, liveness fails, and comes back with it."""
    status.note(ready=True)
    assert code(port, "/livez") == 503
    status.beat(0.05)
    until(lambda: not status.alive())
    assert code(port, "/livez") == 503 and "stuck" in check(port)
    status.beat(60)
    assert code(port, "/livez") == 200


def test_failures_do_not_matter(status, port):
    """GitHub's failures neither fail readiness nor liveness."""
    status.beat(60)
    status.note(ready=True)
    for _ in range(50):
        status.failed(Unreachable("no answer"))
    assert check(port) is None


def test_other_paths(port):
    """Anything else is not found, and other methods are not allowed."""
    assert code(port, "/nothing") == 404 and code(port, "/livez/../metrics%0a") == 404
    refused = requests.post(f"http://127.0.0.1:{port}/livez", timeout=60)
    assert refused.status_code == 405 and refused.headers["allow"] == "GET, HEAD"


def test_port_taken(status, port):
    """A port that is taken is named by its variable, with the cure."""
    with pytest.raises(UsageError, match=f"COPILOT_HEALTH_PORT={port}") as caught:
        serve(port, status)
    assert "free port" in caught.value.hint


def test_nobody_there():
    """Without a service the check says so."""
    port = free_port()
    assert str(port) in check(port)


def test_client_that_says_nothing(status, port):
    """A client that connects and says nothing keeps nobody else from an answer."""
    status.beat(60)
    status.note(ready=True)
    with socket.create_connection(("127.0.0.1", port)):
        assert check(port) is None


def test_does_not_wait_for_names(status, monkeypatch):
    """Starting the server asks no name server: offline, that could take long."""
    monkeypatch.setattr(socket, "getfqdn", lambda *_: pytest.fail("asked for a name"))
    port = free_port()
    server = serve(port, status)
    try:
        assert code(port, "/readyz") == 503
    finally:
        server.close()


def test_switched_off():
    """With COPILOT_HEALTH_PORT=0 there is nobody to ask, and the message names the variable."""
    with pytest.raises(UsageError, match="COPILOT_HEALTH_PORT is 0"):
        check(0)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_both_address_families(status, port):
    """Probes come over IPv4 or IPv6."""
    status.beat(60)
    for host in ("127.0.0.1", "[::1]"):
        assert requests.get(f"http://{host}:{port}/livez", timeout=60).status_code == 200


def trickling(port, count, request=b"GET /livez HTTP/1.1\r\nHost: x\r\n"):
    """``count`` clients that have sent part of a request and hold the connection."""
    clients = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port), timeout=60)
        client.sendall(request)
        clients.append(client)
    return clients


def descriptors(service):
    return len(os.listdir(f"/proc/{service.popen.pid}/fd"))


def probe_times(port, count=20):
    """The seconds that probes take, each of which has to be answered."""
    seconds = []
    for _ in range(count):
        began = time.monotonic()
        assert code(port, "/livez") == 200
        seconds.append(time.monotonic() - began)
    return seconds


@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_trickling_clients_starve_no_probe(bench, many_descriptors):
    """With 1,020 connections that send a byte now and then, `/livez` answers; in the end nothing is left of them."""
    service = bench.start("run")  # with the 1,024 descriptors that most systems give
    resource.prlimit(service.popen.pid, resource.RLIMIT_NOFILE, (1024, 1024))
    until(lambda: bench.ask("/livez"), what="the service answers")
    before, threads = descriptors(service), thread_count(service)
    quiet = probe_times(bench.port)

    stop, sent = threading.Event(), []

    def trickle(clients):
        while not stop.is_set():
            for client in clients:
                with contextlib.suppress(OSError):
                    client.send(b"x")
                    sent.append(1)

    clients = trickling(bench.port, 1020)
    thread = threading.Thread(target=trickle, args=(clients,))
    thread.start()
    try:
        until(lambda: len(sent) > 0, what="bytes")
        under_attack = probe_times(bench.port)
        held, busy = descriptors(service) - before, thread_count(service) - threads
    finally:
        stop.set()
        thread.join()
    print(
        f"slowest probe: quiet {max(quiet) * 1000:.1f} ms, under attack {max(under_attack) * 1000:.1f} ms, held {held}"
    )
    # A probe that had to wait for a client to be timed out would take the clients' deadline.
    assert sorted(under_attack)[10] < server.DEADLINE / 2
    assert held <= server.MAX_CONNECTIONS + 1 and busy == 0
    assert bench.run("healthcheck").code == 0
    until(lambda: descriptors(service) <= before, what="the descriptors are free again, though nobody has closed")
    for client in clients:
        client.close()


def thread_count(service):
    return len(os.listdir(f"/proc/{service.popen.pid}/task"))


@pytest.mark.parametrize("sends", [b"", b"G", b"GET /livez HTTP/1.1\r\nA: b\r\n"])
def test_one_deadline_for_the_whole_request(port, monkeypatch, sends):
    """A client that sends a byte whenever the server might lose patience is dropped at its deadline all the same."""
    monkeypatch.setattr(server, "DEADLINE", 0.5)
    (client,) = trickling(port, 1, sends)
    client.settimeout(0.02)

    def dropped():
        try:
            client.send(b"x")
            return client.recv(100) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    until(dropped, what="it is dropped")
    client.close()


def test_a_client_that_takes_no_answer_is_dropped(port, status, monkeypatch):
    """The deadline is also for the answer: a client that reads nothing holds nothing."""
    monkeypatch.setattr(server, "DEADLINE", 0.5)
    monkeypatch.setattr("sidecar.status.routes.metrics", lambda status: "x" * (64 << 20))
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert code(port, "/readyz") == 503, "others are answered meanwhile"
        # Only the server's end can cause a reset: all that it had for the client is thrown away.
        until(lambda: client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or _is_closed(client), what="dropped")


def _is_closed(client):
    try:
        client.send(b"x")
    except OSError:
        return True
    return False


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"GET /" + b"x" * 20_000, b"HTTP/1.0 431"),
        (b"GET /livez HTTP/1.1\r\n" + b"A: b\r\n" * 2000 + b"\r\n", b"HTTP/1.0 431"),
        (b"POST /livez HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", b"HTTP/1.0 413"),
        (b"POST /livez HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.0 400"),
        (b"POST /livez HTTP/1.1\r\nContent-Length: 1_0\r\n\r\n", b"HTTP/1.0 400"),
        (b"POST /livez HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b"HTTP/1.0 400"),
        (b"POST /livez HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.0 411"),
        (b"POST /livez HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"HTTP/1.0 405"),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"HTTP/1.0 400"),
        (b"GET /livez\r\n\r\n", b"HTTP/1.0 400"),
        (b"GET  /livez HTTP/1.1\r\n\r\n", b"HTTP/1.0 400"),
        (b"\r\n\r\n", b"HTTP/1.0 400"),
        (b"GET /\xff\x00 HTTP/1.1\r\n\r\n", b"HTTP/1.0 404"),
        (b"DELETE /livez HTTP/1.1\n\n", b"HTTP/1.0 405"),
        (b"HEAD /readyz HTTP/1.1\n\n", b"HTTP/1.0 503"),
        (b"GET /readyz HTTP/1.1\n\n", b"HTTP/1.0 503"),
    ],
)
def test_what_is_no_request_does_no_harm(port, sent, answer):
    """Too much and nonsense are answered with an error; afterwards the server answers as before."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        with contextlib.suppress(OSError):
            client.sendall(sent)
        received = b""
        with contextlib.suppress(ConnectionError):  # it does not read all of what is too much
            received = client.recv(4096)
    assert received.startswith(answer) or (b"431" in answer and not received)
    assert code(port, "/readyz") == 503


def test_out_of_descriptors(status, port, monkeypatch):
    """A process without a free descriptor does not spin over a client that waits, and answers it as soon as it can."""
    calls, accept = [], server.StatusServer._accept
    monkeypatch.setattr(server.StatusServer, "_accept", lambda self: calls.append(1) or accept(self))
    status.beat(60)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as client:
        client.settimeout(60)
        began = time.monotonic()
        resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno(), before[1]))
        try:
            client.connect(("127.0.0.1", port))
            client.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
            until(lambda: len(calls) >= 3, what="three attempts")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert len(calls) <= (time.monotonic() - began) / server._PAUSE + 2
        assert client.recv(4096).startswith(b"HTTP/1.0 200")


def test_a_closed_server_frees_its_port(status):
    """Nothing is left of it: no thread, no descriptor, and the port can be had again."""
    port, before = free_port(), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        server = serve(port, status)
        clients = trickling(port, 3)
        server.close()
        for client in clients:
            client.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert "status" not in {thread.name for thread in threading.enumerate()}
