"""The credit is looked at once an interval; a failure changes nothing; what runs out is told once."""

from __future__ import annotations

import json
import logging
import threading
from datetime import date

import pytest

from sidecar.errors import Stopped
from sidecar.litellm_hot_reload.pace import HOUR
from sidecar.service import credit
from sidecar.service.credit import CreditWatch, read_credit
from tests.support.github_paths import CREDIT
from tests.support.http_server import HttpServer

NOW = date(2026, 11, 26)


class Watch:
    """A watch whose clock the test turns."""

    def __init__(self, bench, monkeypatch, **changes):
        self.bench, self.now, self.stop = bench, 0.0, threading.Event()
        monkeypatch.setattr(credit, "elapsed", lambda: self.now)
        monkeypatch.setattr(credit, "_today", lambda: self.today)
        self.today, self.changes = NOW, changes
        self.start()

    def start(self):
        """As after a restart."""
        self.watch = CreditWatch(self.bench.settings(**self.changes))

    def later(self, seconds=HOUR, **how):
        """The next look."""
        self.now += seconds
        return self.watch.look(self.stop, **how)

    def left(self, number, **fields):
        """What is left of 1500 from now on."""
        snapshot = {"entitlement": 1500, "quota_remaining": number, "unlimited": False}
        self.bench.gh.user_fields = {
            "quota_reset_date": "2026-12-01",
            "quota_reset_date_utc": None,
            "quota_snapshots": {"premium_interactions": snapshot},
            **fields,
        }


@pytest.fixture
def watch(bench, monkeypatch):
    """A watch with an on-change address, which answers with ``watch.status``."""
    bench.log_in()
    with HttpServer(lambda _: (watch.status, {}, None)) as address:
        watch = Watch(bench, monkeypatch, COPILOT_ON_CHANGE_URL=address.url)
        watch.status, watch.address = 200, address
        yield watch


def told(watch):
    """The levels of the notices that the on-change address has got."""
    return [json.loads(request.body)["level"] for request in watch.address.requests]


def lines(caplog, text):
    return [record.getMessage() for record in caplog.records if text in record.getMessage()]


def test_once_an_interval(watch):
    """However often it is looked at; and only where there is room for it."""
    seen = watch.later()
    assert seen.login == "octocat" and seen.quotas[0].left == 1230.5
    assert [watch.later(600) for _ in range(5)] == [seen] * 5 and watch.bench.gh.count(
        CREDIT
    ) == watch.watch.requests == 1
    assert watch.later(600, room=False) == seen and watch.bench.gh.count(CREDIT) == 1
    assert watch.later(1) == seen and watch.bench.gh.count(CREDIT) == watch.watch.requests == 2


def test_off(bench, monkeypatch):
    """With COPILOT_QUOTA=false nobody asks."""
    bench.log_in()
    watch = Watch(bench, monkeypatch, COPILOT_QUOTA="false")
    assert watch.later() is None and read_credit(bench.settings(COPILOT_QUOTA="false")) is None
    assert bench.gh.requests == []


@pytest.mark.parametrize(
    "fault", [{"status": 403}, {"status": 401}, {"how": "garbage"}, {"how": "reset"}, {"body": "[" * 60_000}]
)
def test_a_failure_changes_nothing(watch, caplog, fault):
    """What was seen last stays, and each state is logged once."""
    caplog.set_level(logging.INFO, "sidecar")
    seen = watch.later()
    watch.bench.gh.fail(CREDIT, **fault)
    assert [watch.later() for _ in range(3)] == [seen] * 3
    assert len(lines(caplog, "credit unknown")) == 1
    watch.bench.gh.heal()
    watch.later()
    watch.bench.gh.fail(CREDIT, **fault)
    assert watch.later() == seen and len(lines(caplog, "credit unknown")) == 2
    assert watch.bench.gh.count(CREDIT) == watch.watch.requests == 6


def test_a_bug_changes_nothing(watch, caplog, monkeypatch):
    """Not even a bug of ours costs more than the look."""
    caplog.set_level(logging.INFO, "sidecar")
    seen = watch.later()
    monkeypatch.setattr(credit, "parse_credit", lambda _: 1 / 0)
    assert [watch.later() for _ in range(3)] == [seen] * 3 and len(lines(caplog, "ZeroDivisionError")) == 1


def test_nobody_there_costs_no_request(watch):
    """What was not sent does not count."""
    watch.bench.gh.down()
    assert watch.later() is None and watch.watch.requests == 0
    watch.bench.token_file.unlink()
    assert watch.later() is None and watch.watch.requests == 0


def test_another_login_or_period_hides_what_was_seen(watch):
    """What is known of another account, or of a month that is over, is not shown."""
    watch.left(300)
    assert watch.later()
    watch.bench.gh.fail(CREDIT, status=500)
    watch.today = date(2026, 12, 1)
    assert watch.later()
    watch.today = date(2026, 12, 2)
    assert watch.later() is None
    watch.bench.gh.heal()
    watch.left(300, quota_reset_date="2027-01-01")
    watch.bench.log_in(login="hubot")
    assert watch.later(1).login == "hubot"
    watch.bench.gh.fail(CREDIT, status=500)
    watch.bench.log_in()
    assert watch.later(1) is None


def test_what_github_asks_for_is_waited_out(bench, monkeypatch):
    """A rate limit that is longer than the interval is obeyed."""
    bench.log_in()
    watch = Watch(bench, monkeypatch, COPILOT_MODEL_SYNC_INTERVAL="60")
    bench.gh.fail(CREDIT, status=429, headers={"Retry-After": "1800"}, times=1)
    assert [watch.later(60) for _ in range(30)] == [None] * 30 and bench.gh.count(CREDIT) == 1
    assert watch.later(60).login == "octocat"


def test_notices(watch, caplog):
    """80, 95 and 100 % go to the log and to the address, once each, whatever restarts."""
    for left in (400, 300, 290, 75, 0, -20):
        watch.left(left)
        watch.later()
        watch.start()
        watch.later()
    assert told(watch) == [80, 95, 100] and len(lines(caplog, "of Copilot's credit is used")) == 3
    record = next(record for record in caplog.records if "95 %" in record.getMessage())
    assert (record.levelname, record.quota, record.left) == ("WARNING", "premium_interactions", 75)
    watch.today = date(2026, 12, 2)
    watch.later()
    assert told(watch) == [80, 95, 100, 100]


def test_a_notice_that_cannot_be_sent_is_sent_later(watch, caplog):
    """It is logged once, and sent with the next look, or after a restart."""
    watch.status = 404
    watch.left(75)
    watch.later()
    watch.later()
    watch.start()
    watch.later()
    assert len(lines(caplog, "95 %")) == 2
    watch.status = 200
    watch.address.requests.clear()
    watch.later()
    watch.later()
    watch.start()
    watch.later()
    assert told(watch) == [95] and len(lines(caplog, "95 %")) == 2


def test_a_full_volume_and_a_damaged_record(watch, monkeypatch):
    """Nobody is told twice by one service, whatever becomes of the record."""
    watch.bench.shared.joinpath(".copilot_models.yaml.credit.json").mkdir()
    watch.left(75)
    watch.later()
    watch.later()
    assert told(watch) == [95]


def test_a_stop_goes_through(watch, monkeypatch):
    """A signal while a notice is being sent ends that, and is no failure."""

    def stopped(*_):
        raise Stopped("interrupted between attempts")

    monkeypatch.setattr(credit, "notify_notice", stopped)
    watch.left(0)
    with pytest.raises(Stopped):
        watch.later()


def test_the_command_shows_it(bench):
    """One line below the table, a key in the JSON; without it neither, and the command succeeds all the same."""
    bench.log_in()
    line = bench.run("models").stdout.splitlines()[-1]
    assert line.startswith(
        "credit: premium_interactions 1230.5 of 1500 left (17.97 % used), chat unlimited, completions"
    )
    shown = json.loads(bench.run("models", "--json").stdout)["credit"]
    assert (shown["login"], shown["quotas"][0]["left"]) == ("octocat", 1230.5)
    bench.gh.fail(CREDIT, status=403)
    without = bench.run("models")
    assert without.code == 0 and "credit: " not in without.stdout and "credit unknown" in without.stderr
    silent = bench.run("models", "--json", COPILOT_QUOTA="false")
    assert silent.code == 0 and "credit" not in json.loads(silent.stdout) and silent.stderr == ""
    assert not list(bench.shared.iterdir())
