"""What becomes of workers' reports, and of reports that no worker of ours would send. The clock is the test's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.litellm_hot_reload.reported import BEAT, MAX_LISTED, MAX_MODELS, MAX_SIZE
from sidecar.litellm_hot_reload.text import remember
from sidecar.status.reports import parse_report
from sidecar.status.workers import GRACE, MAX_LABELS, MAX_WORKERS, SILENCE, Workers
from tests.support import canary
from tests.support.examples import examples

OLD, NEW = "0" * 64, "1" * 64


def report(number: int = 1, **changes: Any) -> bytes:
    """A report as the hook sends it, with ``changes``; a field that is ... is left out."""
    whole = {
        "worker": f"{number:032x}",
        "litellm": "1.110.2",
        "follows": "registry() and apply()",
        "guarded": ["get_api_key"],
        "unguarded": [],
        "unknown": [],
        "digest": NEW,
        "entries": 2,
        "refused": [],
        "refusals": 0,
        "token_end": 1_800_000_000.5,
        "problem": "",
        "spend": {},
    }
    return json.dumps({name: value for name, value in (whole | changes).items() if value is not ...}).encode()


@pytest.fixture
def workers() -> Workers:
    """One that has published OLD, and then NEW at 100."""
    found = Workers()
    found.published(OLD, 0.0, ["gpt-4o"])
    found.published(NEW, 100.0, ["gpt-4o", "o3"])
    return found


def test_a_report_is_shown_as_it_was_made(workers: Workers) -> None:
    """Every field arrives, the times are the receiver's."""
    said = {"refused": [["github_copilot/x", "no such mode"]], "refusals": 1, "problem": "waiting for a login"}
    assert workers.receive(report(digest=OLD, **said), 101.0) == ""
    (view,) = workers.snapshot(102.0)
    assert (view.worker, view.version, view.follows, view.guarded) == (
        1,
        "1.110.2",
        "registry() and apply()",
        ("get_api_key",),
    )
    assert (view.digest, view.entries, view.refused, view.refusals) == (
        OLD,
        2,
        (("github_copilot/x", "no such mode"),),
        1,
    )
    assert (view.token_end, view.problem, view.heard) == (1_800_000_000.5, "waiting for a login", 101.0)


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"worker=1",
    "another encoding": report().decode().encode("utf-16"),
    "a list": b"[]",
    "a number": b"1",
    "beyond its size": report(problem="x" * MAX_SIZE),
    "too many values": json.dumps(list(range(40_000))).encode(),
    "nested without end": b"[" * 60_000,
    "a worker that is no name": report(worker="../../etc"),
    "a worker of capitals": report().replace(b"0" * 31, b"A" * 31),
    "a worker with a line": report().replace(b'"worker": "', b'"worker": "\\n'),
    "a number for a version": report(litellm=1),
    "null for how it follows": report(follows=None),
    "text for what is guarded": report(guarded="get_api_key"),
    "numbers in what is guarded": report(guarded=[1]),
    "too much that is unknown": report(unknown=["x"] * (MAX_LISTED + 1)),
    "half a digest": report(digest="0" * 63),
    "a digest and a line": report(digest="0" * 64 + "\n"),
    "true entries": report(entries=True),
    "less than no entries": report(entries=-1),
    "a fraction of an entry": report(entries=1.5),
    "entries beyond all files": report(entries=10**9),
    "entries beyond all numbers": report().replace(b'"entries": 2', b'"entries": ' + b"9" * 5000),
    "refusals that are no pairs": report(refused=[["x"]]),
    "refusals of objects": report(refused=[["x", {}]]),
    "too many refusals": report(refused=[["x", "y"]] * (MAX_LISTED + 1)),
    "a token's end long ago": report(token_end=-1),
    "a token's end in words": report(token_end="tomorrow"),
    "a token's end past all years": report().replace(b"1800000000.5", b"1e999999"),
    "a problem that is a list": report(problem=["x"]),
    "spend that is a list": report(spend=[1, 2]),
    "spend of one sum": report(spend={"gpt-4o": [1]}),
    "negative spend": report(spend={"gpt-4o": [-0.1, 0]}),
    "NaN spent": report(spend={"gpt-4o": [0, float("nan")]}),
    "endless spend": report(spend={"gpt-4o": [float("inf"), 0]}),
    "a fortune": report(spend={"gpt-4o": [1e7, 0]}),
    "spend that is true": report(spend={"gpt-4o": [True, 0]}),
    "spend in words": report(spend={"gpt-4o": ["1", 0]}),
    "too many models": report(spend={f"m{n}": [0, 0] for n in range(MAX_MODELS + 1)}),
    **{f"without {name}": report(**{name: ...}) for name in json.loads(report()) if name != "worker"},
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_report_of_another_shape_is_refused_whole(workers: Workers, body: bytes) -> None:
    """It says why without quoting it, and nothing of it is taken over."""
    why = workers.receive(body, 101.0)
    assert why.startswith("the report") and len(why) < 80
    assert workers.snapshot(101.0) == [] and workers.spend() == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    max_leaves=6,
)


@examples(100)
@given(
    st.binary(max_size=100)
    | st.dictionaries(st.sampled_from(sorted(json.loads(report()))), JSON).map(lambda changes: report(**changes))
)
def test_any_report(body: bytes) -> None:
    """It is taken, and then what is shown can be written out, or refused; nothing else."""
    workers = Workers()
    taken = not workers.receive(body, 1.0)
    assert len(workers.snapshot(1.0)) == taken
    shown = json.dumps([vars(view) for view in workers.snapshot(1.0)], ensure_ascii=False, allow_nan=False)
    assert shown.isprintable() and shown.encode()


def test_texts_are_printable_short_and_without_secrets(workers: Workers) -> None:
    """Whatever a report holds can be shown as it is."""
    token = canary.new("a")
    remember(token)
    workers.receive(
        report(problem=f"\x1b[2J{token}\n" + "x" * 1000, guarded=["\u202e<b>"], refused=[["\ud800", "\0"]]), 101.0
    )
    (view,) = workers.snapshot(101.0)
    assert view.problem.startswith("\\x1b[2J***") and len(view.problem) < 310
    assert view.guarded == ("\\u202e<b>",) and view.refused == (("\\ud800", "\\x00"),)
    assert token not in repr(parse_report(report(spend={token: [1, 1]})))


def test_in_step_is_what_has_the_published_digest(workers: Workers) -> None:
    """A worker that says otherwise has some time to get there; then it is out of step since it was published."""
    workers.receive(report(digest=NEW), 101.0)
    workers.published(OLD, 150.0)
    workers.receive(report(digest=NEW), 149.9 + GRACE)
    assert workers.snapshot(160.0 + GRACE)[0].in_step, "it has not said otherwise since"
    workers.receive(report(digest=NEW), 150.0 + GRACE)
    (view,) = workers.snapshot(150.0 + GRACE)
    assert (view.in_step, view.out_of_step_since) == (False, 150.0)
    workers.published(NEW, 170.0)
    workers.receive(report(digest=NEW), 171.0)
    assert workers.snapshot(171.0)[0].in_step
    workers.receive(report(digest="2" * 64), 172.0)
    workers.receive(report(digest="3" * 64), 173.0 + GRACE)
    assert workers.snapshot(173.0 + GRACE)[0].out_of_step_since == 172.0


def test_before_anything_is_published_nobody_is_out_of_step() -> None:
    """Nor is a worker that has only just started."""
    workers = Workers()
    workers.receive(report(digest=""), 1.0)
    workers.receive(report(digest=""), 1000.0)
    assert workers.snapshot(1000.0)[0].in_step
    workers.published(NEW, 1001.0)
    workers.receive(report(2, digest=""), 1100.0)
    assert workers.snapshot(1100.0)[-1].in_step


def test_published_to_served_is_measured_once_when_the_last_worker_has_it(workers: Workers) -> None:
    """By the receiver's clock, and only of the workers that were there."""
    for number in (1, 2, 3):
        workers.receive(report(number), 101.0)
    assert not workers.latest, "nobody was there when that was published"
    workers.published(OLD, 110.0)
    for number, moment in ((1, 110.7), (1, 110.8), (2, 111.2), (4, 300.0)):
        workers.receive(report(number, digest=OLD), moment)
    assert list(workers.latest) == [(110.0, pytest.approx(1.2))], "the third one is gone for good"
    told = workers.served.samples("x")
    assert told[1:4] == ['x_bucket{le="1"} 0', 'x_bucket{le="1.5"} 1', 'x_bucket{le="2"} 1']
    assert told[-2:] == ["x_sum 1.200000", "x_count 1"]


def test_a_worker_may_have_it_before_the_sidecar_has_said_that_it_is_published(workers: Workers) -> None:
    """It looks at the file itself: it is not waited for, nor does its next beat count as the moment of serving."""
    for number in (1, 2):
        workers.receive(report(number, digest=OLD), 101.0)
    workers.receive(report(1, digest="2" * 64), 109.9)
    workers.published("2" * 64, 110.0)
    workers.receive(report(2, digest="2" * 64), 110.5)
    workers.receive(report(1, digest="2" * 64), 119.9)
    workers.receive(report(1, digest="3" * 64), 120.9)
    workers.receive(report(2, digest="3" * 64), 120.9)
    workers.published("3" * 64, 121.0)
    assert list(workers.latest) == [(110.0, pytest.approx(0.5)), (121.0, 0.0)]


def test_a_silent_worker_is_forgotten_and_its_number_reused(workers: Workers) -> None:
    """After three beats, and no sooner."""
    workers.receive(report(1), 0.0)
    workers.receive(report(2), 90.0)
    assert SILENCE > 3 * 1.1 * BEAT
    assert [view.worker for view in workers.snapshot(SILENCE)] == [1, 2]
    assert [view.worker for view in workers.snapshot(SILENCE + 0.1)] == [2]
    workers.receive(report(3), SILENCE + 0.2)
    assert [view.worker for view in workers.snapshot(SILENCE + 0.2)] == [1, 2]


def test_of_too_many_workers_the_longest_silent_one_goes(workers: Workers) -> None:
    """However many names somebody makes up, there are never more, nor other numbers."""
    for number in range(MAX_WORKERS):
        workers.receive(report(number), 100.0)
    workers.receive(report(0), 101.0)
    workers.receive(report(1000), 102.0)
    views = workers.snapshot(102.0)
    assert [view.worker for view in views] == list(range(1, MAX_WORKERS + 1))
    assert [view.worker for view in views if view.heard > 100.0] == [1, 2], "2 is the stranger's"
    for number in range(10_000, 10_500):
        workers.receive(report(number, spend={f"m{number}": [1, 1]}), 103.0)
    assert len(workers.snapshot(103.0)) == MAX_WORKERS


def spent(workers: Workers, model: str = "gpt-4o") -> tuple[float, float]:
    found = workers.spend()
    return found.get((model, "billed"), 0.0), found.get((model, "computed"), 0.0)


def test_spend_is_what_a_worker_adds_to_its_first_sum(workers: Workers) -> None:
    """Of all workers together; one that comes back, or restarts, counts nothing twice, and nothing goes back."""
    workers.receive(report(1, spend={"gpt-4o": [5.0, 4.0]}), 100.0)
    assert spent(workers) == (0.0, 0.0), "it may have counted already, for the service before this one"
    workers.receive(report(1, spend={"gpt-4o": [5.5, 4.25]}), 101.0)
    workers.receive(report(1, spend={"gpt-4o": [5.5, 4.25]}), 102.0)
    assert spent(workers) == (0.5, 0.25)
    workers.receive(report(2, spend={}), 102.0)
    workers.receive(report(2, spend={"gpt-4o": [1.0, 1.0]}), 103.0)
    assert spent(workers) == (1.5, 1.25)
    workers.receive(report(1, spend={"gpt-4o": [0.0, 9.0]}), 104.0)
    workers.receive(report(1, spend={"gpt-4o": [5.5, 9.0]}), 105.0)
    assert spent(workers) == (1.5, 6.0)
    workers.snapshot(105.0 + SILENCE + 1)
    workers.receive(report(1, spend={"gpt-4o": [7.0, 9.0]}), 300.0)
    assert spent(workers) == (1.5, 6.0)


def test_a_model_that_was_never_published_is_another(workers: Workers) -> None:
    """So nobody makes up labels; a model that has left keeps its own, and there is an end of them."""
    workers.receive(report(1), 100.0)
    workers.published(OLD, 101.0, ["o3"])
    workers.receive(report(1, spend={"gpt-4o": [1, 1], "made-up": [2, 2], 'x"} 1\n': [3, 3]}), 102.0)
    assert {model for model, _ in workers.spend()} == {"gpt-4o", "other"}
    assert spent(workers, "other") == (5.0, 5.0)
    workers.published(NEW, 103.0, (f"m{number}" for number in range(2 * MAX_LABELS)))
    assert len(workers._labels) == MAX_LABELS
