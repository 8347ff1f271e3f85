"""Several services on one volume: one leads, the others wait, are well, and take over when it ends."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading

import pytest
import requests

from sidecar.errors import StorageError
from sidecar.locks import lock_file, update_lock
from sidecar.service import leader
from sidecar.service.leader import leading
from sidecar.status.state import Status
from tests.fakes.catalog import model
from tests.support.github_paths import EXCHANGE
from tests.support.ports import free_port
from tests.support.waiting import until

WAITING = "another service leads here"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Look often."""
    monkeypatch.setattr(leader, "POLL_INTERVAL", 0.02)


class Service:
    """A service in a thread of this process that does nothing but lead, or wait to."""

    def __init__(self, settings):
        self.stop, self.status = threading.Event(), Status()
        self.leads, self.ended = threading.Event(), threading.Event()
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run, args=(settings,))
        self.thread.start()

    def _run(self, settings):
        try:
            with leading(settings, self.stop, self.status) as leads:
                if leads:
                    self.leads.set()
                    self.stop.wait(60)
        except StorageError as error:
            self.error = error
        self.ended.set()

    def end(self):
        self.stop.set()
        self.thread.join(60)
        assert self.ended.is_set()


def test_two_processes(bench):
    """The second waits, healthy and without a request to GitHub; it syncs soon after the first was killed."""
    bench.log_in()
    first = bench.start("run").saw("models published")
    port = free_port()
    second = bench.start("run", COPILOT_HEALTH_PORT=str(port)).saw(WAITING)
    [leader] = [record["leader"] for record in second.records if WAITING in record["message"]]
    assert f"process {first.popen.pid} on {socket.gethostname()}" in leader
    for path in ("/livez", "/readyz"):
        assert requests.get(f"http://127.0.0.1:{port}{path}", timeout=60).status_code == 200
    assert bench.gh.count(EXCHANGE) == 1

    bench.gh.set_catalog([*bench.gh.catalog, model("new")])
    assert bench.run("sync").code == 0 and "github_copilot/new" in bench.names()

    bench.gh.set_catalog([*bench.gh.catalog, model("newer")])
    first.signal(signal.SIGKILL)
    second.saw("this service leads now").saw("models published")
    assert "github_copilot/newer" in bench.names()
    assert len([text for text in second.messages() if WAITING in text]) == 1
    assert second.ends_at_once() == 0


def test_a_waiting_service_is_stopped_at_once(bench):
    """SIGTERM ends a service that waits as it ends one that leads."""
    with leading(bench.settings(), threading.Event(), Status()):
        assert bench.start("run").saw(WAITING).ends_at_once() == 0


def test_said_once(serve, bench, caplog):
    """That another leads is said once; what stands in the lock file is only shown, as far as it can be."""
    caplog.set_level(logging.INFO, "sidecar")
    serve().leads.wait(60)
    lock_file(bench.models_file, leader.KIND).write_bytes(b"\x1b[31m" * 50)
    second = serve()
    until(lambda: WAITING in caplog.text)
    for _ in range(3):
        second.status.beat(-1)
        until(second.status.alive)
    [shown] = [vars(record)["leader"] for record in caplog.records if WAITING in record.getMessage()]
    assert "31m" in shown and "\x1b" not in shown


def test_one_after_the_other(serve, bench):
    """A service that has ended leaves nothing behind, and the next leads at once; ready is whoever has models."""
    first = serve()
    first.leads.wait(60)
    second = serve()
    until(second.status.alive)
    assert not second.status.ready and not second.leads.is_set()
    bench.models_file.write_bytes(b"model_list: []\n")
    until(lambda: second.status.ready)
    first.end()
    assert second.leads.wait(60)
    second.end()
    assert os.listdir(bench.shared) == ["copilot_models.yaml"]


def test_an_update_is_not_led(serve, bench):
    """Whoever leads keeps nobody from a single update."""
    serve().leads.wait(60)
    with update_lock(bench.models_file, timeout=0.1) as lock:
        assert lock


def test_directory_of_a_config_that_comes_later(serve, bench, caplog):
    """Without its directory a config's service waits, and says why; that of the models file ends with the error."""
    away = bench.shared / "away"
    service = serve(CONFIG_FILE=str(away / "config.yaml"))
    until(lambda: "create it" in str([vars(record).get("hint") for record in caplog.records]))
    away.mkdir()
    assert service.leads.wait(60) and not service.error
    lost = serve(COPILOT_MODELS_FILE=str(bench.shared / "lost" / "m.yaml"))
    assert lost.ended.wait(60) and "lost" in str(lost.error)
