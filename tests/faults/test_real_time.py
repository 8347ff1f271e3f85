"""A random hundred of the faults in real time, side by side: nothing is turned, patched or shortened."""

from __future__ import annotations

import dataclasses
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from sidecar.litellm_hot_reload.keeper import Keeper
from sidecar.service import loop
from sidecar.service.sync import run_once
from sidecar.status.metrics import metrics
from sidecar.status.state import Status
from tests.fakes.github import GitHub
from tests.support.bench import Bench
from tests.support.waiting import until

from . import answers, places, wire
from .conftest import CATALOG, surroundings
from .stage import snapshot

HOW_MANY = 100
WELL_AGAIN = 200.0
"""Seconds that a busy machine is given for a hundred of them; test_matrix.py holds how soon it is by the clock."""
FAULTS = [
    fault
    for fault in (*wire.faults(), *answers.faults(), *places.faults())
    if not (fault.waits or fault.changes or fault.patches)
    # With these a service does not start: it says why, and its supervisor starts it again.
    and not (fault.group == "models file" and fault.exit)
]


class Place(Bench):
    """What a fault needs to be put on."""

    def __init__(self, gh, directory, environ):
        super().__init__(gh, directory)
        self.directory, self.clock = directory, time
        self.environ |= environ
        self.token = self.log_in()


def problem(fault, directory):
    """Put the fault on for some seconds while service and hook are due; None, or what is wrong."""
    directory.mkdir()
    with GitHub(CATALOG) as gh:
        place = Place(gh, directory, surroundings(gh, fault))
        stop, status, keeper = threading.Event(), Status(), Keeper(place.environ)
        run_once(place.settings(), stop)
        until(lambda: keeper.turn() or keeper.current(), what="the first token")
        record = keeper.shared.read()
        keeper.shared.write(dataclasses.replace(record, renew_at=time.time()))
        before, asked = snapshot(place), len(gh.requests)

        def hook():
            while not stop.wait(1):
                keeper.turn()

        mend = fault.on(place)
        threads = [
            threading.Thread(target=loop.run, args=(place.settings(), stop, status), daemon=True),
            threading.Thread(target=hook, daemon=True),
        ]
        try:
            for thread in threads:
                thread.start()
            time.sleep(random.uniform(3, 10))
            during = len(gh.requests) - asked
            alive = status.alive()
        finally:
            mend()
        try:
            until(lambda: 'result="success"} 0' not in metrics(status), WELL_AGAIN, "a sync")
            if fault.side == "both":
                until(lambda: keeper.shared.read().token != record.token, WELL_AGAIN, "a new token")
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        after = {name: data for name, data in snapshot(place).items() if name in before}
        assert alive, "liveness failed"
        assert during <= 20, f"{during} requests"
        assert after == before, "what was published has changed"


@pytest.mark.long
def test_a_random_hundred(tmp_path):
    """Last good stays, few requests are made, and service and hook are well again afterwards."""
    seed = os.environ.get("COPILOT_TEST_SEED") or str(random.randrange(10**6))
    chosen = random.Random(seed).sample(FAULTS, HOW_MANY)

    def one(number, fault):
        try:
            problem(fault, tmp_path / str(number))
        except Exception as error:
            return f"{fault.title}: {type(error).__name__}: {error}"

    with ThreadPoolExecutor(HOW_MANY) as pool:
        wrong = [said for said in pool.map(one, range(HOW_MANY), chosen) if said]
    assert not wrong, f"COPILOT_TEST_SEED={seed}: " + "\n  ".join(wrong)
