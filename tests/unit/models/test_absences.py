"""The record of absences: a model is removed only after several absences in a row, half of them far later."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.models.absences import LastSeen, absences_file, dump_absences, load_absences, merge_absences
from sidecar.models.catalog import MAX_ITEMS, parse_models
from sidecar.models.selection import select_models
from sidecar.settings import Settings
from tests.fakes.catalog import demo_catalog, model

A, B = model("a"), model("b")


def syncs(*catalogs, remove_after=3, accept_after=None, restart=False):
    """The ids to work with after each of several syncs in a row."""
    known, seen, rules = {}, [], Settings(remove_after=remove_after, accept_loss_after=accept_after)
    for catalog in catalogs:
        merged = merge_absences(known, catalog, rules)
        known = merged.record
        seen.append(sorted(item["id"] for item in merged.items))
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
    merged = merge_absences(merge_absences({}, [A], Settings()).record, [model("a", output=1)], Settings())
    assert merged.items == [model("a", output=1)] == [merged.record["a"].item]


def test_items_without_a_usable_id_are_not_remembered():
    """What is no model is passed on to be refused, and forgotten."""
    bad = [{"id": "*"}, {"id": None}, {}]
    merged = merge_absences({}, [A, *bad], Settings())
    assert merged.items == [A, *bad] and list(merged.record) == ["a"]


def test_file_beside_the_models_file():
    """The record is a hidden file in the directory of the models file."""
    assert absences_file(Path("/shared/copilot_models.yaml")) == Path("/shared/.copilot_models.yaml.memory.json")


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
    forth, back = (merge_absences({}, items, Settings()).record for items in ([A, B], [B, A]))
    assert dump_absences(forth) == dump_absences(back)


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
    merged = merge_absences(known, [{"id": f"n-{number}"} for number in range(MAX_ITEMS - 3)], Settings())
    assert len(merged.items) == len(merged.record) == MAX_ITEMS


def test_wrong_id_is_dropped():
    """An item that is not what its key says is not believed."""
    assert load_absences(record(b={"item": A, "absences": 0}, a={"item": A, "absences": 1})) == {"a": LastSeen(A, 1)}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=60) | st.builds(lambda at: record(a={"item": A, "absences": 1})[:at], st.integers(0, 900)))
def test_any_bytes(data):
    """Whatever the file contains, the result is a record or None."""
    found = load_absences(data)
    assert found is None or isinstance(found, dict)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(st.sets(st.sampled_from("abcde"), min_size=1), min_size=1, max_size=14),
    st.integers(1, 4),
    st.integers(1, 7),
)
@example([set("abcde"), *[set("abc")] * 3, *[set("a")] * 8], 3, 7)
def test_against_the_rule(history, remove_after, accept_after):
    """For any history: a model leaves after N absences in a row, or after M where half of those of the last M left."""
    seen = syncs(
        *[[model(key) for key in sorted(keys)] for keys in history],
        remove_after=remove_after,
        accept_after=accept_after,
    )
    accept_after, there = max(remove_after, accept_after), set()
    for now, keys in enumerate(history):
        known = set().union(*history[max(0, now - accept_after) : now])
        doubted = len(known - keys) >= 2 * max(1, len(known & keys) / 2)
        recent = history[max(0, now - (accept_after if doubted else remove_after) + 1) : now + 1]
        there = keys | (there & set().union(*recent))
        assert seen[now] == sorted(there)


MANY = [model(f"m-{number}") for number in range(10)]
RULES = Settings(accept_loss_after=5)


def after(*catalogs, rules=RULES, **more):
    """What the last of several syncs in a row makes of its catalog."""
    merged = merge_absences({}, catalogs[0], rules)
    for catalog in catalogs[1:]:
        merged = merge_absences(merged.record, catalog, rules, **more)
    return merged


def changed(count, **fields):
    """The ten models, the first of which are listed with other fields."""
    return [model(f"m-{number}", **fields) for number in range(count)] + MANY[count:]


UNUSABLE = [{"policy": "disabled"}, {"endpoints": []}, {"type": "completion"}, {"picker": False}]


@pytest.mark.parametrize("left", [1, 2, 5])
def test_half_of_the_models_are_kept(left):
    """A catalog that loses half of its models, or all but one, is not believed until it has repeated often enough."""
    for times in range(1, 5):
        merged = after(MANY, *[MANY[:left]] * times)
        assert len(merged.items) == 10 and merged.kept == {item["id"] for item in MANY[left:]}
        loss = merged.loss
        assert (loss.lost, loss.known, loss.kept, loss.syncs) == (10 - left, 10, 10 - left, 5 - times)
    merged = after(MANY, *[MANY[:left]] * 5)
    assert merged.items == MANY[:left] and merged.loss is None and len(merged.record) == left


def test_less_than_half_go_as_before():
    """Four of ten leave after three absences, and one of two does."""
    assert len(after(MANY, *[MANY[4:]] * 2).items) == 10
    assert after(MANY, *[MANY[4:]] * 3).items == MANY[4:]
    assert after([A, B], *[[A]] * 3).items == [A] and after([A, B], [A]).loss is None


def test_a_catalog_of_others():
    """Other models in place of all: both are there until that has repeated."""
    others = [model("x"), model("y")]
    assert len(after(MANY, *[others] * 4).items) == 12 and after(MANY, *[others] * 5).items == others


@pytest.mark.parametrize("fields", UNUSABLE, ids=str)
def test_half_of_the_models_become_unusable(fields):
    """Models that are listed, but of no use, are kept as they were in the same way; a single one goes at once."""
    merged = after(MANY, *[changed(5, **fields)] * 4)
    assert sorted(map(str, merged.items)) == sorted(map(str, MANY)) and merged.loss.lost == 5
    assert after(MANY, *[changed(5, **fields)] * 5).items == changed(5, **fields)
    assert after(MANY, changed(1, **fields)).items == changed(1, **fields)


@pytest.mark.parametrize("gap", [1, 2, 3, 4])
@pytest.mark.parametrize("unusable", [False, True])
def test_a_loss_in_portions(gap, unusable):
    """Four models, and then others, are one loss if all are missing: the second portion is kept, the first is not."""
    first = changed(4, policy="disabled") if unusable else MANY[4:]
    second = changed(8, policy="disabled") if unusable else MANY[8:]
    rules = Settings(remove_after=1, accept_loss_after=10)
    merged = after(MANY, *[first] * gap, second, rules=rules)
    assert merged.kept == {f"m-{number}" for number in range(4, 8)} and merged.loss.lost == 8
    assert load_absences(dump_absences(merged.record)) == merged.record


def test_what_comes_back_is_as_good_as_new():
    """A loss that ends starts its count again; what had gone may come back."""
    assert len(after(MANY, *[MANY[:1]] * 4, MANY, *[MANY[:1]] * 4).items) == 10
    assert after(MANY, *[MANY[4:]] * 3, MANY).items == MANY


@pytest.mark.parametrize("remove_after", [1, 3])
def test_a_person_accepts_a_loss(remove_after):
    """With --accept-loss what the catalog lacks goes at once, all of it, and for good."""
    merged = after(MANY, MANY[:2], rules=Settings(remove_after=remove_after), accept_loss=True)
    assert merged.items == MANY[:2] and list(merged.record) == ["m-0", "m-1"] and merged.loss is None
    assert after(MANY, changed(9, policy="disabled"), accept_loss=True).items == changed(9, policy="disabled")


@pytest.mark.parametrize(
    "filters",
    [{"include": ("m-0",)}, {"exclude": ("m-[1-9]",)}, {"previews": False}, {"embeddings": False}],
)
def test_a_changed_filter_is_no_loss(filters):
    """What a person's own filters leave out goes at once, however many models that are."""
    mixed = [MANY[0], *(model(f"m-{number}", preview=True) for number in range(1, 6))]
    mixed += [model(f"m-{number}", type="embeddings") for number in range(6, 10)]
    record = after(mixed, rules=Settings(embeddings=True)).record
    merged = merge_absences(record, mixed, Settings(embeddings=True) if "previews" in filters else Settings(**filters))
    assert merged.loss is None and not merged.kept


def test_a_loss_is_one_of_what_the_filters_select():
    """Where a filter selects few of many models, two of these few are a loss."""
    rules = Settings(include=("m-[012]",))
    assert after(MANY, MANY[2:], rules=rules).loss.known == 3


def test_a_picker_that_changes():
    """A plan that gets a picker, or loses it, neither drops what is kept nor what is listed."""
    without = changed(10, picker=False)
    for catalogs in ([without, changed(2)[:2]], [MANY, without[:2]], [without, [*MANY[:2], *without[2:]]]):
        for times in range(1, 5):
            merged = after(catalogs[0], *[catalogs[1]] * times)
            chosen = select_models(*parse_models(merged.items), RULES, merged.kept)
            assert len(chosen.models) == 10 and merged.loss.lost == 8


def test_how_often_a_loss_must_repeat():
    """A day's worth of syncs unless set, and never fewer than a single model's absences."""
    days = {3600: 24, 0: 24, 86_400: 3, 7000: 13, 60: 1440, 31_536_000: 3}
    assert {interval: Settings(interval=interval).accept_after() for interval in days} == days
    assert (Settings(accept_loss_after=5).accept_after(), Settings(accept_loss_after=1).accept_after()) == (5, 3)


def test_a_model_that_is_listed_twice():
    """Of two items with one id, the one that is used is the one that is remembered."""
    twice = [model("a", picker=True), model("a", picker=False)]
    assert merge_absences({}, twice, RULES).record["a"].item == twice[0]
