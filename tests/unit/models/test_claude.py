"""The names that Claude Code asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.files import read_file
from sidecar.litellm_hot_reload.allowed import entry_problem
from sidecar.models.catalog import parse_models
from sidecar.models.claude import ASKED, claude_aliases, family, version
from sidecar.models.customize import load_custom
from sidecar.models.entries import build_entries
from sidecar.settings import Settings
from tests.fakes.catalog import CHAT, MESSAGES, model
from tests.support.entries import entries_of

BOTH = [CHAT, MESSAGES]


def aliases(*items: dict) -> dict[str, str]:
    return claude_aliases(parse_models(list(items))[0], ())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claude-sonnet-4.5", ("sonnet", (4, 5))),
        ("claude-sonnet-4-5-20250929", ("sonnet", (4, 5))),
        ("claude-3.7-sonnet", ("sonnet", (3, 7))),
        ("claude-3-5-haiku-20241022", ("haiku", (3, 5))),
        ("claude-opus-41", ("opus", (4, 1))),
        ("claude-opus-4.6-fast", ("opus", (4, 6))),
        ("claude-fable-5", ("fable", (5,))),
        ("claude-opus-4-20250514", ("opus", (4,))),
        ("gpt-5.4", ("", (5, 4))),
        ("my-claude-opus-4", ("", (4,))),
    ],
)
def test_family_and_version(name, expected):
    """Both spellings say the same family and version; a date is no part of it."""
    assert (family(name), version(name)) == expected


def test_the_newest_of_each_family_answers_to_what_claude_code_asks_for():
    """An id with dashes and a date is the newest of its family; a model that is there keeps its own name."""
    found = aliases(
        model("claude-opus-41", endpoints=BOTH),
        model("claude-opus-4.6", endpoints=BOTH),
        model("claude-sonnet-4", endpoints=BOTH),
        model("claude-sonnet-4.5", endpoints=BOTH),
        model("claude-sonnet-4.6", endpoints=BOTH),
        model("gpt-5.4"),
    )
    assert found["claude-sonnet-4-5"] == "claude-sonnet-4.5"
    assert found["claude-sonnet-4-5-20250929"] == "claude-sonnet-4.6"
    assert found["claude-sonnet-4-20250514"] == "claude-sonnet-4.6"
    assert found["claude-opus-4-1-20250805"] == "claude-opus-4.6"
    assert not [name for name in found if "haiku" in name or "gpt" in name]
    assert {family(name) for name in ASKED} == {"opus", "sonnet", "haiku", "fable"}


def test_a_model_that_claude_code_can_call_comes_first():
    """LiteLLM sends Claude Code's requests to /v1/messages, so that a newer model without it is no use."""
    found = aliases(model("claude-sonnet-5", endpoints=[CHAT]), model("claude-sonnet-4.6", endpoints=BOTH))
    assert found["claude-sonnet-4-5-20250929"] == "claude-sonnet-4.6"
    assert aliases(model("claude-sonnet-5", endpoints=[CHAT]))["claude-sonnet-4-6"] == "claude-sonnet-5"


def test_one_setting_switches_them_on():
    """COPILOT_CLAUDE_NAMES adds them, as entries that the hook takes; without it there are none."""
    items = [model("claude-haiku-4.5", endpoints=BOTH), model("gpt-4o")]
    without, found = entries_of(items), entries_of(items, COPILOT_CLAUDE_NAMES="true")
    names = {entry["model_name"]: entry["litellm_params"]["model"] for entry in found if entry not in without}
    expected = {name for name in ASKED if family(name) == "haiku"}
    assert (set(names), set(names.values())) == (expected, {"github_copilot/claude-haiku-4.5"})
    assert [entry for entry in found if entry_problem(entry)] == []


def test_real_names_and_the_users_own_come_first(tmp_path: Path):
    """A name that a model or an alias of the user's has is not given to another."""
    file = tmp_path / "aliases.yaml"
    file.write_text("claude-haiku-4-5: gpt-4o\n")
    settings = Settings.load(
        {"COPILOT_CLAUDE_NAMES": "true", "COPILOT_MODEL_NAMES": "bare", "COPILOT_ALIASES_FILE": str(file)}
    )
    models, _ = parse_models([model("claude-haiku-4", endpoints=BOTH), model("gpt-4o")])
    entries, notes = build_entries(models, settings, load_custom(settings, read_file))
    by_name = {entry["model_name"]: entry["litellm_params"]["model"] for entry in entries}
    assert by_name["claude-haiku-4-5"] == "github_copilot/gpt-4o" and notes == []
    assert by_name["claude-haiku-4"] == "github_copilot/claude-haiku-4"
    assert len(by_name) == len(entries)
