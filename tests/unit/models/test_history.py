"""What has changed becomes events, one for each change; lines of the history are ours, bounded, and never repeated."""

from __future__ import annotations

import json
import random

import pytest

from sidecar.models.absences import dump_absences, load_absences, merge_absences
from sidecar.models.changes import Change, compare
from sidecar.models.entries import models_file_bytes
from sidecar.models.events import entry_events, record_events, retirement_notices
from sidecar.models.history import (
    KINDS,
    MAX_LINE,
    MAX_LINES,
    Event,
    dump_events,
    event_from_json,
    load_events,
    with_events,
)
from sidecar.settings import Settings
from sidecar.targets.models_file import entries_in
from tests.fakes.catalog import model, tier, tiered, warning
from tests.support import canary
from tests.support.entries import entries_of, managed_entry

NOW = "2026-11-26T03:17:22Z"
PRICED = tiered(tier(100, 400, 10, context_max=200_000), tier(200, 800, 20))


def published(*items, **environ):
    """The entries of these items as they are read back from the models file, by id."""
    return entries_in(models_file_bytes(entries_of(items, **environ)))


def happened(old, new, **environ):
    """The events from one catalog to another, as the old models file and the new entries have it."""
    wanted = {entry["model_info"]["id"]: entry for entry in entries_of(new, **environ)}
    return entry_events(compare(published(*old), wanted), NOW)


def short(events):
    return [(event.kind, event.path.rpartition(".")[2], event.old, event.new) for event in events]


def test_added_and_removed():
    """A model that comes and one that goes are one event each, with what clients call them."""
    events = happened([model("a"), model("b")], [model("b"), model("c")])
    assert [(event.kind, event.model, event.names) for event in events] == [
        ("removed", "a", ("github_copilot/a",)),
        ("added", "c", ("github_copilot/c",)),
    ]
    assert events[0].as_json() == {
        "time": NOW,
        "kind": "removed",
        "model": "a",
        "path": "",
        "old": None,
        "new": None,
        "names": ["github_copilot/a"],
    }


CHANGES = {
    "limits": ({"output": 32_000}, [("limits", "max_input_tokens", 112_000, 96_000)]),
    "price": (
        {"billing": tiered(tier(150, 400, 10, context_max=200_000), tier(200, 800, 20))},
        [("price", "input_cost_per_token", 1e-06, 1.5e-06)],
    ),
    "endpoint": (
        {"endpoints": ["/responses"]},
        [("endpoint", "mode", "chat", "responses"), ("endpoint", "supported_endpoints", ["/v1/chat/completions"], ...)],
    ),
    "abilities": ({"vision": True}, [("abilities", "supports_vision", False, True)]),
    "tools": ({"supports": {"tool_calls": False}}, [("abilities", "supports_function_calling", True, False)]),
    "efforts": (
        {"reasoning": ["low", "high"]},
        [("abilities", "reasoning_effort_levels", None, ["low", "high"])],
    ),
    "retirement": (
        {"warnings": [warning("model_pending_deprecation", "It goes on 2027-02-01.")]},
        [("retirement", "deprecation_date", None, "2027-02-01")],
    ),
    "other": ({"vendor": "Elsewhere"}, [("other", "vendor", "Azure OpenAI", "Elsewhere")]),
}


@pytest.mark.parametrize(("changed", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_changed_field_is_one_event(changed, expected):
    """Each field is an event of its kind with both values; fields that only repeat or follow from others are none."""
    before = {"endpoints": ["/chat/completions"], "billing": PRICED}
    events = short(happened([model("m", **before)], [model("m", **{**before, **changed})]))
    for kind, path, old, new in expected:
        assert (
            [(kind, path, old, event[3] if new is ... else new) for event in events if event[1] == path]
            == [event for event in events if event[1] == path]
            != []
        ), events
    assert len(events) == len(expected) + (expected[0][1] == "max_input_tokens"), "and the output limit"


def test_a_price_that_differs_above_a_limit_is_an_event_of_its_own():
    """What changes otherwise than the field it usually repeats is not left out."""
    dearer = tiered(tier(100, 400, 10, context_max=200_000), tier(300, 800, 20))
    events = short(happened([model("m", billing=PRICED)], [model("m", billing=dearer)]))
    assert ("price", "input_cost_per_token_above_200k_tokens", 2e-06, 3e-06) in events
    assert len(events) == 1


def test_a_model_under_several_names_changes_once():
    """A change of a model with two names is one event that has both, and a changed set of names is an event."""
    both = {"COPILOT_MODEL_NAMES": "both"}
    wanted = {entry["model_info"]["id"]: entry for entry in entries_of([model("m", vision=True)], **both)}
    (event,) = entry_events(compare(published(model("m"), **both), wanted), NOW)
    assert (event.kind, event.names) == ("abilities", ("github_copilot/m", "m"))
    (event,) = happened([model("m")], [model("m")], **both)
    assert (event.path, event.old, event.new) == ("model_name", ["github_copilot/m"], ["github_copilot/m", "m"])


def test_a_header_of_the_users_own_is_not_shown():
    """The value of a header that an override sets may be a key: that it changed is said, and not how."""
    secret = canary.new("k")
    old, new = managed_entry("m"), managed_entry("m")
    old["litellm_params"]["extra_headers"] = {"x-team": "t", "user-agent": "a"}
    new["litellm_params"]["extra_headers"] = {"x-team": secret, "user-agent": "b"}
    events = entry_events(compare({"1": old}, {"1": new}), NOW)
    assert short(events) == [("other", "user-agent", "a", "b"), ("other", "x-team", "***", "***")]
    assert secret not in str(events)


HOSTILE_VALUES = [
    float("nan"),
    10**5000,
    -(2**70),
    "x" * 9999,
    ["y" * 999] * 99,
    "\x1b]0;\n\u202e",
    ["é"] * 50,
    b"b",
    {},
]


@pytest.mark.parametrize("value", HOSTILE_VALUES, ids=lambda value: str(type(value).__name__))
def test_what_an_old_file_may_hold(value):
    """Whatever somebody wrote into the old entry, the event is a line of strict JSON of a bounded length."""
    (event,) = entry_events(compare({"1": managed_entry("m", x=value)}, {"1": managed_entry("m", x=1)}), NOW)
    line = dump_events([event])
    assert len(line) < MAX_LINE / 2 and load_events(line) == [event]
    json.loads(line, parse_constant=lambda text: pytest.fail(text))


def after(record, items, settings, time=NOW):
    """The record after a sync that finds these items, and what that sync says besides the entries."""
    merged = merge_absences(record, items, settings)
    entries = entries_of(merged.items)
    events = record_events(record, merged, entries, settings, time)
    notices, told = retirement_notices(entries, merged.record, time)
    return load_absences(dump_absences(told)), [*events, *notices]


def test_absences_are_counted():
    """A model is absent once and twice, is listed again, and at last is removed, which the entries say."""
    settings, all_of_them = Settings(remove_after=3), [model("a"), model("b"), model("c")]
    record, events = after({}, all_of_them, settings)
    assert events == []
    seen = []
    for items in [all_of_them[0:2]] * 2 + [all_of_them] + [all_of_them[0:2]] * 3:
        record, events = after(record, items, settings)
        seen += [(event.kind, event.model, event.old, event.new) for event in events]
    assert seen == [
        ("absent", "c", None, "1 of 3"),
        ("absent", "c", "1 of 3", "2 of 3"),
        ("absent", "c", "2 of 3", None),
        ("absent", "c", None, "1 of 3"),
        ("absent", "c", "1 of 3", "2 of 3"),
    ]


def test_a_loss_that_is_not_believed_is_counted_a_few_times():
    """While most of the catalog is missing for a day, that is no line for each model and hour."""
    settings = Settings(remove_after=3)
    record, _ = after({}, [model("a"), model("b"), model("c")], settings)
    seen = []
    for _ in range(20):
        record, events = after(record, [model("a")], settings)
        seen += [event.new for event in events]
    assert seen == ["1 of 24", "1 of 24", "2 of 24", "2 of 24", "3 of 24", "3 of 24"]


def test_policies():
    """A policy that changes is an event once, also where the model goes with it."""
    record, _ = after({}, [model("a"), model("b", policy="unconfigured"), model("c")], Settings())
    changed = [model("a", policy="disabled"), model("b", policy="enabled"), model("c")]
    record, events = after(record, changed, Settings())
    for _ in range(Settings().accept_after()):
        record, more = after(record, changed, Settings())
        assert more == []
    assert [(event.old, event.new) for event in after(record, [model("a"), *changed[1:]], Settings())[1]] == [
        ("disabled", "enabled")
    ]
    assert [(event.kind, event.model, event.old, event.new, event.names) for event in events] == [
        ("policy", "a", "enabled", "disabled", ()),
        ("policy", "b", "unconfigured", "enabled", ("github_copilot/b",)),
    ]


def test_a_policy_that_is_not_believed():
    """Where half of the models are disabled at once, that is an event once it is believed, and not each time before."""
    settings = Settings(remove_after=2, accept_loss_after=4)
    names = "abc"
    record, _ = after({}, [model(name) for name in names], settings)
    seen = []
    for _ in range(8):
        record, events = after(
            record, [model(name, policy="disabled" if name > "a" else None) for name in names], settings
        )
        seen.append([event.model for event in events if event.kind == "policy"])
    assert seen == [[], [], [], ["b", "c"], [], [], [], []]


def retiring(day, **more):
    return model("m", warnings=[warning("model_pending_deprecation", f"It goes on {day}.")], **more)


def test_a_retirement_that_comes_near():
    """There is a notice 30, 7 and 1 days ahead, once each, however often there is a sync, and none afterwards."""
    record, said = {}, []
    days = ["11-01", "11-30", "12-01", "12-01", "12-15", "12-24", "12-24", "12-25", "12-30", "12-31", "12-31"]
    for day in [*(f"2026-{day}T05:00:00Z" for day in days), "2027-01-01T00:00:00Z"]:
        record, events = after(record, [retiring("2026-12-31"), model("other")], Settings(), day)
        said += [(event.time[:10], event.path, event.new) for event in events if event.is_notice()]
    assert said == [
        ("2026-12-01", "notice.30", "2026-12-31"),
        ("2026-12-24", "notice.7", "2026-12-31"),
        ("2026-12-30", "notice.1", "2026-12-31"),
    ]


def test_a_retirement_that_is_announced_late_or_moved():
    """One that is near at once has one notice, not three; another date is another retirement; a clock may go back."""
    record, events = after({}, [retiring("2026-11-29"), model("other")], Settings())
    assert [event.path for event in events] == ["notice.7"]
    record, events = after(record, [retiring("2026-11-29"), model("other")], Settings(), "2026-11-01T00:00:00Z")
    assert events == []
    record, events = after(record, [model("other")], Settings())  # absent from one catalog
    record, events = after(record, [retiring("2026-11-29"), model("other")], Settings())
    assert [event.kind for event in events] == ["absent"]
    record, events = after(record, [retiring("2026-12-20"), model("other")], Settings())
    assert [(event.path, event.new) for event in events] == [("notice.30", "2026-12-20")]


@pytest.mark.parametrize("told", [5, "x", [], ["2026-11-29"], ["2026-11-29", True], ["x" * 99, 7], [7, "x"], {"a": 1}])
def test_a_record_with_a_notice_that_is_none(told):
    """What stands in place of a remembered notice counts as none; the rest of the record stays."""
    record = json.loads(dump_absences(after({}, [retiring("2026-11-29")], Settings())[0]))
    record["models"]["m"]["told"] = told
    (seen,) = load_absences(json.dumps(record).encode()).values()
    assert seen.told is None and seen.item["id"] == "m"


@pytest.mark.parametrize("day", ["", "soon", "2026-13-01", 5, None, ["2026-12-01"]])
def test_a_retirement_date_that_is_none(day):
    """An override may set anything as the date: no notice, and no error."""
    record = merge_absences({}, [model("m")], Settings()).record
    assert retirement_notices([managed_entry("m", deprecation_date=day)], record, NOW) == ([], record)


def lines(*events):
    return dump_events(events)


A = Event(NOW, "added", "a", names=("github_copilot/a",))
OUT = Event(NOW, "removed", "a", names=("github_copilot/a",))
PRICE = Event(NOW, "price", "a", "model_info.input_cost_per_token", 1e-06, 2e-06)


def test_what_is_recorded_already_is_not_repeated():
    """A sync that was killed after recording comes to the same events again; a change that comes back is new."""
    later = [event._replace(time="2026-11-27T00:00:00Z") for event in (A, PRICE)]
    assert with_events(lines(A, PRICE), later) == lines(A, PRICE)
    back = PRICE._replace(old=2e-06, new=1e-06)
    assert with_events(lines(A, PRICE, back), [PRICE]) == lines(A, PRICE, back, PRICE)
    assert with_events(lines(A, OUT), [A]) == lines(A, OUT, A)
    assert with_events(lines(A, PRICE, OUT, A), [PRICE]) == lines(A, PRICE, OUT, A, PRICE)


def test_a_history_is_bounded():
    """10,000 changes leave the latest ones, within the lines and the bytes that there may be."""
    events = [Event(NOW, "added", f"m{number}") for number in range(10_000)]
    data = with_events(lines(A), events)
    assert load_events(data) == events[-MAX_LINES:]
    assert load_events(with_events(data, [A])) == [*events[1 - MAX_LINES :], A]
    small = with_events(data, [A], 100, 1000)
    assert len(small) <= 1000 and load_events(small)[-1] == A and len(load_events(small)) >= 5


GARBAGE = [
    b"", b"\n\n", b"{}", b"[]", b"5", b"null", b"\xff\xfe", b"\0" * 5000, b"[" * 100_000, b'{"time": 1}', b"x" * 10**6,
    lines(A)[:-9], b'"' + b"x" * MAX_LINE + b'"', b"1e9999999999",
]  # fmt: skip


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda data: repr(data[:20]))
def test_lines_that_are_not_ours(garbage):
    """Whatever else is in the file is left out, and goes with the next change."""
    data = lines(A) + garbage + b"\n" + lines(OUT)
    assert load_events(data) == [A, OUT]
    assert with_events(data, [PRICE]) == lines(A, OUT, PRICE)


def test_numbers_and_lines_beyond_all_measure():
    """A number that no float holds counts as none, and of more lines than there may be the last are read."""
    line = dump_events([PRICE]).replace(b"2e-06", b"1e999")
    assert [event.new for event in load_events(line)] == [None]
    assert load_events(lines(A) + b"{}\n" * MAX_LINES) == []


def test_bytes_of_any_kind():
    """A history that was damaged at random is read without an error, and is whole again after the next change."""
    chance = random.Random(1)
    whole = dump_events([A, PRICE, OUT, PRICE._replace(kind="other", old=["x"], new={"a": None}, names=("n", "m"))])
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 9)):
            at = chance.randrange(len(data))
            data[at : at + chance.randint(0, 9)] = chance.choice(
                [b"", b"\n", b'"', b"}", b"\xff", b"\0", b"[", b"1e999"]
            )
        found = load_events(bytes(data))
        again = with_events(bytes(data), [])
        assert load_events(again) == found and with_events(again, []) == again


WRONG = [
    {"time": "now"}, {"time": "2026-11-26T03:17:22Z\n"}, {"kind": "other "}, {"kind": []}, {"model": "a b"},
    {"model": None}, {"model": "x" * 999}, {"path": 5}, {"names": "a"}, {"names": [5]},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_an_event_that_is_none(wrong):
    """A line with a part that is not of its type is none of ours; one that lacks a part neither."""
    assert event_from_json(A.as_json()) == A
    assert event_from_json({**A.as_json(), **wrong}) is None
    assert event_from_json({key: value for key, value in A.as_json().items() if key not in wrong}) is None


def test_an_event_from_a_file_is_bounded():
    """Texts of a line are printable and short, whoever wrote it."""
    wild = {**A.as_json(), "path": "\x1b[31m" + "p" * 999, "old": ["\x1b" * 9] * 99, "names": ["\x07" * 9] * 99}
    event = event_from_json(wild)
    assert len(event.path) < 200 and len(event.names) == 20 and str(event).isprintable() and len(str(event)) < 2000


def test_every_kind_is_documented():
    """docs/changes.md has a row for each kind of event."""
    from tests.support.paths import ROOT

    page = (ROOT / "docs" / "changes.md").read_text()
    assert [kind for kind in KINDS if f"| `{kind}` |" not in page] == []


def test_no_change():
    """No change, no event."""
    assert entry_events(Change(), NOW) == [] and happened([model("m")], [model("m")]) == []
