"""Liveness is the loop, readiness is a published models file, metrics are Prometheus text."""

from __future__ import annotations

import re
import socket
import threading
import time

import pytest
import requests

from sidecar.errors import UsageError
from sidecar.service.health import Status, check, serve
from tests.support.ports import free_port
from tests.support.waiting import until

LINE = re.compile(r'([a-z_]+)(?:\{([a-z_]+)="([^"\\\n]*)"\})? (\d+(?:\.\d+)?)')


@pytest.fixture
def status():
    return Status()


def close(server):
    """End a server, which takes it half a second, in its own time."""

    def end():
        server.shutdown()
        server.server_close()

    threading.Thread(target=end).start()


@pytest.fixture
def port(status):
    """The port of a health server for ``status``."""
    port = free_port()
    server = serve(port, status)
    yield port
    close(server)


def code(port, path):
    return requests.get(f"http://127.0.0.1:{port}{path}", timeout=60).status_code


def parse(text):
    """Prometheus text as {(name, label): value}; each metric has to have its help and type before it."""
    values, known = {}, set()
    for line in text.splitlines():
        if line.startswith("# "):
            kind, name, rest = line[2:].split(" ", 2)
            assert rest and kind in {"HELP", "TYPE"} and (kind == "HELP" or rest in {"counter", "gauge"})
            known.add((kind, name))
            continue
        name, _, label, value = LINE.fullmatch(line).groups()
        assert {("HELP", name), ("TYPE", name)} <= known
        values[name, label] = float(value)
    assert text.endswith("\n")
    return values


def test_not_ready_before_anything_is_published(status, port):
    """Before a models file is published the service may be alive, but is not ready."""
    status.beat(60)
    assert (code(port, "/livez"), code(port, "/readyz")) == (200, 503)
    assert "/readyz" in check(port)


def test_ready(status, port):
    """Alive and ready is healthy."""
    status.beat(60)
    status.ready = True
    assert (code(port, "/livez"), code(port, "/readyz"), check(port)) == (200, 200, None)


def test_stuck(status, port):
    """When the loop gives no sign of life for longer than it may, liveness fails, and comes back with it."""
    status.ready = True
    assert code(port, "/livez") == 503
    status.beat(0.05)
    until(lambda: not status.alive())
    assert code(port, "/livez") == 503 and "stuck" in check(port)
    status.beat(60)
    assert code(port, "/livez") == 200


def test_failures_do_not_matter(status, port):
    """GitHub's failures neither fail readiness nor liveness."""
    status.beat(60)
    status.ready = True
    for _ in range(50):
        status.failed("Unreachable")
    assert check(port) is None


def test_metrics(status, port):
    """Syncs are counted by result, publications apart, and the last success has a time."""
    assert parse(status.metrics()) == {
        ("copilot_sync_total", "success"): 0,
        ("copilot_publish_total", None): 0,
        ("copilot_models", None): 0,
        ("copilot_last_success_timestamp_seconds", None): 0,
    }
    status.succeeded(12, changed=True)
    status.succeeded(13, changed=False)
    status.failed("Unreachable")
    answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=60)
    values = parse(answer.text)
    assert values["copilot_sync_total", "success"] == 2 and values["copilot_sync_total", "Unreachable"] == 1
    assert values["copilot_publish_total", None] == 1 and values["copilot_models", None] == 13
    assert abs(values["copilot_last_success_timestamp_seconds", None] - time.time()) < 60
    assert answer.headers["content-type"].startswith("text/plain")


def test_other_paths(port):
    """Anything else is not found, and other methods are not known."""
    assert code(port, "/") == 404 and code(port, "/livez/../metrics%0a") == 404
    assert requests.post(f"http://127.0.0.1:{port}/livez", timeout=60).status_code == 501


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
    status.ready = True
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
        close(server)


def test_counting_from_threads(status):
    """Counts from several threads add up."""

    def work():
        for _ in range(500):
            status.failed("x")
            status.succeeded(1, changed=True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = parse(status.metrics())
    assert values["copilot_sync_total", "x"] == values["copilot_publish_total", None] == 2000


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
