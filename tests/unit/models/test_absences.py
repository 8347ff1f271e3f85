"""The record of absences: a model is removed only after several absences in a row, across restarts."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.models.absences import LastSeen, absences_file, dump_absences, load_absences, merge_absences
from sidecar.models.catalog import MAX_ITEMS
from tests.fakes.catalog import demo_catalog, model

A, B = model("a"), model("b")


def syncs(*catalogs, remove_after=3, restart=False):
    """The ids to work with after each of several syncs in a row."""
    known, seen = {}, []
    for catalog in catalogs:
        found, known = merge_absences(known, catalog, remove_after)
        seen.append(sorted(item["id"] for item in found))
        if restart:
            known = load_absences(dump_absences(known))
    return seen


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(("remove_after", "stays"), [(1, 0), (2, 1), (3, 2), (5, 4)], ids=lambda value: str(value))
def test_leaves_after_absences_in_a_row(remove_after, stays, restart):
    """A model stays until it was absent N times in a row, and then leaves, whether the program restarts or not."""
    seen = syncs([A, B], *[[A]] * 6, remove_after=remove_after, restart=restart)
    assert seen == [["a", "b"]] + [["a", "b"]] * stays + [["a"]] * (6 - stays)


@pytest.mark.parametrize("restart", [False, True])
def test_coming_back_starts_the_count_again(restart):
    """A model that comes back in between is as good as new."""
    seen = syncs([A, B], [A], [A], [A, B], [A], [A], [A], restart=restart)
    assert seen == [["a", "b"]] * 6 + [["a"]]


def test_every_second_catalog_without_it():
    """A model that flickers never leaves."""
    assert syncs(*[[A, B], [A]] * 6) == [["a", "b"]] * 12


def test_what_is_found_wins():
    """A model that is there is taken as it is now, not as it was."""
    _, known = merge_absences({}, [A], 3)
    found, known = merge_absences(known, [model("a", output=1)], 3)
    assert found == [model("a", output=1)] == [known["a"].item]


def test_items_without_a_usable_id_are_not_remembered():
    """What is no model is passed on to be refused, and forgotten."""
    bad = [{"id": "*"}, {"id": None}, {}]
    found, known = merge_absences({}, [A, *bad], 3)
    assert found == [A, *bad] and list(known) == ["a"]


def test_file_beside_the_models_file():
    """The record is a hidden file in the directory of the models file."""
    assert absences_file(Path("/shared/copilot_models.yaml")) == Path("/shared/.copilot_models.memory.json")


def test_comes_back_from_bytes():
    """What is written is what is read, prices with their exact decimals."""
    known = {item["id"]: LastSeen(item, count) for count, item in enumerate(demo_catalog())}
    assert (
        dump_absences(load_absences(dump_absences(known))) == dump_absences(known)
        and load_absences(dump_absences(known)).keys() == known.keys()
    )
    odd = json.loads('{"id": "a", "price": 0.1, "tiny": 1e-9, "n": 12345678901234567890}', parse_float=Decimal)
    assert load_absences(dump_absences({"a": LastSeen(odd)}))["a"].item == odd


def test_equal_memories_give_equal_bytes():
    """The order of models does not show in the file."""
    assert dump_absences(merge_absences({}, [A, B], 3)[1]) == dump_absences(merge_absences({}, [B, A], 3)[1])


def test_no_record_yet():
    """A missing file counts as an empty record."""
    assert load_absences(None) == {}


def record(**models):
    return json.dumps({"schema": 1, "models": models}).encode()


DAMAGED = [
    b"", b"{", b"\x00\xff", b"null", b"[]", b"5", b'"x"', b"{}", b'{"schema": 1}', b'{"schema": 2, "models": {}}',
    b'{"schema": 1, "models": []}', b'{"schema": 1, "models": null}', b"[" * 100_000,
    record(a=5), record(a={}), record(a=None), record(a={"item": 5, "absences": 0}),
    record(a={"item": {}, "absences": 0}),
    record(a={"item": A, "absences": "many"}), record(a={"item": A, "absences": None}),
    record(a={"item": A}), record(a={"item": A, "absences": float("inf")}),
    b'{"schema": 1, "models": {"a": {"item": {"id": "a", "x": 1e9999999999999999999}, "absences": 0}}}',
]  # fmt: skip


@pytest.mark.parametrize("data", DAMAGED, ids=lambda data: repr(data[:50]))
def test_damaged(data):
    """A damaged record is recognised and never raises."""
    assert load_absences(data) is None


DEEP: object = "x"
for _ in range(500):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("item", "absences"),
    [
        (B, -1), (B, -(10**9)), (B, 10**7), (B, True), (B, 0.5), (B, "1"), (B, None), (B, [1]),
        ([["id", "b"]], 0), (None, 0), ({**B, "x": DEEP}, 0),
    ],
)  # fmt: skip
def test_an_implausible_record(item, absences):
    """Counts that would keep a model for ever, and items that are none, make the record a damaged one."""
    assert load_absences(record(a={"item": A, "absences": 1}, b={"item": item, "absences": absences})) is None


@pytest.mark.parametrize("key", ["os.environ/LITELLM_MASTER_KEY", "*", "all-proxy-models", "../x"])
def test_an_id_that_is_none_is_not_remembered(key):
    """The record cannot bring in an id that the catalog could not."""
    assert load_absences(record(**{key: {"item": {**A, "id": key}, "absences": 0}})) == {}


@pytest.mark.parametrize("number", ["1e999999999", "1e-999999999", "-1e999999999"])
def test_a_number_beyond_all_measure(number):
    """A count whose digits would fill the memory is not written out."""
    data = b'{"schema":1,"models":{"a":{"item":{"id":"a","x":%b},"absences":%b}}}' % (number.encode(), number.encode())
    assert not load_absences(data)
    kept = load_absences(data.replace(b'"absences":' + number.encode(), b'"absences":0'))
    assert kept is not None and load_absences(dump_absences(kept)) is not None


def test_more_models_than_a_catalog_can_have():
    """A record of more models than any catalog is none; together with the catalog it keeps no more either."""
    many = {f"m-{number}": {"item": {"id": f"m-{number}"}, "absences": 0} for number in range(MAX_ITEMS + 1)}
    assert load_absences(record(**many)) is None
    known = {key: LastSeen(value["item"]) for key, value in [*many.items()][1:]}
    found, seen = merge_absences(known, [{"id": f"n-{number}"} for number in range(MAX_ITEMS - 3)], 3)
    assert len(found) == len(seen) == MAX_ITEMS


def test_wrong_id_is_dropped():
    """An item that is not what its key says is not believed."""
    assert load_absences(record(b={"item": A, "absences": 0}, a={"item": A, "absences": 1})) == {"a": LastSeen(A, 1)}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=60) | st.builds(lambda at: record(a={"item": A, "absences": 1})[:at], st.integers(0, 900)))
def test_any_bytes(data):
    """Whatever the file contains, the result is a record or None."""
    found = load_absences(data)
    assert found is None or isinstance(found, dict)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.sets(st.sampled_from("abc"), min_size=1), min_size=1, max_size=12), st.integers(1, 4))
def test_against_the_rule(history, remove_after):
    """For any history: a model is there exactly if one of the last N catalogs had it."""
    seen = syncs(*[[model(key) for key in sorted(keys)] for keys in history], remove_after=remove_after)
    for now in range(len(history)):
        recent = history[max(0, now - remove_after + 1) : now + 1]
        assert seen[now] == sorted(set().union(*recent))
