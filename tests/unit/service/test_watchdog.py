"""A loop that is stuck ends the process, which its supervisor starts again; nothing else does."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from sidecar import http_client, user_command
from sidecar.config import file as config_file
from sidecar.config import held
from sidecar.locks import update_lock
from sidecar.service import loop, watchdog
from sidecar.service.watchdog import EXIT_CODE, Watchdog
from sidecar.status.state import Status
from tests.fakes.catalog import model
from tests.support.github_paths import EXCHANGE
from tests.support.paths import ROOT
from tests.support.waiting import until

HURRIED = """
import sys, threading
from pathlib import Path
from sidecar import cli
from sidecar.service import loop, watchdog
watchdog.TICK, watchdog.PATIENCE, watchdog._REPORT_TIMEOUT, loop.SYNC_TIMEOUT = 0.1, 5, 2.0, 0.5
{hang}
cli.entry()
"""
"""The service with a watchdog that is in a hurry."""
STUCK = "loop.run_once = lambda *_: threading.Event().wait()"
STUCK_ONCE = """
try:
    Path(sys.argv.pop()).unlink()
    loop.run_once = lambda *_: threading.Event().wait()
except FileNotFoundError:
    pass
"""


def command(hang=""):
    return [sys.executable, "-c", HURRIED.format(hang=hang), "run"]


@pytest.fixture
def start(bench):
    """Start a hurried service; whatever is left of it at the end is killed."""
    started = []

    def begin(words, **how):
        how = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **how}
        environ = {**bench.environ, "COPILOT_HEALTH_PORT": "0"}
        started.append(subprocess.Popen(words, cwd=ROOT, env=environ, start_new_session=True, **how))
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)


def test_ends_and_says_where_it_stood(bench, start):
    """A service whose sync never ends itself ends, without a health port too, and logs where each thread stood."""
    _, log = start(command(STUCK)).communicate(timeout=120)
    assert json.loads(log.splitlines()[-1])["level"] == "CRITICAL"
    threads = json.loads(log.splitlines()[-1])["threads"]
    assert any(" wait" in place for place in threads["work"]) and any("loop.py" in place for place in threads["work"])
    assert "MainThread" in threads


def test_is_started_again(bench, start, tmp_path):
    """Whoever supervises it starts it again, and it does its work."""
    bench.log_in()
    marker = tmp_path / "hang"
    marker.touch()
    supervisor = 'until "$@"; do echo "$?"; done'
    process = start(["sh", "-c", supervisor, "sh", *command(STUCK_ONCE), str(marker)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == f"{EXIT_CODE}\n".encode()
    until(bench.names, what="the models")


def test_a_log_that_nobody_reads(bench, start):
    """A service whose standard error is a full pipe is stuck at its first line, and ends all the same."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while os.write(writing, b"x" * 65536):
            pass
    except BlockingIOError:
        os.set_blocking(writing, True)
    process = start(command(), stderr=writing)
    assert process.wait(120) == EXIT_CODE
    os.close(reading)
    os.close(writing)


def test_stopped_and_continued(bench, start):
    """SIGSTOP in the middle of a sync, for longer than the loop may be silent, and SIGCONT: it goes on."""
    bench.log_in()
    bench.gh.fail(EXCHANGE, how="hang")
    process = start(command("watchdog.PATIENCE = 50"))
    until(lambda: bench.gh.count(EXCHANGE), what="the sync hangs")
    process.send_signal(signal.SIGSTOP)
    time.sleep(6.5)  # more than the loop's half second and the watchdog's five
    bench.gh.heal()
    process.send_signal(signal.SIGCONT)
    until(bench.names, what="the models")
    bench.gh.set_catalog([model("new")])
    assert process.poll() is None


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test turns."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

        time = monotonic

    clock = Clock()
    monkeypatch.setattr("sidecar.service.watchdog.time", clock)
    monkeypatch.setattr("sidecar.status.state.time", clock)
    return clock


def test_nothing_that_a_sync_may_wait_for_is_stuck():
    """The lock, both requests, a config that changes, its validation, a command and an address, all at their limits."""
    lock, command = inspect.signature(update_lock).parameters["timeout"].default, user_command.MAX_SECONDS
    request, attempts = http_client.TOTAL_TIMEOUT, http_client.MAX_ATTEMPTS
    address = attempts * request + (attempts - 1) * http_client.MAX_WAIT
    settling = config_file._MAX_ATTEMPTS * held.MAX_WAIT
    assert lock + 2 * request + settling + 2 * command + address < loop.SYNC_TIMEOUT


def ticks_until_stuck(dog, clock, seconds=watchdog.TICK, most=10 * watchdog.PATIENCE):
    for tick in range(1, most):
        clock.now += seconds
        if dog.is_stuck():
            return tick
    return None


def test_only_a_row_of_ticks_counts(clock):
    """The loop has to be overdue for all of the patience; a beat, or a tick that was late itself, begins it anew."""
    status = Status()
    status.beat(0)
    dog = Watchdog(status)
    assert ticks_until_stuck(dog, clock, most=watchdog.PATIENCE) is None
    status.beat(watchdog.TICK * 1.5)
    assert ticks_until_stuck(dog, clock) == watchdog.PATIENCE + 1
    clock.now += 100_000
    assert not dog.is_stuck()
    assert ticks_until_stuck(dog, clock) == watchdog.PATIENCE
    assert ticks_until_stuck(Watchdog(status), clock, seconds=watchdog.TICK * 3) is None
