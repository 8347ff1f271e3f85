"""Entries of the older tool are known by what only it writes, whatever else is in them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from sidecar.config.edit import update_config
from sidecar.config.older import is_older
from sidecar.errors import UsageError
from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX
from tests.support.entries import managed_entry
from tests.support.older import FREE, HEADERS, older_config, older_entry

HAND: dict[str, Any] = {
    "model_name": "gpt-4o",
    "litellm_params": {"model": "github_copilot/gpt-4o", "extra_headers": HEADERS},
    "model_info": {"litellm_provider": "github_copilot", "mode": "chat", **FREE},
}


def changed(entry: dict[str, Any], part: str, **values: Any) -> dict[str, Any]:
    result = copy.deepcopy(entry)
    (result[part] if part else result).update(values)
    return result


@pytest.mark.parametrize(
    "entry",
    [
        older_entry("gpt-4o"),
        older_entry("gpt-4o", "github_copilot/gpt-4o"),
        older_entry("gpt-4o", cached=False),
        older_entry("gpt-4o", "my-own-name"),
        changed(HAND, "litellm_params", cache_models_for=0),
        changed(HAND, "model_info", cache_models_for=3600),
        changed(HAND, "", cache_models_for=3600),
        changed(HAND, "model_info", model_info={**FREE, "mode": "chat"}),
        changed(HAND, "litellm_params", model_info={"input_cost_per_token": 0, "output_cost_per_token": 0}),
    ],
)
def test_older(entry):
    """`cache_models_for` anywhere, or a `model_info` that is one level too deep and says that the model is free."""
    assert is_older(entry)


@pytest.mark.parametrize(
    "entry",
    [
        HAND,
        changed(HAND, "", model_info=None),
        changed(HAND, "litellm_params", model_info={"max_tokens": 5}),
        changed(HAND, "litellm_params", model_info={**FREE, "input_cost_per_token": 1e-6}),
        changed(HAND, "litellm_params", model_info=["input_cost_per_token"]),
        changed(HAND, "litellm_params", model="openai/gpt-4o", cache_models_for=7200),
        changed(older_entry("gpt-4o"), "", model_info={"id": MANAGED_PREFIX + "gpt-4o"}),
        managed_entry("gpt-4o"),
        {"model_name": "x"},
        {"model_name": "x", "litellm_params": None},
        {"litellm_params": {"model": ["github_copilot/x"]}},
        "cache_models_for",
        None,
    ],
)
def test_not_older(entry):
    """What a person may have written stays that person's: bare names, these headers, zero prices in their place."""
    assert not is_older(entry)


def refusal(*entries: dict[str, Any], name: str = "/etc/it's/config.yaml") -> UsageError:
    text = yaml.safe_dump({"model_list": list(entries)}, sort_keys=False).encode()
    with pytest.raises(UsageError) as caught:
        update_config(text, [], name=name)
    return caught.value


def test_refused_with_lines_and_the_command():
    """The refusal names each entry with its line, and one command, with the file quoted and the names kept."""
    error = refusal(older_entry("gpt-4o"), HAND, older_entry("o1", "o1"))
    assert "2 entries of an older tool" in str(error)
    assert "gpt-4o (line 2), o1 (line 27)" in str(error)
    command = "COPILOT_MODEL_NAMES=bare python -m sidecar sync --config '/etc/it'\"'\"'s/config.yaml' --adopt"
    assert f"`{command}`" in error.hint and "keep COPILOT_MODEL_NAMES=bare set" in error.hint


def test_the_command_keeps_the_names_that_clients_use():
    """Bare, prefixed or both, as in the config; other names of somebody's own need nothing."""
    prefixed = older_entry("gpt-4o", "github_copilot/gpt-4o")
    assert "`python -m sidecar sync --config c --adopt`" in refusal(prefixed, name="c").hint
    assert "`COPILOT_MODEL_NAMES=both python" in refusal(prefixed, older_entry("o1"), name="c").hint
    assert "`python -m sidecar" in refusal(older_entry("o1", "mine"), name="c").hint


def test_taken_over():
    """Ours instead of theirs, in their place; models that are no more go, and are not called taken over."""
    bare = [{**managed_entry(model), "model_name": model} for model in ("gpt-4o", "new")]
    text = older_config(["gpt-4o", "gone", "o1"]) + "# end\n"
    update = update_config(text.encode(), bare, adopt=True)
    assert (update.change.adopted, update.change.gone) == (("gpt-4o",), {"gone": "gone", "o1": "o1"})
    assert update.change.added == ("new",) and set(update.change.removed) == {"gone", "o1"}
    assert update.change.lines({"o1": "not in the picker"})[:3] == [
        "1 taken over: gpt-4o",
        "1 removed because Copilot no longer has them: gone",
        "1 removed because they are left out: o1 (not in the picker)",
    ]
    after = yaml.safe_load(update.text)
    assert [item["model_name"] for item in after["model_list"]] == ["gpt-4o", "new"]
    assert b"cache_models_for" not in update.text and after["general_settings"]["github_copilot"]
    assert update.text.startswith(b"# mine\n") and update.text.endswith(b"# end\n")
    assert update_config(update.text, bare).text == update.text


def test_taken_over_under_another_name():
    """Where the settings give the models other names than the config had, the result says which."""
    update = update_config(older_config(["gpt-4o"]).encode(), [managed_entry("gpt-4o")], adopt=True)
    assert update.change.renamed == {"gpt-4o": ("github_copilot/gpt-4o",)}
    assert update.change.lines() == [
        "1 taken over: gpt-4o",
        "1 of them have another name, which clients have to use: gpt-4o is now github_copilot/gpt-4o",
        "added github_copilot/gpt-4o",
    ]
