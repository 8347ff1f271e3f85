"""The service: when it syncs, how it waits after a failure, and that it goes on whatever happens."""

from __future__ import annotations

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from sidecar.errors import (
    AccessRefused,
    BadAnswer,
    LoginNeeded,
    NoConnection,
    StorageError,
    Unreachable,
    UpstreamError,
)
from sidecar.litellm_hot_reload import pace
from sidecar.logs import configure
from sidecar.service import loop
from sidecar.service.trigger import Trigger
from sidecar.status.metrics import metrics
from sidecar.status.state import Status
from tests.fakes.catalog import model
from tests.support.github_paths import CREDIT, EXCHANGE, MODELS
from tests.support.waiting import until


def syncs(service, result):
    """How many syncs have ended with this result."""
    found = re.search(rf'result="{result}"}} (\d+)', metrics(service.status))
    return int(found[1]) if found else 0


@pytest.mark.parametrize(
    ("error", "failures", "interval", "seconds"),
    [
        (None, 0, 3600, 3600),
        (None, 0, 1, 1),
        (NoConnection("x"), 1, 3600, 2),
        (NoConnection("x"), 1000, 3600, 2),
        (Unreachable("x"), 1, 3600, 1),
        (Unreachable("x"), 4, 3600, 4.1),
        (Unreachable("x"), 1000, 3600, 900),
        (LoginNeeded("x"), 1, 3600, 10),
        (LoginNeeded("x"), 3, 3600, 40),
        (AccessRefused("x"), 1000, 60, 900),
        (BadAnswer("x"), 1, 3600, 1),
        (BadAnswer("x"), 10**6, 3600, 900),
        (StorageError("x"), 1, 3600, 1),
        (StorageError("x"), 1000, 3600, 30),
        (UpstreamError("x"), 100, 0, 900),
        (UpstreamError("x", retry_after=0), 1, 3600, 1),
    ],
)
def test_delay(error, failures, interval, seconds):
    """The wait fits the failure: short while nobody is there, growing while GitHub fails or says no."""
    delays = [loop.delay_after(error, failures, interval) for _ in range(300)]
    assert 0.89 * seconds <= min(delays) < seconds < max(delays) <= 1.11 * seconds


def test_interval_zero():
    """With interval 0 nothing follows a success; a failure is tried again all the same."""
    assert loop.delay_after(None, 0, 0) is None and loop.delay_after(NoConnection("x"), 1, 0) > 0


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
    until(lambda: syncs(service, "LoginNeeded"))
    assert bench.models_file.read_bytes() == before and service.status.ready


def test_token_is_noticed(bench, serve):
    """A login is noticed by itself, long before the next sync is due, and nothing is asked of GitHub before."""
    service = serve()
    until(lambda: syncs(service, "LoginNeeded"))
    assert bench.gh.requests == []
    bench.log_in()
    until(bench.names, what="the models")
    assert loop.POLL_INTERVAL <= 2


def test_a_token_that_only_another_user_can_read(bench, stop, anothers):
    """Where a new start makes it that user, the service ends for it; for any other unreadable token it does not."""
    bench.token_file.mkdir()
    status = Status()
    with ThreadPoolExecutor(1) as pool:
        try:
            service = pool.submit(loop.run, bench.settings(), stop, status, supervised=True)
            until(lambda: 'result="StorageError"} 2' in metrics(status), what="it tries again")
            bench.token_file.rmdir()
            bench.token_file.symlink_to(anothers)
            with pytest.raises(StorageError, match="the access token belongs to uid"):
                service.result(60)
        finally:
            stop.set()


def test_revoked_token_is_not_hammered(bench, serve):
    """A token that GitHub refuses is tried once; the next one is noticed by itself."""
    bench.gh.revoke(bench.log_in())
    service = serve()
    until(lambda: syncs(service, "LoginRefused"))
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


def test_a_new_login_may_be_asked_for_after_an_hour_s_requests(bench, serve, monkeypatch):
    """When failures have used up what an hour may cost, only a new token has GitHub asked again, and at once."""
    monkeypatch.setattr(loop, "SIDECAR_LIMIT", 2)
    bench.log_in()
    bench.gh.fail(EXCHANGE, status=500)
    serve()
    until(lambda: bench.gh.count(EXCHANGE) == 2)
    bench.gh.heal()
    quiet_until = time.monotonic() + 4
    until(lambda: time.monotonic() > quiet_until, 30)
    assert bench.gh.count(EXCHANGE) == 2
    bench.log_in()
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


def test_same_failure_is_said_once(bench, serve, capsys, monkeypatch):
    """A failure that goes on is logged once (a minute), and another one at once."""
    configure("INFO", as_json=True)
    monkeypatch.setattr(loop, "NO_CONNECTION_WAIT", 0.01)
    monkeypatch.setattr(pace, "FIRST_WAIT", 0.01)
    bench.log_in()
    bench.gh.down()
    service = serve()
    until(lambda: syncs(service, "NoConnection") >= 3)
    bench.gh.fail(EXCHANGE, status=500)
    bench.gh.up()
    until(lambda: syncs(service, "UpstreamError") >= 3)
    bench.gh.heal()
    until(lambda: syncs(service, "success"))
    service.end()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["error"] for line in lines if line["event"] == "sync.failed"] == ["NoConnection", "UpstreamError"]
    assert [line["event"] for line in lines][-2:] == ["sync.failed", "models.published"]


def test_defect_does_not_end_the_service(bench, serve, monkeypatch):
    """Should a sync fail in a way that it never should, the service counts it and goes on."""
    monkeypatch.setattr(pace, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(loop, "run_once", lambda *_: 1 / 0)
    bench.log_in()
    service = serve()
    until(lambda: syncs(service, "defect") >= 2)
    monkeypatch.undo()
    until(bench.names)


def test_broken_volume_heals(bench, serve, monkeypatch):
    """A shared volume that cannot be written for a while is written when it can."""
    monkeypatch.setattr(pace, "FIRST_WAIT", 0.05)
    bench.log_in()
    service = serve(COPILOT_MODEL_SYNC_INTERVAL="1")
    until(bench.names)
    away = bench.shared.rename(bench.shared.with_name("away"))
    until(lambda: syncs(service, "StorageError"))
    away.rename(bench.shared)
    bench.gh.set_catalog([model("new"), *bench.gh.catalog])
    until(lambda: "github_copilot/new" in bench.names())


def test_no_volume_at_the_start(bench, tmp_path):
    """Without the shared directory the service says so at once instead of running to no purpose."""
    with pytest.raises(StorageError, match="missing"):
        loop.run(bench.settings(COPILOT_MODELS_FILE=str(tmp_path / "missing" / "m.yaml")), threading.Event(), Status())


def test_the_credit_is_looked_at(bench, serve):
    """After each sync that succeeds, once an interval; the status has what was seen."""
    bench.log_in()
    service = serve(COPILOT_MODEL_SYNC_INTERVAL="1")
    until(lambda: service.status.view().credit)
    until(lambda: bench.gh.count(CREDIT) >= 3)
    service.end()
    first, second, *_ = bench.gh.requests_to(CREDIT)
    assert second.time - first.time >= 0.85 and bench.gh.count(CREDIT) <= bench.gh.count(MODELS)


def test_a_credit_that_hangs_holds_up_no_models(bench, serve):
    """The models are there before it is looked at."""
    bench.gh.fail(CREDIT, how="hang")
    bench.log_in()
    service = serve()
    until(lambda: bench.gh.count(CREDIT))
    assert len(bench.names()) == 2 and service.status.ready and service.status.alive()
    bench.gh.heal()


def test_a_look_at_the_credit_needs_room(bench):
    """After an hour of failures the look is what is left out."""
    service = loop._Loop(bench.settings(), threading.Event(), Status(), Trigger())
    bench.log_in()
    service.budget.spend(loop.elapsed(), loop.SIDECAR_LIMIT - loop.REQUESTS_A_SYNC)
    service._look()
    assert bench.gh.count(CREDIT) == 0 and service.status.view().credit is None
    short = loop._Loop(bench.settings(COPILOT_MODEL_SYNC_INTERVAL="60"), threading.Event(), Status(), Trigger())
    short.budget.spend(loop.elapsed(), loop.SIDECAR_LIMIT)
    short._look()
    assert bench.gh.count(CREDIT) == 1 and short.status.view().credit.login == "octocat"
    for _ in range(3):
        service = loop._Loop(bench.settings(), threading.Event(), Status(), Trigger())
        service._look()
    assert service.budget.left(loop.elapsed()) == loop.SIDECAR_LIMIT - 1
