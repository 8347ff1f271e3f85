"""Which models LiteLLM is given, and one reason for each that it is not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.errors import BadAnswer, SidecarError, UsageError
from sidecar.models.catalog import parse_models
from sidecar.models.selection import reachable_endpoints, select_models
from sidecar.settings import Settings
from tests.fakes.catalog import CHAT, MESSAGES, RESPONSES, WS, demo_catalog, model

EMBEDDING = model("embed", type="embeddings", picker=False)


def choose(items, **environ):
    models, refused = parse_models(items)
    return select_models(models, refused, Settings.load(environ))


def ids(selection):
    return [found.id for found in selection.models]


def reason(selection, label):
    (found,) = [item.reason for item in selection.omitted if item.label == label]
    return found


@pytest.mark.parametrize(
    ("kind", "listed", "reachable"),
    [
        ("chat", None, (CHAT,)),
        ("chat", [CHAT], (CHAT,)),
        ("chat", [RESPONSES, WS], (RESPONSES,)),
        ("chat", [MESSAGES], (MESSAGES,)),
        ("chat", [WS, MESSAGES, RESPONSES, CHAT], (CHAT, RESPONSES, MESSAGES)),
        ("chat", [], ()),
        ("chat", [WS], ()),
        ("chat", ["/v2/thoughts"], ()),
        ("embeddings", None, ("/embeddings",)),
        ("embeddings", ["/embeddings"], ("/embeddings",)),
        ("embeddings", [], ()),
        ("embeddings", [CHAT], ()),
        ("completion", None, ()),
        ("completion", [CHAT], ()),
        ("telepathy", None, ()),
    ],
)
def test_endpoints(kind, listed, reachable):
    """Listed endpoints count; where none are listed, the type decides; an empty list means not callable."""
    assert reachable_endpoints(parse_models([model("m", type=kind, endpoints=listed)])[0][0]) == reachable


@pytest.mark.parametrize(
    ("item", "environ", "why"),
    [
        (model("m", policy="disabled"), {}, "policy"),
        (model("m", endpoints=[]), {}, "no endpoint that LiteLLM can call"),
        (model("m", endpoints=[WS]), {}, "ws:/responses"),
        (model("m", type="completion"), {}, "completion"),
        (model("m", picker=False), {}, "COPILOT_PICKER_ONLY"),
        (EMBEDDING | {"id": "m"}, {}, "COPILOT_EMBEDDINGS"),
        (model("m", preview=True), {"COPILOT_PREVIEWS": "false"}, "COPILOT_PREVIEWS"),
        (model("m"), {"COPILOT_MODELS_INCLUDE": "good,x*"}, "COPILOT_MODELS_INCLUDE"),
        (model("m"), {"COPILOT_MODELS_EXCLUDE": "m*"}, "COPILOT_MODELS_EXCLUDE"),
        (model("m"), {"COPILOT_MODELS_INCLUDE": "m,good", "COPILOT_MODELS_EXCLUDE": "[l-n]"}, "COPILOT_MODELS_EXCLUDE"),
        (model("m"), {"COPILOT_MODELS_EXCLUDE": "?"}, "COPILOT_MODELS_EXCLUDE"),
    ],
)
def test_omitted(item, environ, why):
    """An omitted model has one reason, which names the setting if there is one."""
    selection = choose([item, model("good")], **environ)
    assert ids(selection) == ["good"] and why in reason(selection, "m")


@pytest.mark.parametrize(
    ("item", "environ"),
    [
        (model("m", policy="enabled"), {}),
        (model("m", policy="unconfigured"), {}),
        (model("m", preview=True), {}),
        (model("m", picker=False), {"COPILOT_PICKER_ONLY": "false"}),
        (EMBEDDING | {"id": "m"}, {"COPILOT_EMBEDDINGS": "true"}),
        (model("m"), {"COPILOT_MODELS_INCLUDE": "M,m,good"}),
        (model("m"), {"COPILOT_MODELS_EXCLUDE": "M"}),
    ],
)
def test_kept(item, environ):
    """A model that may be used and that nobody excludes is kept; patterns know upper and lower case."""
    assert ids(choose([item, model("good")], **environ)) == ["good", "m"]


def test_slashed_ids():
    """Routers and customers' own models are kept only when asked for."""
    items = [model("a/b/c"), model("m")]
    assert "COPILOT_SLASHED_IDS" in reason(choose(items), "a/b/c")
    assert ids(choose(items, COPILOT_SLASHED_IDS="true")) == ["a/b/c", "m"]


def test_picker_false_throughout():
    """On a plan without any model in the picker the filter gives way, and says so."""
    selection = choose([model("a", picker=False), model("b", picker=False), model("c", endpoints=[], picker=False)])
    assert ids(selection) == ["a", "b"] and "picker" in " ".join(selection.notes)


def test_picker_gives_way_to_patterns():
    """Patterns that name only models outside the picker get these: the picker never leaves nothing."""
    items = [model("in"), model("out", picker=False)]
    assert ids(choose(items, COPILOT_MODELS_INCLUDE="out")) == ["out"]


def test_embeddings_do_not_need_the_picker():
    """Embedding models are never in the picker; asked for, they come beside the picked ones only."""
    items = [model("in"), model("out", picker=False), EMBEDDING]
    assert ids(choose(items, COPILOT_EMBEDDINGS="true")) == ["embed", "in"]


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"COPILOT_MODELS_INCLUDE": "nothing-*"}, "COPILOT_MODELS_INCLUDE"),
        ({"COPILOT_MODELS_EXCLUDE": "*"}, "COPILOT_MODELS_EXCLUDE"),
        ({"COPILOT_PREVIEWS": "false"}, "COPILOT_PREVIEWS"),
    ],
)
def test_filters_that_leave_nothing(environ, named):
    """Filters that leave nothing are the user's mistake, named, and not an empty models file."""
    with pytest.raises(UsageError, match=named) as caught:
        choose([model("a", preview=True), model("b", preview=True)], **environ)
    assert caught.value.hint


def test_catalog_without_a_usable_model():
    """A catalog of nothing but what cannot be called is GitHub's failure, not the user's."""
    with pytest.raises(BadAnswer):
        choose([model("a", policy="disabled"), model("b", endpoints=[]), model("c", type="completion")])


def test_demo_catalog():
    """From a catalog with every variation the picker's callable models are taken, in the order of their ids."""
    selection = choose(demo_catalog())
    omitted = {item.label for item in selection.omitted}
    assert ids(selection) == sorted(ids(selection)) and not omitted & set(ids(selection))
    assert omitted | set(ids(selection)) == {item["id"] for item in demo_catalog()}
    assert omitted == {
        "gpt-live", "gpt-3.5-turbo", "claude-3-opus", "grok-4.6", "retired-preview", "text-embedding-3-small",
        "text-embedding-ada-002", "gpt-41-copilot", "accounts/fakeco/routers/auto-router",
        "accounts/fakeco/models/house-model",
    }  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(
        st.builds(
            model,
            st.sampled_from(["a", "b", "c", "d/e"]),
            picker=st.booleans(),
            preview=st.booleans(),
            type=st.sampled_from(["chat", "embeddings", "completion"]),
            endpoints=st.none() | st.lists(st.sampled_from([CHAT, RESPONSES, MESSAGES, WS]), max_size=2),
            policy=st.sampled_from([None, "enabled", "disabled"]),
        ),
        min_size=1,
        max_size=5,
    ),
    st.fixed_dictionaries(
        {},
        optional={name: st.sampled_from(["true", "false"]) for name in ["COPILOT_PICKER_ONLY", "COPILOT_PREVIEWS"]}
        | {name: st.sampled_from(["a,b", "*", "d/*"]) for name in ["COPILOT_MODELS_INCLUDE", "COPILOT_MODELS_EXCLUDE"]},
    ),
)
def test_never_down_to_nothing(items, environ):
    """Whatever is filtered, the result is at least one callable model or an error."""
    try:
        selection = choose(items, **environ)
    except SidecarError:
        return
    assert selection.models and all(reachable_endpoints(found) for found in selection.models)
    assert {item.label for item in selection.omitted}.isdisjoint(ids(selection))
