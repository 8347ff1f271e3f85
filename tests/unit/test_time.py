"""Clocks that are wrong, or jump, and processes that were stopped: syncs and renewals go on as if nothing had been."""

from __future__ import annotations

import glob
import itertools
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.fakes.catalog import model
from tests.support.github_paths import EXCHANGE, MODELS
from tests.support.paths import ROOT
from tests.support.tools import missing
from tests.support.waiting import until

JUMPS = ["+365d", "-1d", "+0d"]


@pytest.fixture
def clock(tmp_path):
    """A function that sets the Unix time of programs with ``clock.environ``, also while they run."""
    libraries = sorted(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        missing("libfaketime is not installed: apt-get install faketime")
    file = tmp_path / "clock"

    def jump(by):
        file.with_name("clock.new").write_text(by)
        file.with_name("clock.new").replace(file)

    jump("+0d")
    jump.environ = {
        "LD_PRELOAD": libraries[0],
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return jump


def gaps(bench, since):
    """Seconds between the syncs that began after this time."""
    times = [request.time for request in bench.gh.requests_to(MODELS) if request.time >= since]
    return [after - before for before, after in itertools.pairwise(times)]


def test_the_clock_jumps(bench, clock):
    """A year ahead, a day back, and home again: the service syncs at its interval, neither in bursts nor too late."""
    bench.log_in()
    began = time.monotonic()
    service = bench.start("run", COPILOT_MODEL_SYNC_INTERVAL="1", **clock.environ).saw("models published")
    for number, jump in enumerate(JUMPS):
        clock(jump)
        bench.gh.set_catalog([*bench.gh.catalog, model(f"new-{number}")])
        until(lambda new=f"github_copilot/new-{number}": new in bench.names(), what=f"the model after {jump}")
        service.saw(f"github_copilot/new-{number}")  # before the clock jumps on
        assert bench.ask("/livez").status_code == 200
    years = {record["time"][:4] for record in service.records}
    assert len(years) == 2, "the clock did jump"
    assert min(gaps(bench, began)) > 0.8 and service.ends_at_once() == 0


def test_stopped_for_ten_intervals(bench):
    """After ten intervals of SIGSTOP there is one sync, and the next an interval later: nothing is made up for."""
    bench.log_in()
    service = bench.start("run", COPILOT_MODEL_SYNC_INTERVAL="1").saw("models published")
    service.popen.send_signal(signal.SIGSTOP)
    time.sleep(10)
    count, resumed = bench.gh.count(MODELS), time.monotonic()
    service.popen.send_signal(signal.SIGCONT)
    until(lambda: bench.gh.count(MODELS) >= count + 3, what="three syncs")
    assert bench.ask("/livez").status_code == 200
    assert min(gaps(bench, resumed)) > 0.8 and service.ends_at_once() == 0


KEEPER = """
import json, os, sys, time
from sidecar.litellm_hot_reload.keeper import Keeper

keeper = Keeper(os.environ)
for line in sys.stdin:
    for _ in range(5):
        keeper.turn()
    record = keeper.shared.read()
    print(json.dumps([time.time(), record.obtained_at, record.renew_at, record.expires_at]), flush=True)
"""


def test_the_hook_renews(bench, clock):
    """A jump of the clock makes the token's times those of another clock: one renewal each, and the times are right."""
    bench.log_in()
    environ = bench.environ | clock.environ | {"GITHUB_COPILOT_API_KEY_FILE": str(bench.shared / "api-key.json")}
    words = [sys.executable, "-W", "ignore", "-c", KEEPER]
    with subprocess.Popen(
        words, cwd=ROOT, env=environ, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as keeper:
        for number, jump in enumerate(["+0d", "+365d", "-1d"], start=1):
            clock(jump)
            keeper.stdin.write("turn\n")
            keeper.stdin.flush()
            now, obtained, renew, expires = json.loads(keeper.stdout.readline())
            assert abs(now - time.time() - int(jump[:-1]) * 86400) < 300
            assert now - 60 < obtained <= now < renew < expires <= now + 1801
            assert bench.gh.count(EXCHANGE) == number
        keeper.stdin.close()
    assert os.path.exists(bench.shared / "api-key.json")
