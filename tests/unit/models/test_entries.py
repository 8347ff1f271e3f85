"""From models to LiteLLM's entries to YAML: exact, deterministic, and what was meant after parsing."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from unittest import mock

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.errors import SidecarError
from sidecar.models import entries
from sidecar.models.catalog import catalog_items as items_of
from sidecar.models.catalog import parse_models
from sidecar.models.entries import MANAGED_PREFIX, build_entries, dump_entries, model_info, models_file_bytes
from sidecar.service.sync import entries_for
from sidecar.settings import Settings
from sidecar.targets.models_file import verify_models_file
from tests.fakes.catalog import CHAT, MESSAGES, RESPONSES, WS, demo_catalog, model, nano, tier, tiered
from tests.support.examples import examples

LONG = tiered(
    tier(300, 1500, 30, cache_write_price=375, max_prompt_tokens=200_000),
    tier(600, 2250, 60, max_prompt_tokens=936_000),
)
ALL = {"COPILOT_PICKER_ONLY": "false", "COPILOT_EMBEDDINGS": "true", "COPILOT_SLASHED_IDS": "true"}


def info_of(id="m", environ=None, **fields):
    (found,), _ = parse_models([model(id, **fields)])
    return model_info(found, Settings.load(environ or {}))


def file_of(items, **environ):
    """The bytes that a sync would publish for a catalog."""
    return models_file_bytes(entries_for(items, Settings.load(environ))[1])


def entries_of(items, **environ):
    return yaml.safe_load(file_of(items, **environ))["model_list"]


@pytest.mark.parametrize(
    ("kind", "endpoints", "mode", "listed"),
    [
        ("chat", None, "chat", ["/v1/chat/completions"]),
        ("chat", [CHAT], "chat", ["/v1/chat/completions"]),
        ("chat", [RESPONSES, WS], "responses", ["/v1/responses"]),
        ("chat", [CHAT, RESPONSES], "chat", ["/v1/chat/completions", "/v1/responses"]),
        ("chat", [MESSAGES], "chat", ["/v1/messages"]),
        ("chat", [MESSAGES, RESPONSES], "responses", ["/v1/responses", "/v1/messages"]),
        ("embeddings", None, "embedding", ["/v1/embeddings"]),
    ],
)
def test_mode(kind, endpoints, mode, listed):
    """The mode routes a model to an endpoint that it has; endpoints come in LiteLLM's spelling."""
    info = info_of(type=kind, endpoints=endpoints)
    assert (info["mode"], info["supported_endpoints"]) == (mode, listed)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, (112_000, 16_000, 16_000)),
        ({"max_prompt_tokens": 100_000}, (100_000, 16_000, 16_000)),
        ({"max_prompt_tokens": None}, (112_000, 16_000, 16_000)),
        ({"max_prompt_tokens": None, "max_output_tokens": None}, (None, None, None)),
        ({"max_prompt_tokens": None, "max_context_window_tokens": None}, (None, 16_000, 16_000)),
        ({"max_prompt_tokens": None, "max_context_window_tokens": 16_000}, (None, 16_000, 16_000)),
        ({"max_output_tokens": None}, (112_000, None, None)),
    ],
)
def test_limits(limits, expected):
    """The prompt's limit is the catalog's, else window minus output; nothing is guessed."""
    info = info_of(limits=limits)
    assert tuple(info.get(key) for key in ["max_input_tokens", "max_output_tokens", "max_tokens"]) == expected


def test_long_context_can_be_declined():
    """COPILOT_LONG_CONTEXT=false ends a prompt where the dearer price begins, if there is one, and changes no price."""
    dear = tiered(tier(300, 1500, context_max=200_000), tier(600, 2250))
    same = tiered(tier(300, 1500, context_max=200_000), tier(300, 1500))
    short = Settings.load({"COPILOT_LONG_CONTEXT": "false"})
    for limits, billing, expected in (
        ({"max_prompt_tokens": 936_000}, dear, 200_000),
        ({"max_prompt_tokens": 120_000}, dear, 120_000),
        ({"max_prompt_tokens": None, "max_output_tokens": None}, dear, 200_000),
        ({"max_prompt_tokens": 936_000}, same, 936_000),
        ({"max_prompt_tokens": 936_000}, None, 936_000),
    ):
        (found,), _ = parse_models([model("m", limits=limits, billing=billing)])
        capped, whole = model_info(found, short), model_info(found, Settings())
        assert capped.pop("max_input_tokens") == expected
        assert whole.pop("max_input_tokens", None) == limits["max_prompt_tokens"]
        assert capped == whole


def test_limits_of_an_embedding_model():
    """An embedding model has an input and no output."""
    info = info_of(type="embeddings", limits={"max_context_window_tokens": 8192})
    assert (info["max_input_tokens"], info["max_tokens"]) == (8192, 8192) and "max_output_tokens" not in info


CAPABILITIES = {
    "tool_calls": ["supports_function_calling", "supports_tool_choice"],
    "parallel_tool_calls": ["supports_parallel_function_calling"],
    "structured_outputs": ["supports_response_schema", "supports_native_structured_output"],
    "vision": ["supports_vision"],
    "adaptive_thinking": ["supports_adaptive_thinking"],
}


@pytest.mark.parametrize("name", CAPABILITIES)
@pytest.mark.parametrize(("said", "expected"), [(True, True), (False, False), (None, False), ("true", False)])
def test_capabilities(name, said, expected):
    """Each capability is stated as the catalog states it, no included."""
    info = info_of(supports={name: said})
    assert [info[key] for key in CAPABILITIES[name]] == [expected] * len(CAPABILITIES[name])


def test_capabilities_that_the_catalog_does_not_mention():
    """Where the catalog says nothing of capabilities, LiteLLM's own knowledge applies."""
    item = model("m")
    del item["capabilities"]["supports"]
    (found,), _ = parse_models([item])
    named = [key for key in model_info(found, Settings()) if key.startswith("supports_")]
    assert named == ["supports_system_messages"]


def test_reasoning():
    """Reasoning is stated with its efforts and budgets."""
    info = info_of(reasoning=["low", "xhigh"], supports={"min_thinking_budget": 1024, "max_thinking_budget": 32_000})
    assert info["supports_reasoning"] and info["reasoning_effort_levels"] == ["low", "xhigh"]
    assert info["supports_xhigh_reasoning_effort"] and not info["supports_minimal_reasoning_effort"]
    assert (info["min_thinking_budget"], info["max_thinking_budget"]) == (1024, 32_000)
    assert info_of()["supports_reasoning"] is False


def costs(info):
    return {key: value for key, value in info.items() if "cost" in key}


@pytest.mark.parametrize(
    ("billing", "expected"),
    [
        (
            tiered(tier(1000, 5000, 100, cache_write_price=1250)),
            {
                "input_cost_per_token": "0.00001",
                "output_cost_per_token": "0.00005",
                "cache_read_input_token_cost": "0.000001",
                "cache_creation_input_token_cost": "0.0000125",
            },
        ),
        (
            tiered(tier(300, 1500)),
            {
                "input_cost_per_token": "0.000003",
                "output_cost_per_token": "0.000015",
                "cache_read_input_token_cost": "0.000003",
                "cache_creation_input_token_cost": "0.000003",
            },
        ),
        (
            nano(110, 440, 55),
            {
                "input_cost_per_token": "0.0000011",
                "output_cost_per_token": "0.0000044",
                "cache_read_input_token_cost": "0.00000055",
                "cache_creation_input_token_cost": "0.0000011",
            },
        ),
        (tiered({"output_price": 40}), {}),
        (None, {}),
        (tiered(tier(10, 40), batch_size=0), {}),
    ],
)
def test_costs(billing, expected):
    """Prices are USD per token, exact; tokens whose cache has no price of its own cost what input tokens cost."""
    found = {key: value for key, value in costs(info_of(billing=billing)).items() if "_above_" not in key}
    assert found == {key: Decimal(value) for key, value in expected.items()}


@pytest.mark.parametrize(
    ("boundary", "suffix"), [(200_000, "200k"), (252_000, "252k"), (272_000, "272k"), (128_500, "128500"), (999, "999")]
)
def test_costs_above_a_boundary(boundary, suffix):
    """The second tier is written for any boundary in the spelling that LiteLLM parses."""
    info = info_of(billing=tiered(tier(250, 1500, 25, context_max=boundary), tier(500, 2250, 50)))
    assert info[f"input_cost_per_token_above_{suffix}_tokens"] == Decimal("0.000005")
    assert info[f"output_cost_per_token_above_{suffix}_tokens"] == Decimal("0.0000225")
    assert info[f"cache_read_input_token_cost_above_{suffix}_tokens"] == Decimal("0.0000005")


INHERITED = [
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost",
    "cache_creation_input_token_cost_above_1hr",
    "cache_read_input_token_cost_above_200k_tokens",
    "cache_creation_input_token_cost_above_200k_tokens",
]


@pytest.mark.parametrize(
    ("billing", "prices"),
    [
        pytest.param(tiered(tier(300, 1500)), "live", id="no cache prices"),
        pytest.param(tiered(tier(300, 1500, 30)), "live", id="no price for writing"),
        pytest.param(tiered(tier(300, 1500, context_max=128_000), tier(600, 2250)), "live", id="two tiers"),
        pytest.param(nano(110, 440, 55), "live", id="flat"),
        pytest.param(LONG, "zero", id="zero"),
        pytest.param(None, "zero", id="zero without prices"),
    ],
)
def test_nothing_is_left_to_fill_in(billing, prices):
    """Every price that LiteLLM would take from its own map is written."""
    assert set(INHERITED) <= set(info_of(environ={"COPILOT_PRICES": prices}, billing=billing))


@pytest.mark.parametrize(
    ("default", "longer", "expected"),
    [
        ({}, {}, (250, 500, 250, 500)),
        ({"cache_write_price": 312}, {}, (250, 500, 312, 312)),
        ({}, {"cache_write_price": 625}, (250, 500, 250, 625)),
        ({"cache_read_price": 25}, {}, (25, 25, 250, 500)),
    ],
)
def test_cache_prices_that_a_tier_lacks(default, longer, expected):
    """What the second tier lacks is as in the first, and where both lack it, what input tokens cost there."""
    billing = tiered(tier(250, 1500, context_max=272_000) | default, tier(500, 2250) | longer)
    info = info_of(billing=billing)
    above = "_above_272k_tokens"
    keys = ["cache_read_input_token_cost", "cache_creation_input_token_cost"]
    found = [info[key + suffix] * 100_000_000 for key in keys for suffix in ("", above)]
    assert found == list(expected)
    for suffix in ("", above):
        assert info[f"cache_creation_input_token_cost_above_1hr{suffix}"] == info[keys[1] + suffix]


@pytest.mark.parametrize(
    ("promo", "expected"),
    [
        ({"id": "x", "discount_percent": 50, "ends_at": "2026-12-31T23:59:59Z"}, (50, "2026-12-31T23:59:59Z")),
        ({"discount_percent": 12.5, "ends_at": "2026-12-31T23:59:59+02:00"}, (12.5, "2026-12-31T21:59:59Z")),
        ({"discount_percent": 20, "ends_at": "2026-12-31"}, (20, "2026-12-31T00:00:00Z")),
        ({"discount_percent": 20, "ends_at": "soon\n"}, (20, None)),
        ({"discount_percent": 20}, (20, None)),
        ({"discount_percent": 20, "ends_at": "0001-01-01T00:00:00+14:00"}, (20, None)),
        ({"discount_percent": 0}, (None, None)),
        ({"discount_percent": 101}, (None, None)),
        ({"discount_percent": "50"}, (None, None)),
        ({"discount_percent": float("nan")}, (None, None)),
        ([50], (None, None)),
    ],
)
def test_a_promotion_is_a_fact_and_changes_no_price(promo, expected):
    """A promotion is shown with its end in UTC; the prices stay what the catalog says."""
    billing = tiered(tier(300, 1500, 30, cache_write_price=375))
    info = info_of(billing={**billing, "promo": promo})
    assert (info.get("promo_discount_percent"), info.get("promo_ends_at")) == expected
    assert costs(info) == costs(info_of(billing=billing))


@pytest.mark.parametrize(
    ("prices", "expected"),
    [("litellm", {}), ("zero", dict.fromkeys(["input_cost_per_token", "output_cost_per_token"], Decimal(0)))],
)
def test_other_prices(prices, expected):
    """COPILOT_PRICES leaves prices to LiteLLM, or makes them zero."""
    found = costs(info_of(environ={"COPILOT_PRICES": prices}, billing=LONG))
    assert expected.items() <= found.items() and not any(found.values()) and (expected or not found)


def test_prompt_caching():
    """A price for reading the cache says that there is one; without prices nothing is said."""
    assert info_of(billing=tiered(tier(1, 2, 1)))["supports_prompt_caching"] is True
    assert info_of(billing=tiered(tier(1, 2)))["supports_prompt_caching"] is False
    assert "supports_prompt_caching" not in info_of()


def test_facts_for_people():
    """What people want to see is in model_info; what the catalog does not state is omitted."""
    info = info_of(vendor="Anthropic", preview=True, category="powerful", name="Claude Fable 5", policy="enabled")
    shown = {key: info[key] for key in ["vendor", "preview", "category", "display_name"]}
    assert shown == {"vendor": "Anthropic", "preview": True, "category": "powerful", "display_name": "Claude Fable 5"}
    assert "deprecation_date" not in info and None not in info.values()


def test_headers():
    """Every model has the four editor headers in lower case; one that sees images asks for them too."""
    entries = {item["model_name"]: item["litellm_params"] for item in entries_of([model("a"), model("b", vision=True)])}
    plain = entries["github_copilot/a"]["extra_headers"]
    assert set(plain) == {"editor-version", "editor-plugin-version", "copilot-integration-id", "user-agent"}
    assert entries["github_copilot/b"]["extra_headers"] == {**plain, "copilot-vision-request": "true"}
    changed = entries_of([model("a")], COPILOT_EDITOR_VERSION="vscode/9.9.9")[0]
    assert changed["litellm_params"]["extra_headers"]["editor-version"] == "vscode/9.9.9"


def test_nothing_is_sent_to_copilot_as_a_parameter():
    """litellm_params holds the model and its headers, and nothing that LiteLLM would pass on; model_info is beside."""
    for entry in entries_of(demo_catalog(), **ALL):
        assert set(entry) == {"model_name", "litellm_params", "model_info"}
        assert set(entry["litellm_params"]) == {"model", "extra_headers"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("prefixed", ["github_copilot/a", "github_copilot/b"]),
        ("bare", ["a", "b"]),
        ("both", ["github_copilot/a", "a", "github_copilot/b", "b"]),
    ],
)
def test_names(names, expected):
    """COPILOT_MODEL_NAMES decides what clients call a model; two names of one carry the same model_info."""
    entries = entries_of([model("b"), model("a")], COPILOT_MODEL_NAMES=names)
    assert sorted(item["model_name"] for item in entries) == sorted(expected)
    keys = [item["model_info"].pop("id") for item in entries]
    assert len(set(keys)) == len(keys) and all(key.startswith(MANAGED_PREFIX) for key in keys)
    by_model = {item["litellm_params"]["model"]: item["model_info"] for item in entries}
    assert all(by_model[item["litellm_params"]["model"]] == item["model_info"] for item in entries)


def test_file_is_what_was_meant():
    """The models file starts with its warning and parses to the entries, numbers being numbers."""
    data = file_of(demo_catalog(), **ALL)
    assert data.startswith(b"# ") and b"Do not edit" in data.splitlines()[0] and data.isascii()
    meant = entries_for(demo_catalog(), Settings.load(ALL))[1]
    parsed = yaml.safe_load(data)
    assert list(parsed) == ["model_list"]
    as_floats = json.loads(json.dumps(meant, default=float))
    assert parsed["model_list"] == as_floats


def test_no_floating_point_dust():
    """Prices are written in fixed point, with no more digits than they have."""
    data = file_of([model("m", billing=tiered(tier(300, 0.1, 30), batch_size=1_000_000))]).decode()
    lines = [line.strip() for line in data.splitlines()]
    assert "input_cost_per_token: 0.000003" in lines and "output_cost_per_token: 0.000000001" in lines
    zero = file_of([model("m")], COPILOT_PRICES="zero").decode()
    assert "input_cost_per_token: 0.0\n" in zero


def test_empty_file():
    """No entries make a valid file with an empty list."""
    assert yaml.safe_load(models_file_bytes([])) == {"model_list": []}


@pytest.mark.parametrize(
    "text", ["yes", "null", "~", "1.0", "1e3", "0x10", "12:30:45", "2027-01-31", "- x", "a: b", "#", "!!int 3", "*a",
             "&a", "'", '"', "{", "[", "%", "@", "`", "|", ">", "=", "<<", "\u2028", "é🤖", "x" * 119, "  a  ", "\\n",
             "null\n..."]
)  # fmt: skip
def test_text_stays_text(text):
    """Text that YAML could take for something else comes back as the same text."""
    (found,), _ = parse_models([model("m", vendor=text, name=text)])
    (entry,) = entries_of([model("m", vendor=text, name=text)])
    assert entry["model_info"].get("vendor", "") == found.vendor
    assert entry["model_info"].get("display_name", "") == found.name


class InPython(yaml.SafeDumper):
    """PyYAML without libyaml."""

    yaml_representers = entries._Dumper.yaml_representers

    def ignore_aliases(self, data):
        return True


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_the_bytes_are_those_of_pyyaml_without_libyaml(texts):
    """An image with libyaml and a laptop without it publish the same file."""
    items = [{"model_name": text, "model_info": {"list": [text, {}], "cost": Decimal("0.0000012")}} for text in texts]
    quick = dump_entries(items)
    with mock.patch.object(entries, "_Dumper", InPython):
        assert dump_entries(items) == quick


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
ALIKE = st.sampled_from([0, 0.0, -0.0, False, Decimal(0), Decimal("-0"), 1, 1.0, True, Decimal("1.0"), "1", "1.0", ""])
SCALARS = TEXTS | st.none() | st.integers() | st.floats() | st.decimals(-10, 10) | ALIKE
VALUES = st.recursive(SCALARS, lambda of: st.lists(of) | st.dictionaries(TEXTS, of), max_leaves=20)


@pytest.mark.parametrize("dumper", [entries._Dumper, InPython])
@examples(60)
@given(st.lists(VALUES, min_size=1))
def test_the_bytes_are_those_of_yaml_dump(dumper, items):
    """Whatever an entry holds, and whatever equal value of another type came before it."""
    with mock.patch.object(entries, "_Dumper", dumper):
        assert dump_entries(items) == yaml.dump(items, Dumper=dumper, sort_keys=False, width=10_000)


@pytest.mark.parametrize(
    "id", ["1e3", "0o7", "1.5", "12", "on", "null", "1_000", "4:30", "2027-01-31", "0x1F", "y", "nan"]
)
def test_ids_stay_text(id):
    """An id that looks like a number, a date or a truth value stays an id."""
    (entry,) = entries_of([model(id)], COPILOT_MODEL_NAMES="bare")
    assert entry["model_name"] == id and entry["litellm_params"]["model"] == f"github_copilot/{id}"


def test_any_order_gives_equal_bytes():
    """The same catalog in any order, with its fields in any order, gives the same bytes."""
    catalog = [*demo_catalog(), model("gpt-4o", version="other"), model("gpt-4o", picker=False)]
    expected = file_of(catalog, **ALL)
    for seed in range(4):
        shuffled = random.Random(seed)
        shuffled.shuffle(catalog)
        turned = [dict(shuffled.sample(list(item.items()), len(item))) for item in catalog]
        assert file_of(turned, **ALL) == expected


def test_rendering_what_was_rendered_changes_nothing():
    """Entries that were read from the file and written again mean the same."""
    text = dump_entries(entries_for(demo_catalog(), Settings.load(ALL))[1])
    again = yaml.safe_load(text)
    assert yaml.safe_load(dump_entries(again)) == again


def test_each_user_his_own_seat():
    """COPILOT_CREDENTIAL_NAME puts every entry, under every name, under that credential; without it nothing is said."""
    catalog = [*demo_catalog(), model("embed", type="embeddings")]
    found = entries_of(catalog, COPILOT_CREDENTIAL_NAME="team", COPILOT_MODEL_NAMES="both", **ALL)
    seats = [
        (
            entry["litellm_params"].get("litellm_credential_name"),
            entry["litellm_params"].get("github_copilot_auth_type"),
        )
        for entry in found
    ]
    assert set(seats) == {("team", "per_user_oauth")} and len(seats) > 10
    shared = entries_of(catalog, COPILOT_MODEL_NAMES="both", **ALL)
    assert all(set(entry["litellm_params"]) == {"model", "extra_headers"} for entry in shared)
    assert [entry["model_info"] for entry in found] == [entry["model_info"] for entry in shared]


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(0, 10**6), st.floats(allow_nan=False),
    st.decimals(allow_nan=False),
    st.text(st.characters(categories=None), max_size=20),
    st.sampled_from(["chat", CHAT, RESPONSES, "enabled", "*", "!!x"]),
)  # fmt: skip
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    "id", "name", "vendor", "version", "preview", "model_picker_enabled", "policy", "supported_endpoints", "billing",
    "capabilities", "limits", "supports", "type", "token_prices", "batch_size", "default", "long_context",
    "input_price", "promo", "discount_percent", "ends_at",
    "context_max", "max_output_tokens", "reasoning_effort", "warning_messages", "state", "max_context_window_tokens",
]  # fmt: skip
FIELDS = st.recursive(
    JSON,
    lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=6) | st.lists(inner, max_size=2),
    max_leaves=12,
)
IDS = st.sampled_from(["gpt-4o", "a/b", "github_copilot/gpt-4o", "m"])
ITEMS = st.builds(lambda item, key: {**item, "id": key}, st.dictionaries(st.sampled_from(NAMES), FIELDS), IDS | SCALARS)
WITH_CATALOG_SHAPE = st.builds(
    lambda base, changes: {**base, **changes},
    st.sampled_from(demo_catalog()),
    st.dictionaries(st.sampled_from(NAMES), FIELDS, max_size=3),
)
CATALOGS = st.one_of(
    JSON, st.builds(lambda data: {"data": data}, st.lists(ITEMS | WITH_CATALOG_SHAPE | JSON, max_size=5))
)


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(CATALOGS, st.sampled_from(["prefixed", "bare", "both"]), st.randoms(use_true_random=False))
def test_any_catalog(payload, names, order):
    """Any JSON whatever gives a valid models file, the same in any order, or a SidecarError."""
    environ = {**ALL, "COPILOT_MODEL_NAMES": names}
    try:
        found = items_of(payload)
        _, entries = entries_for(found, Settings.load(environ))
        data = models_file_bytes(entries)
        verify_models_file(data, entries)
    except SidecarError:
        return
    parsed = yaml.safe_load(data)["model_list"]
    assert len(parsed) == len(entries) > 0
    order.shuffle(found)
    assert file_of(found, **environ) == data


def unsafe(text):
    return not text.isascii() or not text.isprintable() or bool(set(text) & set(" *!&`$'\"\\|;<>(){}[]?"))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.text(st.characters(categories=None), min_size=1, max_size=8), min_size=1, max_size=5))
def test_no_dangerous_id_gets_through(ids):
    """No id that YAML, a shell or a terminal could misread becomes a model's name."""
    for entry in entries_of([model("good"), *(model(key) for key in ids)], **ALL):
        assert not unsafe(entry["model_name"]) and not unsafe(entry["litellm_params"]["model"])


def test_a_name_is_never_given_twice():
    """A router's id that looks like another model's name, or a provider's, has its prefixed name only."""
    ids = ["gpt-4o", "github_copilot/gpt-4o", "openai/gpt-4o"]
    models, _ = parse_models([model(key) for key in ids])
    for names, expected in [("prefixed", {"github_copilot/gpt-4o"}), ("bare", {"gpt-4o"})]:
        found, notes = build_entries(models, Settings(names=names, slashed_ids=True))
        routers = {"github_copilot/github_copilot/gpt-4o", "github_copilot/openai/gpt-4o"}
        assert {entry["model_name"] for entry in found} == expected | routers and len(found) == 3 and not notes
    found, _ = build_entries(models, Settings(names="both", slashed_ids=True))
    names = [entry["model_name"] for entry in found]
    assert len(names) == len(set(names)) == 4
