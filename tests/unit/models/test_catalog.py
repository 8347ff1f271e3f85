"""The catalog: typed models from whatever GitHub sends, and nothing dangerous among their ids."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.errors import BadAnswer
from sidecar.models.catalog import (
    MAX_DEPTH,
    MAX_ID_LENGTH,
    MAX_ITEMS,
    Limits,
    Supports,
    catalog_items,
    id_problem,
    parse_models,
)
from tests.fakes.catalog import demo_catalog, model, warning

GOOD_IDS = [
    "gpt-4o",
    "o1",
    "gpt-4.1-2025-04-14",
    "claude-3.7-sonnet",
    "accounts/a/routers/r",
    "a_b",
    "a:b",
    "a+b",
    "4o",
]
BAD_IDS = [
    "", " ", "gpt 4o", "gpt\n4o", "gpt-4o\n", "\x1b[31m", "x\x00", "!!python/name:os.system", "*", "*alias", "&anchor",
    "- x", "{a: b}", "[x]", "#x", "x#y", "%TAG", "|", ">", "?", "~", "@x", "`id`", "$(id)", "a;b", "a|b", "a&b", "a\\b",
    "'x'", '"x"', "-rf", "--help", ".hidden", "/etc/passwd", "a//b", "a/", "../x", "a/../b", "gрt-4о", "x\u202ey",
    "\ud800",
    "os.environ/LITELLM_MASTER_KEY", "OS.ENVIRON/X", "a/os.environ/X", "os.environ/oidc/env/X", "oidc/env/X",
    "hashicorp_vault/x", "aws_secret_manager/x", "google_secret_manager/x",
    "all-proxy-models", "all-team-models", "no-default-models", "All-Proxy-Models",
    "x" * (MAX_ID_LENGTH + 1), "x" * 1024, None, 5, True, 1.5, [], {}, ["gpt-4o"],
]  # fmt: skip


def one(**fields):
    return parse_models([model("m", **fields)])[0][0]


@pytest.mark.parametrize("good", [*GOOD_IDS, "x" * MAX_ID_LENGTH])
def test_good_ids(good):
    """The ids that catalogs have are ids."""
    assert id_problem(good) is None


@pytest.mark.parametrize("bad", BAD_IDS)
def test_bad_ids(bad):
    """An id that YAML, a shell, a path, a terminal or LiteLLM could misread is refused, and its label is harmless."""
    assert id_problem(bad)
    models, refused = parse_models([{**model("m"), "id": bad}, model("good")])
    assert [found.id for found in models] == ["good"]
    assert refused[0].reason and refused[0].label.isprintable() and len(refused[0].label) <= 400


def test_item_without_an_id():
    """An item without an id is refused."""
    assert parse_models([{"name": "x"}])[1][0].reason == "has no id"


@pytest.mark.parametrize(
    "payload", [None, 5, "x", [], {}, {"data": None}, {"data": {}}, {"data": []}, {"data": [1, None]}, {"data": [{}]},
                {"data": [{"id": "*"}]}, {"message": "Not Found"}, {"data": "gpt-4o"}]
)  # fmt: skip
def test_answers_that_are_no_catalog(payload):
    """An answer without one model is a bad answer, not an empty catalog."""
    with pytest.raises(BadAnswer):
        catalog_items(payload)


def test_a_model_without_details():
    """Every field but the id may be missing."""
    (found,), refused = parse_models([{"id": "bare"}])
    assert (found.type, found.policy, found.endpoints, found.prices) == ("chat", "enabled", None, None)
    assert found.limits == Limits() and found.supports == Supports() and not found.picker and not refused


@pytest.mark.parametrize("wrong", [None, 5, "x", [], True, {"x": 1}, [[]], 1.5, -1])
def test_fields_of_a_wrong_type(wrong):
    """A field of a wrong type counts as missing."""
    fields = dict.fromkeys(
        ["name", "vendor", "policy", "billing", "capabilities", "warning_messages", "preview"], wrong
    )
    (found,), _ = parse_models([{"id": "m", **fields}])
    assert (found.policy, found.type, found.prices, found.limits) == ("enabled", "chat", None, Limits())


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "4096", None, 10**12])
def test_limits_that_are_none(wrong):
    """A limit is a positive whole number of tokens or it is unknown."""
    assert one(limits={"max_output_tokens": wrong}).limits.output is None


@pytest.mark.parametrize(
    ("endpoints", "parsed"), [(None, None), ([], ()), (["/responses", 5], ("/responses",)), ("x", None)]
)
def test_endpoints(endpoints, parsed):
    """Endpoints that are missing differ from an empty list."""
    assert one(endpoints=endpoints).endpoints == parsed


def test_missing_flag_is_a_no():
    """Where the catalog says what a model supports, what it does not name is not supported."""
    supports = one(vision=True, supports={"tool_calls": None}).supports
    assert supports.vision is True and supports.tool_calls is False and supports.efforts == ()


@pytest.mark.parametrize(
    ("older", "field"), [("response_schema", "structured_outputs"), ("supports_tool_calls", "tool_calls")]
)
def test_names_of_older_catalogs_count(older, field):
    """What older catalogs called differently is the same ability; a value of the wrong type is none."""
    for said, counts in ((True, True), (1, False), (False, False)):
        (found,), _ = parse_models([{"id": "m", "capabilities": {"supports": {older: said, field: False}}}])
        assert getattr(found.supports, field) is counts


def test_nothing_said_is_unknown():
    """Where the catalog says nothing of what a model supports, nothing is claimed."""
    item = model("m")
    del item["capabilities"]["supports"]
    assert parse_models([item])[0][0].supports == Supports()


def test_efforts_are_sorted():
    """Reasoning efforts come once each, weakest first, and new ones behind those that are known."""
    efforts = one(reasoning=["xhigh", "low", "ultra", "none", "low", "medium"]).supports.efforts
    assert efforts == ("none", "low", "medium", "xhigh", "ultra")


@pytest.mark.parametrize(
    ("code", "text", "date"),
    [
        ("model_pending_deprecation", "This model will be retired on 2027-01-31.", "2027-01-31"),
        ("model_deprecated", "Gone since March 5, 2026, sorry.", "2026-03-05"),
        ("model_pending_deprecation", "Retires on December 31 2026", "2026-12-31"),
        ("model_deprecated", "This model is deprecated.", ""),
        ("model_deprecated", "Build 20270131 is old", ""),
        ("model_pending_deprecation", "until 2027-13-45", ""),
        ("model_pending_deprecation", "until February 30, 2027", ""),
        ("model_pending_deprecation", "until 2027-02-30", ""),
        ("model_pending_deprecation", "until March ٣, 20٢٧", ""),
        ("client_version_deprecated", "Update before 2027-01-31.", ""),
    ],
)
def test_deprecation_date(code, text, date):
    """The day on which a model is retired is read from the warning's text, if it is a day."""
    assert one(warnings=[warning(code, text)]).deprecation_date == date


def test_text_from_the_catalog_is_harmless():
    """Names for people come out on one line, printable and of a bounded length."""
    found = one(name="a\nb\x1b[2J\u202e" + "x" * 5000, vendor="\ud800")
    assert found.name.startswith("a b\\x1b[2J\\u202e") and len(found.name) < 300
    assert found.vendor.isprintable()


INSTRUCTIONS = [
    "os.environ/LITELLM_MASTER_KEY", " \n os.environ/LITELLM_MASTER_KEY", "see os.environ/LITELLM_MASTER_KEY",
    "os.environ/oidc/env/LITELLM_MASTER_KEY", "oidc/env/LITELLM_MASTER_KEY", "hashicorp_vault/x",
    "Os.Environ/LITELLM_MASTER_KEY", "os.environ/" + "x" * 500,
]  # fmt: skip


@pytest.mark.parametrize("text", INSTRUCTIONS)
def test_an_instruction_counts_as_missing(text):
    """Text that LiteLLM would put a secret in place of is no text, in whatever field it stands."""
    found = one(name=text, vendor=text, version=text, category=text, reasoning=[text, "low"])
    item = model("m", warnings=[warning("model_deprecated", text)])
    item["capabilities"]["family"] = item["policy"] = text
    (other,), _ = parse_models([item])
    assert [found.name, found.vendor, found.version, found.category, other.family, other.deprecation_date] == [""] * 6
    assert found.supports.efforts == ("low",)


@pytest.mark.parametrize("text", ["OpenAI", "runs in os.environment", "os.environ", "an oidc/env note", "a/b"])
def test_other_text_stays(text):
    """Text that only resembles an instruction is text."""
    assert one(name=text).name == text


def test_a_catalog_beyond_all_measure():
    """Fifty times as many items as any real catalog has are a bad answer, not work for minutes."""
    items = [{"id": f"m-{number}"} for number in range(MAX_ITEMS + 1)]
    assert len(catalog_items({"data": items[1:]})) == MAX_ITEMS
    with pytest.raises(BadAnswer, match=str(MAX_ITEMS)):
        catalog_items({"data": items})


@pytest.mark.parametrize("around", [lambda value: [value], lambda value: {"x": value}], ids=["lists", "mappings"])
def test_an_item_that_is_nested_beyond_all_measure(around):
    """Nesting that would exhaust the stack is a bad answer; what real items have is far below it."""
    value = "x"
    for _ in range(MAX_DEPTH - 1):
        value = around(value)
    assert catalog_items({"data": [{"id": "m", "x": value}]})
    for _ in range(2000):
        value = around(value)
    with pytest.raises(BadAnswer, match="deep"):
        catalog_items({"data": [{"id": "good"}, {"id": "m", "x": value}]})


@pytest.mark.parametrize(
    ("one", "other", "winner"),
    [
        (model("m", picker=True, version="1"), model("m", picker=False, version="2"), "1"),
        (model("m", version="2026-01-01"), model("m", version="2026-05-01"), "2026-05-01"),
        (model("m", version="1", vendor="A"), model("m", version="1", vendor="B"), "1"),
    ],
)
def test_duplicates(one, other, winner):
    """Of two items of one id, in either order, the one in the picker stays, then the higher version; that is all."""
    forth, refused = parse_models([one, other])
    back, _ = parse_models([other, one])
    assert forth == back and forth[0].version == winner
    assert refused == []


def test_order_has_no_effect():
    """The same catalog in any order gives the same models in the same order."""
    catalog = demo_catalog()
    expected = parse_models(catalog)
    for seed in range(5):
        random.Random(seed).shuffle(catalog)
        assert parse_models(catalog) == expected


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(st.characters(categories=None), max_size=40))
def test_any_text_as_id(text):
    """An id that is accepted is plain ASCII without a blank, a quote or a sign that YAML or a shell knows."""
    if id_problem(text) is None:
        assert text.isascii() and not set(text) & set(" \t\n'\"\\`$*?!&|;<>(){}[]#%@,~=^")
        assert text[0].isalnum()
