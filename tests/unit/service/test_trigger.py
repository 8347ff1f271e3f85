"""A sync that is asked for: at once, at most one a minute, and no more than the hour allows."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from sidecar.litellm_hot_reload import pace
from sidecar.service import loop, trigger
from sidecar.service.trigger import PAUSE, Trigger
from sidecar.status.state import Status
from tests.fakes.catalog import model
from tests.support.github_paths import EXCHANGE, MODELS
from tests.support.waiting import until


class Service:
    """The loop in a thread of this process."""

    def __init__(self, settings):
        self.stop, self.status, self.trigger = threading.Event(), Status(), Trigger()
        self.thread = threading.Thread(target=loop.run, args=(settings, self.stop, self.status, self.trigger))
        self.thread.start()

    def end(self):
        self.stop.set()
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.fixture
def no_pause(monkeypatch):
    """One can ask again at once."""
    monkeypatch.setattr(trigger, "PAUSE", 0.0)
    monkeypatch.setattr(loop, "POLL_INTERVAL", 0.02)


def test_one_a_minute(monkeypatch):
    """Whoever asks again too early is told so, and delays nothing."""
    now = [100.0]
    monkeypatch.setattr(trigger, "elapsed", lambda: now[0])
    one = Trigger()
    assert not one.pulled and one.pull() and one.pulled
    one.pulled = False
    for now[0] in (100.0, 130.0, 100.0 + PAUSE - 0.1):
        assert not one.pull() and not one.pulled
    now[0] = 100.0 + PAUSE
    assert one.pull() and one.pulled


def test_of_many_threads_one_succeeds():
    """However many ask at the same moment."""
    one, barrier, got = Trigger(), threading.Barrier(8), []

    def pull():
        barrier.wait()
        got.append(one.pull())

    threads = [threading.Thread(target=pull) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 7 + [True]


def test_a_signal_within_a_signal(monkeypatch):
    """A signal that interrupts the handler of another one does not wait for it."""
    one, signals = Trigger(), []

    def interrupted():
        if not signals:
            signals.append(1)
            signal.raise_signal(signal.SIGUSR1)
        return 1000.0

    monkeypatch.setattr(trigger, "elapsed", interrupted)
    before = signal.signal(signal.SIGUSR1, lambda *_: one.pull())
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert one.pulled and signals


@pytest.mark.parametrize("interval", ["0", "3600"])
def test_any_wait_ends(bench, serve, no_pause, interval):
    """The one before the first sync, and the one after a sync, whatever the interval."""
    bench.log_in()
    service = serve(SYNC_COPILOT_MODELS_ON_STARTUP="false", COPILOT_MODEL_SYNC_INTERVAL=interval)
    until(lambda: service.status.ready)
    assert bench.gh.requests == [] and service.trigger.pull()
    until(bench.names)
    bench.gh.set_catalog([model("new"), *bench.gh.catalog])
    assert service.trigger.pull()
    until(lambda: "github_copilot/new" in bench.names())


def test_the_wait_after_a_failure_ends(bench, serve, no_pause):
    """Also the long one after a refusal."""
    bench.log_in()
    bench.gh.fail(EXCHANGE, status=401)
    service = serve()
    until(lambda: service.status.view().syncs.get("LoginRefused"))
    bench.gh.heal()
    began = time.monotonic()
    assert service.trigger.pull()
    until(bench.names)
    assert time.monotonic() - began < 0.9 * pace.FIRST_WAIT_REFUSED


def test_the_hour_is_not_exceeded(bench, serve, no_pause):
    """Whoever asks all the time gets as many syncs as an hour has requests, and no more."""
    bench.log_in()
    service = serve(COPILOT_QUOTA="false")
    until(lambda: service.trigger.pull() and bench.gh.count(MODELS) == loop.SIDECAR_LIMIT // loop.REQUESTS_A_SYNC)
    for _ in range(20):
        service.trigger.pull()
        time.sleep(2 * loop.POLL_INTERVAL)
    assert len(bench.gh.requests) == loop.SIDECAR_LIMIT


def test_what_github_asks_for_is_waited_out(bench, serve, no_pause):
    """Nobody can ask for a sync where GitHub has asked to wait; a new login still can."""
    bench.log_in()
    bench.gh.rate_limit(1, retry_after=3600)
    service = serve()
    until(lambda: service.status.view().syncs.get("RateLimited"))
    for _ in range(20):
        service.trigger.pull()
        time.sleep(2 * loop.POLL_INTERVAL)
    assert bench.gh.count(EXCHANGE) == 1
    bench.log_in()
    until(bench.names)
