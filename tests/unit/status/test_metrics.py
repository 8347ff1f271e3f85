"""The metrics: what is counted and timed, as a parser for Prometheus' text format reads it."""

from __future__ import annotations

import re
import threading
import time

import pytest

from sidecar import http_client
from sidecar.errors import LoginNeeded, SidecarError, Unreachable
from sidecar.models.catalog import Omitted
from sidecar.models.credit import Credit, Quota
from sidecar.models.history import KINDS, Event
from sidecar.status.figures import Histogram, sample
from sidecar.status.metrics import METRICS, metrics
from sidecar.status.state import Status
from tests.fakes.github import GitHub

from .test_workers import NEW, OLD, report

LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\n"])*",?)+)\})? (-?\d+(?:\.\d+)?)')
SUFFIXES = ("_bucket", "_sum", "_count")


def parse(text):
    """Prometheus text as {(name, labels): value}; help and type stand before each metric, and no line comes twice."""
    values, known = {}, {}
    for line in text.splitlines():
        if line.startswith("# "):
            kind, name, rest = line[2:].split(" ", 2)
            assert rest and kind in {"HELP", "TYPE"}
            known.setdefault(name, []).append(kind if kind == "HELP" else rest)
            continue
        name, labels, value = LINE.fullmatch(line).groups()
        base = next((name.removesuffix(end) for end in SUFFIXES if name.removesuffix(end) in known), name)
        assert known[base][0] == "HELP" and known[base][1] in {"counter", "gauge", "histogram"}
        assert (name, labels) not in values
        values[name, labels] = float(value)
    assert text.endswith("\n") and set(known) == set(METRICS)
    return values


def test_before_anything_has_happened():
    """Each metric is there from the start, so that a query over it finds something."""
    values = parse(metrics(Status()))
    assert values["copilot_sync_total", 'result="success"'] == 0
    assert values["copilot_sync_last_success_timestamp_seconds", None] == 0
    assert values["copilot_sync_models", 'state="served"'] == values["copilot_sync_duration_seconds_count", None] == 0
    assert {value for (name, _), value in values.items() if name == "copilot_sync_build_info"} == {1}


def test_syncs_and_models():
    """Syncs are counted by result and timed, models by state, and the last success and change have a time."""
    status = Status()
    omitted = [Omitted("x", "why")]
    status.succeeded(0.3, changed=True, rows=[{"id": "a"}, {"id": "b"}], omitted=omitted, absent=("b",), token_end=5.5)
    changed_at = status.view().last_change
    status.succeeded(0.3, changed=False, rows=[{"id": "a"}, {"id": "b"}])
    status.failed(Unreachable("no answer"), 31)
    status.failed(SidecarError("KeyError"), 1000)
    added, price, removed = (Event("2026-11-26T03:17:22Z", kind, "m") for kind in ("added", "price", "removed"))
    status.changed([added, price, price])
    status.changed([removed], counted=False)
    values = parse(metrics(status))
    total = {labels: value for (name, labels), value in values.items() if name == "copilot_sync_total"}
    assert {labels: value for labels, value in total.items() if value} == {
        'result="success"': 2, 'result="Unreachable"': 1, 'result="defect"': 1,
    }  # fmt: skip
    assert total['result="LoginRefused"'] == 0
    models = {labels: value for (name, labels), value in values.items() if name == "copilot_sync_models"}
    assert models == {'state="served"': 2, 'state="absent"': 1, 'state="omitted"': 1}
    changes = {labels: value for (name, labels), value in values.items() if name == "copilot_sync_changes_total"}
    assert changes == {**{f'kind="{kind}"': 0 for kind in KINDS}, 'kind="added"': 1, 'kind="price"': 2}
    assert values["copilot_sync_duration_seconds_count", None] == 4
    assert values["copilot_sync_duration_seconds_bucket", 'le="0.5"'] == 2
    assert values["copilot_sync_duration_seconds_bucket", 'le="60"'] == 3
    assert values["copilot_sync_duration_seconds_bucket", 'le="+Inf"'] == 4
    assert abs(values["copilot_sync_last_success_timestamp_seconds", None] - time.time()) < 600
    assert values["copilot_sync_last_change_timestamp_seconds", None] == pytest.approx(changed_at, abs=1e-5)
    assert values["copilot_sync_token_expiry_timestamp_seconds", None] == 5.5


def test_workers_credit_and_spend():
    """What the workers report, what is left of the credit, and what was spent; the labels are those of their helps."""
    status = Status()
    status.workers.published(OLD, 100.0, ["gpt-4o"])
    status.receive(report(digest=OLD))
    status.workers.published(NEW, status.view().now - 100, ["gpt-4o"])
    status.workers.receive(report(digest=OLD), status.view().now - 50)
    status.receive(report(digest=OLD, spend={"gpt-4o": [2.0, 3.0], "invented": [1.0, 0.0]}))
    quotas = (Quota("premium_interactions", 0.25, 300, 75), Quota("chat", unlimited=True))
    status.note(credit=Credit("octocat", quotas=quotas))
    values = parse(metrics(status))
    assert values["copilot_sync_worker_in_step", 'worker="1"'] == 0
    assert values["copilot_sync_publish_to_serve_seconds_count", None] == 0
    status.receive(report(digest=NEW))
    values |= parse(metrics(status))
    assert values["copilot_sync_worker_in_step", 'worker="1"'] == 1
    assert values["copilot_sync_publish_to_serve_seconds_bucket", 'le="+Inf"'] == 1
    ratios = {labels: value for (name, labels), value in values.items() if name == "copilot_sync_quota_remaining_ratio"}
    assert ratios == {'quota="premium_interactions"': 0.25}
    spent = {labels: value for (name, labels), value in values.items() if name == "copilot_sync_spend_usd_total"}
    assert spent == {
        'model="gpt-4o",source="billed"': 2, 'model="gpt-4o",source="computed"': 3, 'model="other",source="billed"': 1,
    }  # fmt: skip


def test_counting_from_threads():
    """Counts from several threads add up."""
    status = Status()

    def work():
        for _ in range(500):
            status.failed(LoginNeeded("none"))
            status.succeeded(1, changed=True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = parse(metrics(status))
    assert values["copilot_sync_total", 'result="LoginNeeded"'] == 2000
    assert values["copilot_sync_total", 'result="success"'] == 2000


def test_a_label_is_escaped():
    """Nothing in a label can end it, or its line."""
    assert sample("m", 1, {"a": 'x"} 5\n# \\'}) == 'm{a="x\\"} 5\\n# \\\\"} 1'


def test_a_histogram_counts_its_bounds_in():
    """A bound counts what is equal to it, as Prometheus has it."""
    histogram = Histogram((1, 2))
    for seconds in (0, 1, 1.5, 2, 2.5):
        histogram.observe(seconds)
    assert histogram.samples("h") == [
        'h_bucket{le="1"} 2', 'h_bucket{le="2"} 4', 'h_bucket{le="+Inf"} 5', "h_sum 7.000000", "h_count 5",
    ]  # fmt: skip


def test_requests_are_counted_by_host_and_status(monkeypatch):
    """Also those without an answer; beyond twenty hosts they share a label."""
    monkeypatch.setattr(http_client, "_sent", http_client.Counter())
    with GitHub() as gh:
        gh.fail("/models", status=502)
        http_client.send("GET", f"{gh.url}/models", headers={})
        gh.fail("/models", how="reset")
        with pytest.raises(Unreachable):
            http_client.send("GET", f"{gh.url}/models", headers={})
        with pytest.raises(Unreachable):
            http_client.send("GET", "http://127.0.0.1:1/", headers={})
    values = parse(metrics(Status()))
    sent = {labels: value for (name, labels), value in values.items() if name == "copilot_sync_http_requests_total"}
    assert sent == {'host="127.0.0.1",code="502"': 1, 'host="127.0.0.1",code="none"': 1}
    for number in range(40):
        http_client._count(f"h{number}", "200")
    assert len({host for host, _ in http_client.sent()}) == 21 and http_client.sent()["other", "200"] == 21
