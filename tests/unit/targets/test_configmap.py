"""A ConfigMap as target, against a stand-in API server that does what a real one cannot be made to do.

What a real one does by itself (RBAC, conflicts, its size limit, rotated tokens) is tested with it in tests/k8s.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import os
import threading
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import certifi
import pytest

from sidecar import cli
from sidecar.errors import BadAnswer, Conflict, Forbidden, Stopped, StorageError, Unreachable, UpstreamError, UsageError
from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX
from sidecar.litellm_proxy.hook_package import PACKAGE
from sidecar.models.absences import load_absences
from sidecar.models.changes import Change
from sidecar.models.entries import models_file_bytes
from sidecar.models.history import load_events
from sidecar.service.sync import run_once
from sidecar.settings import Settings
from sidecar.targets import configmap
from sidecar.targets.base import Built
from sidecar.targets.configmap import ABSENCES_KEY, HISTORY_KEY, KEY, MAX_BYTES, ConfigMapTarget
from sidecar.targets.models_file import entries_in
from tests.fakes.catalog import model
from tests.support.entries import managed_entry
from tests.support.http_server import HttpServer
from tests.support.tls import make_certificate, server_context
from tests.support.waiting import Quick

TOKEN = "sa-token-one"


def always(*names: str, remembered: bytes = b"memory\n"):
    return lambda stored: Built([managed_entry(name) for name in names], remembered)


class ApiServer(HttpServer):
    """One ConfigMap over TLS. ``faults`` are answered first, in order: ``(status, headers)`` or a word."""

    def __init__(self, directory):
        self.object = {"metadata": {"name": "copilot-models", "namespace": "llm", "resourceVersion": "1"}}
        self.tokens, self.faults = {TOKEN}, []
        self.before_patch = lambda: None
        super().__init__(self.answer, server_context(directory))

    def answer(self, request):
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, tuple):
            return fault[0], fault[1], {"kind": "Status"}
        if fault == "close":
            return None
        status, found = self.handle(request)
        if fault == "lost":
            return None
        return status, {}, ["no", "ConfigMap"] if fault == "garbage" else found

    def handle(self, request):
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return 401, {}
        if not request.path.startswith("/api/v1/namespaces/llm/configmaps/copilot-models"):
            return 404, {}
        if request.method == "GET":
            return 200, copy.deepcopy(self.object)
        assert request.method == "PATCH"
        assert request.headers["content-type"] == "application/merge-patch+json"
        self.before_patch()
        patch = json.loads(request.body)
        if patch["metadata"].pop("resourceVersion") != self.object["metadata"]["resourceVersion"]:
            return 409, {}
        self.write(**{key: value for key, value in patch.items() if key != "metadata"})
        return 200, self.object

    def write(self, **maps):
        for name, values in maps.items():
            merged = {**self.object.get(name, {}), **values}
            self.object[name] = {key: value for key, value in merged.items() if value is not None}
        self.object["metadata"]["resourceVersion"] += "1"

    def count(self, method):
        return sum(request.method == method for request in self.requests)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def api(certificate):
    with ApiServer(certificate) as api:
        yield api


@pytest.fixture
def account(certificate, tmp_path):
    directory = tmp_path / "account"
    directory.mkdir()
    (directory / "token").write_text(TOKEN + "\n")
    (directory / "namespace").write_text("llm")
    (directory / "ca.crt").write_bytes((certificate / "ca.crt").read_bytes())
    return directory


@pytest.fixture
def target(api, account):
    return ConfigMapTarget("copilot-models", "127.0.0.1", api.port, account)


def test_first_write_then_nothing_while_nothing_changes(api, target, stop):
    """The first sync writes models and memory; the next one reads, finds nothing changed, and does not write."""
    change = target.update(always("b", "a"), stop).change
    assert change == Change(added=("github_copilot/b", "github_copilot/a"))
    assert entries_in(api.object["data"][KEY].encode()).keys() == {MANAGED_PREFIX + "a", MANAGED_PREFIX + "b"}
    assert configmap._unpack(api.object["binaryData"][ABSENCES_KEY]) == b"memory\n"
    assert target.update(always("b", "a"), stop).change is None
    assert (api.count("GET"), api.count("PATCH")) == (2, 1)
    assert [request.path.partition("?")[2] for request in api.requests if request.method == "PATCH"] == [
        "fieldManager=copilot-model-sync"
    ]


def test_the_token_goes_out_only_as_a_header(api, target, stop):
    """The service account's token is sent as a header, and is in no address and no body."""
    target.update(always("a"), stop)
    assert len(api.requests) == 2
    for request in api.requests:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert TOKEN not in request.path
        assert TOKEN.encode() not in request.body


def test_only_the_memory_is_sent_when_only_it_changed(api, target, stop):
    """A change of the memory alone is no change of the models, and does not send them."""
    target.update(always("a"), stop)
    assert target.update(always("a", remembered=b"other\n"), stop).change is None
    assert "data" not in json.loads(api.requests[-1].body)
    assert configmap._unpack(api.object["binaryData"][ABSENCES_KEY]) == b"other\n"


def test_other_keys_and_writers_stay(api, target, stop):
    """Keys that are not ours stay in the object."""
    api.write(data={"mine": "stays"}, binaryData={"too": "AAAA"})
    target.update(always("a"), stop)
    assert api.object["data"]["mine"] == "stays"
    assert api.object["binaryData"]["too"] == "AAAA"


def test_a_conflict_starts_again_from_what_the_other_wrote(api, target, stop):
    """When somebody else wrote first, the sync starts again from their memory."""
    seen = []

    def other():
        api.before_patch = lambda: None
        api.write(binaryData={ABSENCES_KEY: base64.b64encode(configmap.gzip.compress(b"theirs\n")).decode()})

    def make(stored):
        seen.append(stored)
        return Built([managed_entry("a")], (stored or b"") + b"mine\n")

    api.before_patch = other
    target.update(make, stop)
    assert seen == [None, b"theirs\n"]
    assert configmap._unpack(api.object["binaryData"][ABSENCES_KEY]) == b"theirs\nmine\n"


def test_a_patch_whose_answer_was_lost_is_not_done_twice(api, target, stop):
    """A patch that arrived without its answer is recognised, and not counted a second time."""
    made = []

    def make(stored):
        made.append(stored)
        return Built([managed_entry("a")], b"%d\n" % (int(stored or b"0") + 1))

    api.faults = [None, "lost"]
    assert target.update(make, stop).change == Change(added=("github_copilot/a",))
    assert made == [None]
    assert configmap._unpack(api.object["binaryData"][ABSENCES_KEY]) == b"1\n"


@pytest.mark.parametrize(
    "faults", [[(500, {})], [(503, {})], ["close"], ["garbage"], [None, (504, {})], [None, "close"]]
)
def test_what_may_pass_is_tried_again(api, target, faults):
    """A server that fails, hangs up or answers nonsense once is tried again."""
    api.faults = faults
    assert target.update(always("a"), Quick()).change
    assert KEY in api.object["data"]


def test_a_server_that_has_just_come_back_may_refuse_for_a_moment(api, target):
    """Seen with a real one: 403 until it has read the roles. Without an outage before it, 403 is final."""
    api.faults = ["close", (403, {}), (403, {})]
    assert target.update(always("a"), Quick()).change


def test_429_waits_as_long_as_it_is_asked_to(api, target):
    """An overloaded server is left alone for as long as it asks, before a read and before a patch."""
    api.faults = [(429, {"Retry-After": "7"}), None, (429, {"Retry-After": "9"})]
    stop = Quick()
    assert target.update(always("a"), stop).change
    assert [int(wait) for wait in stop.waits] in ([7, 9], [7, 10]), "a tenth of jitter at most, and never less"
    assert (api.count("GET"), api.count("PATCH")) == (3, 2)


def test_429_for_a_long_time_is_left_to_the_next_run(api, target, stop):
    """A server that asks for an hour of rest is not waited for in this run."""
    api.faults = [(429, {"Retry-After": "3600"})]
    with pytest.raises(BadAnswer, match="overloaded") as caught:
        target.update(always("a"), stop)
    assert caught.value.retry_after == 3600
    assert len(api.requests) == 1


@pytest.fixture
def turned(monkeypatch):
    """A stop event whose waits pass at once and are seconds on the clock that the retries go by."""

    class Turned(Quick):
        def wait(self, timeout=None):
            self.now = getattr(self, "now", 0.0) + timeout
            return super().wait(timeout)

    stop, real = Turned(), time.monotonic
    clock = SimpleNamespace(monotonic=lambda: real() + getattr(stop, "now", 0.0))
    monkeypatch.setattr("tenacity.time", clock)
    return stop


STORMS = {
    "500": ((500, {}), BadAnswer),
    "503 at once again": ((503, {"Retry-After": "0"}), BadAnswer),
    "429": ((429, {}), BadAnswer),
    "429 at once again": ((429, {"Retry-After": "0"}), BadAnswer),
    "401": ((401, {}), BadAnswer),
    "409": ((409, {}), Conflict),
    "cut": ("close", Unreachable),
}


@pytest.mark.parametrize("of", ["reads", "patches"])
@pytest.mark.parametrize(("fault", "error"), STORMS.values(), ids=STORMS)
def test_a_storm_costs_a_handful_of_requests(api, target, turned, fault, error, of):
    """An API server that fails for good is asked at most nine times in the minute, and the last good stays."""
    # Whether it fails at reads or at patches, and even if it wants to be asked again at once.
    api.write(data={KEY: "last good"})
    api.faults = ([fault] if of == "reads" else [None, fault]) * 99
    with pytest.raises(error) as caught:
        target.update(always("a"), turned)
    assert caught.value.exit_code == 4
    attempts = len(turned.waits) + 1
    assert attempts <= 9 and sum(turned.waits) < configmap.RETRY_DEADLINE
    assert (api.count("GET"), api.count("PATCH")) == (attempts, attempts if of == "patches" else 0)
    assert api.object["data"] == {KEY: "last good"}


def test_a_slow_server_costs_as_few(api, target, turned, monkeypatch):
    """An API server that takes its time for every answer is cut off each time, and given up like one that fails."""
    monkeypatch.setattr("sidecar.http_client.TOTAL_TIMEOUT", 0.05)
    over = threading.Event()
    api.respond = lambda request: over.wait() and None
    with pytest.raises(Unreachable, match="took longer"):
        target.update(always("a"), turned)
    over.set()
    assert len(turned.waits) + 1 <= 9


def test_rights_taken_away_and_given_back(api, target):
    """Without the right to read or to write a job ends at once; the next one that may finds all as it was."""
    target.update(always("a"), Quick())
    before = copy.deepcopy(api.object)
    for faults in ([(403, {})], [None, (403, {})]):
        api.faults = list(faults)
        with pytest.raises(Forbidden) as caught:
            target.update(always("a", "b"), Quick())
        assert (caught.value.exit_code, api.object, api.faults) == (5, before, [])
    assert target.update(always("a", "b"), Quick()).change == Change(added=("github_copilot/b",))


def test_a_signal_ends_the_wait(api, target, stop):
    """A signal ends the wait between two tries."""
    api.faults = [(429, {"Retry-After": "25"})]
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        target.update(always("a"), stop)
    assert time.monotonic() - began < 25, "the wait went on to its end"


@pytest.mark.parametrize(
    ("status", "words"), [(403, "may not get"), (404, "does not exist"), (422, "refused to get"), (302, "redirect")]
)
def test_a_refusal_is_not_tried_again(api, target, stop, status, words):
    """A refusal is final: one request, what is refused, and a hint."""
    api.faults = [(status, {"Location": "https://elsewhere.example/"})]
    with pytest.raises(StorageError, match=words) as caught:
        target.update(always("a"), stop)
    assert caught.value.hint
    assert len(api.requests) == 1


def test_a_rotated_token_is_read_again(api, target, stop, account):
    """A token that expires while a sync runs is read again from its file."""
    target.update(always("a"), stop)
    api.tokens = {"sa-token-two"}
    threading.Timer(0.4, lambda: (account / "token").write_text("sa-token-two")).start()
    assert target.update(always("a", "b"), stop).change
    assert any(request.headers["authorization"] == "Bearer sa-token-two" for request in api.requests)


def test_a_certificate_that_is_not_the_clusters_gets_no_token(api, account, stop, monkeypatch, tmp_path):
    """A server whose certificate the cluster's authority did not sign is sent nothing."""
    monkeypatch.setattr(configmap, "RETRY_DEADLINE", 0.2)
    (account / "ca.crt").write_text(Path(certifi.where()).read_text())
    with pytest.raises(Unreachable):
        ConfigMapTarget("copilot-models", "127.0.0.1", api.port, account).update(always("a"), stop)
    assert api.requests == []


def history(api):
    return load_events(configmap._unpack(api.object["binaryData"][HISTORY_KEY]))


def test_the_history_is_in_the_object(cluster, api, stop):
    """What has changed is in the object, with the same patch, and nothing is sent where nothing has changed."""
    assert [event.model for event in run_once(cluster.settings(), stop).events] == ["gpt-4o", "gpt-5-mini"]
    cluster.gh.set_catalog([model("gpt-4o", output=1)])
    run_once(cluster.settings(), stop)
    patches = api.count("PATCH")
    run_once(cluster.settings(COPILOT_REMOVE_AFTER="9"), stop)
    assert api.count("PATCH") == patches + 1, "an absence is counted"
    assert [
        (event.kind, event.model, event.new) for event in history(api) if event.path != "model_info.max_tokens"
    ] == [
        ("added", "gpt-4o", None),
        ("added", "gpt-5-mini", None),
        ("limits", "gpt-4o", 127_999),
        ("limits", "gpt-4o", 1),
        ("absent", "gpt-5-mini", "1 of 3"),
        ("absent", "gpt-5-mini", "2 of 9"),
    ]
    cluster.gh.set_catalog([model("gpt-4o", output=1), model("gpt-5-mini")])
    run_once(cluster.settings(), stop)
    patches = api.count("PATCH")
    assert run_once(cluster.settings(), stop).events == () and api.count("PATCH") == patches


def test_the_history_in_the_object_is_bounded(api, target, stop):
    """However many changes there are, their history takes some kilobytes of the object."""
    for number in range(3):
        target.update(always(*(f"m{number}-{other}" for other in range(150))), stop)
    found = history(api)
    assert len(found) == 500 and found[-1].model == "m2-99" and {event.kind for event in found} == {"added", "removed"}
    assert len(api.object["binaryData"][HISTORY_KEY]) < 64 * 1024


def test_a_history_without_room_gives_way(api, target, stop, caplog):
    """Where the object has no room for the history, models and memory are published without it."""
    target.update(always("a"), stop)
    room = MAX_BYTES - len(models_file_bytes([managed_entry("a"), managed_entry("b")]))
    api.write(data={"other": "y" * (room - 100)})
    assert target.update(always("a", "b", remembered=b"x"), stop).change == Change(added=("github_copilot/b",))
    assert api.object["binaryData"].get(HISTORY_KEY) is None and "no room for the history" in caplog.text
    api.write(data={"other": ""})
    target.update(always("a", "b", "c"), stop)
    assert [event.model for event in history(api)] == ["c"]


@pytest.mark.parametrize("damaged", ["AAAA", "!", "\ud800", base64.b64encode(b"x" * 99).decode()])
def test_a_damaged_history_is_replaced(api, target, stop, damaged):
    """Whatever is in place of the history, the sync goes on, and a new one begins."""
    api.write(binaryData={HISTORY_KEY: damaged})
    target.update(always("a"), stop)
    assert [event.model for event in history(api)] == ["a"]


def test_too_large_is_said_before_anything_is_sent(api, target, stop):
    """Models that would not fit into the object are refused with a cure, and nothing is sent."""
    api.write(data={KEY: "old", "other": "y" * (MAX_BYTES - 400)})
    with pytest.raises(StorageError, match=f"limited to {MAX_BYTES}") as caught:
        target.update(lambda _: Built([managed_entry("a", note="x" * 500)], b"m"), stop)
    assert "COPILOT_MODELS_INCLUDE" in caught.value.hint
    assert api.count("PATCH") == 0
    assert api.object["data"][KEY] == "old"


CUT_SHORT = base64.b64encode(configmap.gzip.compress(b"x" * 99, mtime=0)[:-9]).decode()


@pytest.mark.parametrize("damaged", ["AAAA", CUT_SHORT, "!"])
def test_a_damaged_memory_counts_as_damaged(api, target, stop, damaged):
    """A memory that cannot be unpacked is handed on as a damaged one, not as none."""
    api.write(binaryData={ABSENCES_KEY: damaged})
    seen = []
    target.update(lambda stored: (seen.append(stored), Built([managed_entry("a")], b"new\n"))[1], stop)
    assert seen == [b""]
    assert load_absences(b"") is None


HOSTILE = [
    {"data": 5}, {"data": "x"}, {"data": ["x"]}, {"data": {KEY: 5}}, {"data": {KEY: None}}, {"data": {KEY: ["x"]}},
    {"data": {KEY: "\ud800"}}, {"data": {KEY: "x: [" * 1000}}, {"data": {KEY: "&a [*a]"}}, {"data": {"x": {"y": 1}}},
    {"data": {"x": "\udfff"}}, {"binaryData": 5}, {"binaryData": ["x"]}, {"binaryData": {ABSENCES_KEY: 5}},
    {"binaryData": {ABSENCES_KEY: None}}, {"binaryData": {ABSENCES_KEY: "\ud800"}}, {"binaryData": {"x": "é"}},
    {"binaryData": {"x": "="}}, {"binaryData": {"x": 1}}, {"metadata": None}, {"metadata": "resourceVersion"},
    {"metadata": ["resourceVersion"]}, {"metadata": {"resourceVersion": None}}, {"metadata": {"resourceVersion": {}}},
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda value: repr(value)[:60])
def test_an_object_of_any_kind(api, target, stop, hostile, monkeypatch):
    """Whatever the API server answers, the object is brought up to date, or the error says why it is not."""
    monkeypatch.setattr(configmap, "RETRY_DEADLINE", 0.0)
    api.object |= hostile
    api.handle = lambda request: (200, api.object)
    with contextlib.suppress(UpstreamError, StorageError):
        assert target.update(always("a"), stop).change


def test_a_memory_that_would_expand_is_damaged(api, target, stop):
    """A record that unpacks to more than any record has is not unpacked: it counts as damaged."""
    api.write(binaryData={ABSENCES_KEY: base64.b64encode(configmap.gzip.compress(b"0" * 200_000_000)).decode()})
    seen = []
    tracemalloc.start()
    target.update(lambda stored: seen.append(stored) or Built([managed_entry("a")], b"x"), stop)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == [b""] and peak < 100_000_000


def test_a_history_that_would_expand_is_replaced(api, target, stop):
    """A history that unpacks to more than any of ours is not unpacked, and a new one begins."""
    wild = base64.b64encode(configmap.gzip.compress(b"{}\n" * 10_000_000, 1)).decode()
    api.write(binaryData={HISTORY_KEY: wild})
    tracemalloc.start()
    target.update(always("a"), stop)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [event.model for event in history(api)] == ["a"] and peak < 20_000_000


def test_no_service_account_is_said(tmp_path):
    """Without a service account's files the message says so and names the cure."""
    with pytest.raises(StorageError, match="service account") as caught:
        ConfigMapTarget("copilot-models", "127.0.0.1", 1, tmp_path)
    assert "automountServiceAccountToken" in caught.value.hint


def test_names(account):
    """A name may have its namespace before it, and what Kubernetes would not take as a name is refused."""
    other = ConfigMapTarget("other/models", "fd00::1", 443, account)
    assert other.api.url + other.path == "https://[fd00::1]:443/api/v1/namespaces/other/configmaps/models"
    for wrong in ("A", "a/b/c", "-a", "a/", "../x"):
        with pytest.raises(UsageError, match="COPILOT_CONFIGMAP"):
            Settings.load({"COPILOT_CONFIGMAP": wrong})


def test_outside_a_pod_it_is_a_wrong_setting():
    """COPILOT_CONFIGMAP outside a pod is a wrong setting, by name."""
    with pytest.raises(UsageError, match="KUBERNETES_SERVICE_HOST"):
        configmap.configmap_target("copilot-models", Settings())


def test_run_does_not_take_a_configmap(capsys):
    """`run` refuses a ConfigMap and says which command is for it."""
    assert cli.main(["run"], {"COPILOT_CONFIGMAP": "copilot-models", "COPILOT_HEALTH_PORT": "0"}) == 2
    assert "COPILOT_CONFIGMAP is only supported by `sync`" in capsys.readouterr().err


@pytest.fixture
def cluster(api, account, bench, monkeypatch):
    """A bench whose target is the ConfigMap."""
    monkeypatch.setattr(configmap, "SERVICE_ACCOUNT", account)
    monkeypatch.setattr(configmap.ConfigMapTarget.__init__, "__defaults__", (account,))
    bench.environ |= {
        "COPILOT_CONFIGMAP": "copilot-models",
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(api.port),
    }
    bench.log_in()
    return bench


def names(api):
    return [item["model_name"] for item in entries_in(api.object["data"][KEY].encode()).values()]


def test_absences_are_counted_in_the_object_and_a_model_leaves_after_three(cluster, api, stop):
    """Absences are counted across runs in the object itself: after three in a row a model leaves."""
    settings = cluster.settings()
    assert run_once(settings, stop).target == "ConfigMap llm/copilot-models"
    cluster.gh.set_catalog([model("gpt-4o")])
    for _ in range(2):
        assert run_once(settings, stop).change is None
        assert names(api) == ["github_copilot/gpt-4o", "github_copilot/gpt-5-mini"]
    change = run_once(settings, stop).change
    assert change is not None
    assert change.removed == ("github_copilot/gpt-5-mini",)
    assert names(api) == ["github_copilot/gpt-4o"]
    assert not cluster.models_file.exists()


def test_an_implausible_loss_is_counted_in_the_object(cluster, api, stop):
    """All models for another one: it is published beside them, and a person's --accept-loss lets them go."""
    run_once(cluster.settings(), stop)
    cluster.gh.set_catalog([model("o9")])
    losses = [run_once(cluster.settings(), stop).built.loss for _ in range(4)]
    assert [loss.syncs for loss in losses] == [23, 22, 21, 20] and len(names(api)) == 3
    assert run_once(cluster.settings(), stop, accept_loss=True).built.loss is None
    assert names(api) == ["github_copilot/o9"]


def test_one_catalog_read_however_many_conflicts(cluster, api):
    """Conflicts with other writers cost no further read of the catalog."""
    conflicts = [0]

    def other():
        if conflicts[0] < 4:
            conflicts[0] += 1
            api.write(data={"other": str(conflicts[0])})

    api.before_patch = other
    assert run_once(cluster.settings(), Quick()).models == 2
    assert conflicts == [4]
    assert cluster.gh.count("/models") == 1


def test_last_good_stays_when_github_fails(cluster, api, stop):
    """An empty catalog changes nothing in the object."""
    run_once(cluster.settings(), stop)
    before = copy.deepcopy(api.object)
    cluster.gh.fail("/models", status=200, body={"data": []})
    with pytest.raises(BadAnswer):
        run_once(cluster.settings(), stop)
    assert api.object == before


def test_the_memory_is_small(cluster, api, stop):
    """42 models as large as real ones: models file and memory together stay far from the limit."""
    cluster.gh.set_catalog([model(f"model-{n}", vendor="x" * 1200) for n in range(42)])
    run_once(cluster.settings(), stop)
    size = len(api.object["data"][KEY]) + len(base64.b64decode(api.object["binaryData"][ABSENCES_KEY]))
    assert size < MAX_BYTES / 8


def test_prepare_places_the_hook_and_an_empty_models_file_and_keeps_one_that_is_there(bench):
    """`prepare` places the hook and an empty models file, keeps a file that is there, and asks GitHub nothing."""
    for content in (None, b"model_list: [] # mine\n"):
        if content is not None:
            bench.models_file.write_bytes(content)
        assert cli.main(["prepare"], bench.environ) == 0
        assert (bench.shared / PACKAGE / "__init__.py").is_file()
        assert bench.names() == []
        assert content is None or bench.models_file.read_bytes() == content
    assert bench.gh.requests == []


def test_jitter_is_waited_out_before_anything_is_asked_for(bench, monkeypatch):
    """The jitter comes before the first request, so that a fleet of jobs does not ask at once."""
    bench.log_in()
    waits = []

    def uniform(low, high):
        waits.append((low, high, len(bench.gh.requests)))
        return 0.0

    monkeypatch.setattr("random.uniform", uniform)
    assert cli.main(["sync"], {**bench.environ, "COPILOT_SYNC_JITTER": "300"}) == 0
    assert waits[0] == (0, 300, 0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("token", text) for text in ("sa-token\nx-evil: 1", "sa-tokén", "", "sa\0token")),
        ("namespace", "llm\nx"),
    ],
)
def test_a_service_account_that_is_no_header(api, account, name, content):
    """A token that cannot be sent is named by its file and not shown, and nothing is sent."""
    (account / name).write_text(content)
    with pytest.raises(StorageError, match=f"{name}: it is not plain ASCII") as caught:
        ConfigMapTarget("copilot-models", "127.0.0.1", api.port, account).update(always("a"), Quick())
    assert "sa" not in str(caught.value).split("ASCII")[1] and api.requests == [] and "Mount" in caught.value.hint


def test_a_service_account_that_is_a_pipe(api, account, target, stop):
    """A named pipe in place of the token is refused at once."""
    (account / "token").unlink()
    os.mkfifo(account / "token")
    with pytest.raises(StorageError, match="token: it is not a regular file"):
        target.update(always("a"), stop)


HOSTILE_OBJECTS = [
    {"metadata": 5},
    {"metadata": "resourceVersion"},
    {"metadata": {"resourceVersion": 1}},
    {"metadata": {"resourceVersion": ["1"]}},
    {"data": []},
    {"data": "x"},
    {"data": {KEY: 5}},
    {"data": {"other": None}},
    {"binaryData": [1]},
    {"binaryData": {ABSENCES_KEY: {}}},
]


@pytest.mark.parametrize("more", HOSTILE_OBJECTS, ids=repr)
def test_an_object_that_is_none(api, target, stop, more):
    """What is not shaped like a ConfigMap is no answer: an error that is not a bug, and nothing is written."""
    api.object |= more
    stop.set()  # one attempt
    with pytest.raises(BadAnswer, match="something other than the object"):
        target.update(always("a"), stop)
    assert api.count("PATCH") == 0


@pytest.mark.parametrize("text", ["\ud800", "[" * 5000, "model_list: [&a [*a]]", "!!python/object:os.system x", "\0"])
@pytest.mark.parametrize("key", [KEY, "other"])
def test_content_that_is_none(api, target, stop, key, text):
    """Whatever text somebody else has put into the object, the models file replaces its key and nothing else."""
    api.write(data={key: text}, binaryData={ABSENCES_KEY: text, "other": "%%%"})
    target.update(always("a"), stop)
    assert MANAGED_PREFIX + "a" in api.object["data"][KEY]
