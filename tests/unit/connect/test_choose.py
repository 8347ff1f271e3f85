"""Which of the published models a client is told of."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.connect.choose import RESPONSES, Models
from sidecar.errors import UsageError
from tests.fakes import catalog
from tests.fakes.catalog import CHAT, MESSAGES, demo_catalog, model, tier, tiered
from tests.support.entries import entries_of

POWERFUL: dict[str, Any] = {"category": "powerful", "reasoning": ["low"]}


def models(*items: dict, **environ: str) -> Models:
    return Models(entries_of(items, **environ))


def priced(credits: float) -> dict[str, Any]:
    return tiered(tier(credits, credits))


def test_of_the_demonstration_catalog():
    """A strong one and a cheap one that call tools, at the endpoint that the client has, and the cheapest embedding."""
    found = models(*demo_catalog(), COPILOT_EMBEDDINGS="true")
    assert (found.strong()["id"], found.fast()["id"]) == ("gpt-5.4", "gpt-4o-mini")
    assert (found.strong(RESPONSES)["id"], found.fast(RESPONSES)["id"]) == ("gpt-5.3-codex", "gpt-5-mini")
    embedding = found.embedding()
    assert embedding is not None and embedding["name"] == "github_copilot/text-embedding-3-small"
    assert models(*demo_catalog()).embedding() is None


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (POWERFUL, {"category": "versatile", "reasoning": ["low"]}),
        ({"billing": priced(5)}, {"billing": priced(6)}),
        ({"billing": priced(5)}, {}),
        ({"billing": priced(9)}, {"billing": priced(1), "preview": True}),
        ({"billing": priced(9), **POWERFUL}, {"billing": priced(1), "category": "powerful"}),
        ({}, {"supports": {"tool_calls": None}, **POWERFUL}),
        ({}, {"warnings": [catalog.warning("model_deprecated", "It goes on 2027-01-31.")]}),
        ({"endpoints": [CHAT]}, {"endpoints": ["/responses"], **POWERFUL}),
    ],
)
def test_ability_comes_before_the_price(better, worse):
    """Tools, category, certainty and reasoning decide, and then what it costs; never the order of the list."""
    for ids in ("ab", "ba"):
        found = models(model(ids[0], **better), model(ids[1], **worse))
        assert found.strong()["id"] == ids[0]


def test_the_fast_one_is_small_before_it_is_cheap():
    """The cheapest of the smallest category."""
    found = models(
        model("large", category="versatile", billing=priced(1)),
        model("small", category="lightweight", billing=priced(3)),
        model("dear", category="lightweight", billing=priced(4)),
    )
    assert found.fast()["id"] == "small"


def test_names_that_claude_code_takes():
    """The id with dashes, then the id, then any name that begins right; only then the prefixed one."""
    items = [model("claude-opus-4.6", endpoints=[CHAT, MESSAGES])]
    for environ, name in (
        ({"COPILOT_CLAUDE_NAMES": "true", "COPILOT_MODEL_NAMES": "both"}, "claude-opus-4-6"),
        ({"COPILOT_MODEL_NAMES": "both"}, "claude-opus-4.6"),
        ({}, "github_copilot/claude-opus-4.6"),
    ):
        assert models(*items, **environ).claude("opus")["name"] == name


def test_a_family_that_is_not_there():
    """Another family takes its place: the next one that is named, else the most able."""
    found = models(model("claude-haiku-4.5"), model("claude-fable-5", **POWERFUL), model("gpt-5", **POWERFUL))
    assert found.claude("sonnet", "haiku")["id"] == "claude-haiku-4.5"
    assert found.claude("opus", "sonnet")["id"] == "claude-fable-5"


def test_nothing_to_choose():
    """Where no model fits, that is said, with what to do."""
    with pytest.raises(UsageError, match="none of the 1 published models is one of Claude's") as error:
        models(model("gpt-4o")).claude("opus")
    assert "COPILOT_ALIASES_FILE" in error.value.hint
    with pytest.raises(UsageError, match="can chat"):
        models(model("claude-fable-5", endpoints=[MESSAGES])).strong()
