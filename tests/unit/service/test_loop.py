"""The service: when it syncs, how it waits after a failure, and that it goes on whatever happens."""

from __future__ import annotations

import logging
import re
import threading
import time

import pytest

from sidecar.errors import AccessRefused, BadAnswer, LoginNeeded, StorageError, Unreachable, UpstreamError
from sidecar.service import loop
from sidecar.service.health import Status
from tests.fakes.catalog import model
from tests.support.github_paths import EXCHANGE, MODELS
from tests.support.waiting import until


def syncs(service, result):
    """How many syncs have ended with this result."""
    found = re.search(rf'result="{result}"}} (\d+)', service.status.metrics())
    return int(found[1]) if found else 0


@pytest.mark.parametrize(
    ("error", "failures", "interval", "seconds"),
    [
        (None, 0, 3600, 3600),
        (None, 0, 1, 1),
        (Unreachable("x"), 1, 3600, 2),
        (Unreachable("x"), 1000, 3600, 2),
        (LoginNeeded("x"), 1, 3600, 900),
        (AccessRefused("x"), 1000, 60, 900),
        (BadAnswer("x"), 1, 3600, 5),
        (BadAnswer("x"), 2, 3600, 10),
        (BadAnswer("x"), 3, 3600, 20),
        (BadAnswer("x"), 7, 3600, 300),
        (BadAnswer("x"), 10**6, 3600, 300),
        (StorageError("x"), 1, 3600, 5),
        (UpstreamError("x"), 100, 0, 300),
        (UpstreamError("x", retry_after=1), 1, 3600, 5),
    ],
)
def test_delay(error, failures, interval, seconds):
    """The wait fits the failure: short while nobody answers, growing while GitHub fails, long when it says no."""
    delays = [loop.delay_after(error, failures, interval) for _ in range(300)]
    assert 0.9 * seconds <= min(delays) < seconds < max(delays) <= 1.1 * seconds


def test_rate_limit_is_waited_out():
    """GitHub's wish is kept to in full, and not by all installations at the same second."""
    delays = [loop.delay_after(UpstreamError("x", retry_after=600), 1, 60) for _ in range(300)]
    assert 600 <= min(delays) < max(delays) <= 660


def test_interval_zero():
    """With interval 0 nothing follows a success; a failure is tried again all the same."""
    assert loop.delay_after(None, 0, 0) is None and loop.delay_after(Unreachable("x"), 1, 0) > 0


class Service:
    """The loop in a thread of this process."""

    def __init__(self, settings):
        self.stop, self.status = threading.Event(), Status()
        self.thread = threading.Thread(target=loop.run, args=(settings, self.stop, self.status))
        self.thread.start()

    def end(self):
        self.stop.set()
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.fixture
def serve(bench):
    """Start the loop with given settings."""
    services = []

    def start(**changes):
        services.append(Service(bench.settings(**changes)))
        return services[-1]

    yield start
    for service in services:
        service.end()


def test_empty_file_before_any_login(bench, serve):
    """The hook and an empty models file are there at once, and the service is ready and alive, without a login."""
    service = serve()
    until(lambda: service.status.ready)
    assert bench.names() == [] and (bench.shared / "litellm_hot_reload" / "startup.py").stat().st_size > 1000
    assert service.status.alive() and bench.gh.requests == []


def test_models_of_an_earlier_run_stay(bench, serve):
    """A models file that is there is not emptied by a start without a login."""
    bench.log_in()
    first = serve()
    until(bench.names)
    first.end()
    bench.token_file.unlink()
    before = bench.models_file.read_bytes()
    service = serve()
    until(lambda: "LoginNeeded" in service.status.metrics())
    assert bench.models_file.read_bytes() == before and service.status.ready


def test_token_is_noticed(bench, serve):
    """A login is noticed by itself, long before the next sync is due, and nothing is asked of GitHub before."""
    service = serve()
    until(lambda: "LoginNeeded" in service.status.metrics())
    assert bench.gh.requests == []
    bench.log_in()
    until(bench.names, loop.REFUSED_WAIT / 10, "the models")
    assert loop.TOKEN_POLL_INTERVAL <= 2


def test_revoked_token_is_not_hammered(bench, serve):
    """A token that GitHub refuses is tried once; the next one is noticed by itself."""
    bench.gh.revoke(bench.log_in())
    service = serve()
    until(lambda: "LoginNeeded" in service.status.metrics())
    bench.log_in()
    until(bench.names)
    assert bench.gh.count(EXCHANGE) == 2


def test_login_while_the_old_token_is_being_refused(bench, serve):
    """A token that is stored while GitHub still ponders over the old one is noticed all the same."""
    bench.gh.revoke(bench.log_in())
    bench.gh.fail(EXCHANGE, delay=30, times=1)
    serve()
    until(lambda: bench.gh.count(EXCHANGE))
    bench.log_in()
    bench.gh.heal()
    until(bench.names, what="the models")


def test_every_interval(bench, serve):
    """A changed catalog is published with the next interval."""
    bench.log_in()
    serve(COPILOT_MODEL_SYNC_INTERVAL="1")
    until(bench.names)
    bench.gh.set_catalog([*bench.gh.catalog, model("new")])
    until(lambda: "github_copilot/new" in bench.names())
    first, second = bench.gh.requests_to(MODELS)[:2]
    assert second.time - first.time > 0.85


def test_not_on_startup(bench, serve):
    """SYNC_COPILOT_MODELS_ON_STARTUP=false waits for the first interval; the empty file is there at once."""
    bench.log_in()
    start = time.monotonic()
    service = serve(SYNC_COPILOT_MODELS_ON_STARTUP="false", COPILOT_MODEL_SYNC_INTERVAL="1")
    until(lambda: service.status.ready)
    assert bench.names() == []
    until(bench.names)
    assert bench.gh.requests[0].time - start >= 0.95


def test_never(bench, serve, caplog):
    """Neither at startup nor at intervals: that is logged, and the stop event still ends it."""
    bench.log_in()
    service = serve(SYNC_COPILOT_MODELS_ON_STARTUP="false", COPILOT_MODEL_SYNC_INTERVAL="0")
    until(lambda: "nothing will be synced" in caplog.text)
    service.end()
    assert bench.gh.requests == []


def test_once(bench, serve):
    """Interval 0 syncs at startup, and the service stays alive."""
    bench.log_in()
    service = serve(COPILOT_MODEL_SYNC_INTERVAL="0")
    until(lambda: syncs(service, "success") >= 1)
    assert service.status.alive() and service.thread.is_alive()


def test_same_failure_is_said_once(bench, serve, caplog, monkeypatch):
    """A failure that goes on is logged once, another one again, and a success ends it."""
    caplog.set_level(logging.INFO, "sidecar")
    monkeypatch.setattr(loop, "UNREACHABLE_WAIT", 0.01)
    monkeypatch.setattr("sidecar.http_client.MAX_ATTEMPTS", 1)
    monkeypatch.setattr(loop, "MIN_WAIT", 0.01)
    bench.log_in()
    bench.gh.down()
    service = serve()
    until(lambda: syncs(service, "Unreachable") >= 3)
    assert len([record for record in caplog.records if "no sync" in record.getMessage()]) == 1
    bench.gh.fail(EXCHANGE, status=500)
    bench.gh.up()
    until(lambda: "500" in caplog.text)
    bench.gh.heal()
    until(lambda: "models published" in caplog.text)
    assert len([record for record in caplog.records if "connection refused" in record.getMessage()]) == 1


def test_defect_does_not_end_the_service(bench, serve, monkeypatch):
    """Should a sync fail in a way that it never should, the service counts it and goes on."""
    monkeypatch.setattr(loop, "MIN_WAIT", 0.01)
    monkeypatch.setattr(loop, "run_once", lambda *_: 1 / 0)
    bench.log_in()
    service = serve()
    until(lambda: syncs(service, "defect") >= 2)
    monkeypatch.undo()
    until(bench.names)


def test_broken_volume_heals(bench, serve, monkeypatch):
    """A shared volume that cannot be written for a while is written when it can."""
    monkeypatch.setattr(loop, "MIN_WAIT", 0.05)
    bench.log_in()
    service = serve(COPILOT_MODEL_SYNC_INTERVAL="1")
    until(bench.names)
    away = bench.shared.rename(bench.shared.with_name("away"))
    until(lambda: "StorageError" in service.status.metrics())
    away.rename(bench.shared)
    bench.gh.set_catalog([model("new"), *bench.gh.catalog])
    until(lambda: "github_copilot/new" in bench.names())


def test_no_volume_at_the_start(bench, tmp_path):
    """Without the shared directory the service says so at once instead of running to no purpose."""
    with pytest.raises(StorageError, match="missing"):
        loop.run(bench.settings(COPILOT_MODELS_FILE=str(tmp_path / "missing" / "m.yaml")), threading.Event(), Status())
