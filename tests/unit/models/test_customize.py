"""The user's alias and override files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.errors import StorageError, UsageError
from sidecar.files import read_file
from sidecar.models.catalog import Model, parse_models
from sidecar.models.customize import Alias, Custom, load_custom, resolve_aliases
from sidecar.models.entries import build_entries
from sidecar.settings import Settings
from tests.fakes.catalog import model


def models(*ids: str, previews: tuple[str, ...] = ()) -> list[Model]:
    found, _ = parse_models([model(key, preview=key in previews) for key in ids])
    return found


def load(tmp_path: Path, *, aliases: str | None = None, overrides: str | None = None) -> Custom:
    environ = {}
    for name, text in (("ALIASES", aliases), ("OVERRIDES", overrides)):
        if text is not None:
            path = tmp_path / f"{name.lower()}.yaml"
            path.write_text(text)
            environ[f"COPILOT_{name}_FILE"] = str(path)
    return load_custom(Settings.load(environ), read_file)


@pytest.mark.parametrize(
    ("pattern", "ids", "newest"),
    [
        ("claude-sonnet-*", ["claude-sonnet-4", "claude-sonnet-4.6", "claude-sonnet-5"], "claude-sonnet-5"),
        ("claude-sonnet-*", ["claude-sonnet-9", "claude-sonnet-10"], "claude-sonnet-10"),
        ("gpt-*", ["gpt-5.4", "gpt-5.4-mini", "gpt-5.3-codex"], "gpt-5.4"),
        ("gpt-4o*", ["gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-2024-11-20"], "gpt-4o-2024-11-20"),
        ("*", ["b-1", "a-1"], "a-1"),
    ],
)
def test_newest(pattern: str, ids: list[str], newest: str) -> None:
    """The highest numbers win, then the shortest id, then the alphabet; the order of the catalog has no say."""
    for order in (ids, ids[::-1]):
        assert resolve_aliases([Alias("a", pattern, True)], models(*order), []) == ({"a": newest}, [])


def test_newest_is_no_preview_among_equals() -> None:
    """Of two models with the same numbers the one that is no preview wins."""
    found = models("m-2", "m-2-long", previews=("m-2",))
    assert resolve_aliases([Alias("a", "m-*", True)], found, [])[0] == {"a": "m-2-long"}


def test_a_real_model_keeps_its_name() -> None:
    """An alias with a model's name is skipped, with a note."""
    resolved, notes = resolve_aliases([Alias("gpt-4o", "other", False)], models("gpt-4o", "other"), ["gpt-4o"])
    assert resolved == {}
    assert notes == ["the alias gpt-4o is skipped: a model has that name"]


def test_an_alias_for_nothing() -> None:
    """An alias whose model does not exist is skipped, with a note."""
    resolved, notes = resolve_aliases([Alias("a", "x", False), Alias("b", "x*", True)], models("gpt-4o"), [])
    assert resolved == {}
    assert len(notes) == 2


def test_an_alias_becomes_an_entry(tmp_path: Path) -> None:
    """An alias has an entry of its own with the same model_info but for the id."""
    custom = load(tmp_path, aliases="best: newest of gpt-*\n")
    found, notes = build_entries(models("gpt-5", "gpt-4"), Settings(), custom)
    by_name = {entry["model_name"]: entry for entry in found}
    assert notes == []
    assert by_name["best"]["litellm_params"] == by_name["github_copilot/gpt-5"]["litellm_params"]
    ids = [by_name[name]["model_info"].pop("id") for name in ("best", "github_copilot/gpt-5")]
    assert ids == ["github_copilot/managed/gpt-5@alias:best", "github_copilot/managed/gpt-5"]
    assert by_name["best"]["model_info"] == by_name["github_copilot/gpt-5"]["model_info"]


def test_overrides_merge_in_order(tmp_path: Path) -> None:
    """Later patterns win, mappings are merged, and models that match nothing stay as they are."""
    custom = load(
        tmp_path,
        overrides=(
            "gpt-*:\n  litellm_params: {timeout: 30, extra_headers: {x-a: '1'}}\n"
            "gpt-5:\n  litellm_params:\n    timeout: 60\n  model_info: {note: n}\n"
        ),
    )
    found, _ = build_entries(models("gpt-5", "gpt-4", "o9"), Settings(), custom)
    by_name = {entry["model_name"].split("/")[1]: entry for entry in found}
    assert [by_name[name]["litellm_params"].get("timeout") for name in ("gpt-5", "gpt-4", "o9")] == [60, 30, None]
    assert by_name["gpt-5"]["litellm_params"]["extra_headers"]["x-a"] == "1"
    assert by_name["gpt-5"]["litellm_params"]["extra_headers"]["copilot-integration-id"] == "vscode-chat"
    assert by_name["gpt-5"]["model_info"]["note"] == "n"
    assert "note" not in by_name["gpt-4"]["model_info"]


@pytest.mark.parametrize(
    ("overrides", "line", "says"),
    [
        ("a: {}\n", 1, "must contain litellm_params"),
        ("a:\n  litellm_params: {timeout: 1}\nb: 5\n", 3, "must contain litellm_params"),
        ("a:\n  params: {}\n", 2, "'params'"),
        ("a:\n  litellm_params: 5\n", 2, "is not a mapping"),
        ("# x\n\na:\n  litellm_params: {model: b}\n", 4, "litellm_params.model"),
        ("a:\n  litellm_params: {api_key: b}\n", 2, "must not contain secrets"),
        ("a:\n  litellm_params: {api_base: http://b}\n", 2, "sent to that address"),
        ("a:\n  litellm_params: {base_url: http://b}\n", 2, "sent to that address"),
        ("a:\n  litellm_params: {configurable_clientside_auth_params: [api_base]}\n", 2, "address of their own"),
        ("a:\n  litellm_params: {use_litellm_proxy: true}\n", 2, "another proxy"),
        ("a:\n  litellm_params: {litellm_credential_name: b}\n", 2, "COPILOT_CREDENTIAL_NAME sets it"),
        ("a:\n  litellm_params: {github_copilot_auth_type: b}\n", 2, "COPILOT_CREDENTIAL_NAME sets it"),
        ("a:\n  litellm_params: {github_copilot_host: b.ghe.com}\n", 2, "the host is part of"),
        ("a:\n  model_info: {id: b}\n", 2, "model_info.id"),
        ("a:\n  model_info: {date: 2026-01-01}\n", 2, "put it in quotes"),
        ("a:\n  model_info: {n: .nan}\n", 2, "not finite"),
        ("a:\n  model_info: {5: b}\n", 2, "not a string"),
        ("a:\n  model_info: {max_tokens: '5'}\n", 2, "a number of 0 or more, without quotes"),
        ("a:\n  model_info: {input_cost_per_token: 1e-6}\n", 2, "a number of 0 or more, without quotes"),
        ("a:\n  model_info: {max_input_tokens: -1}\n", 2, "a number of 0 or more, without quotes"),
        ("a:\n  model_info: {mode: 5}\n", 2, "must be text"),
        ("a:\n  litellm_params: {extra_headers: {x: 5}}\n", 2, "texts as values (in quotes)"),
        ("a:\n  litellm_params: {extra_headers: x}\n", 2, "texts as values (in quotes)"),
        (
            "a:\n  litellm_params: {extra_headers: {Authorization: x}}\n",
            2,
            "no header of the connection or of the login",
        ),
        ("a:\n  litellm_params: {extra_headers: {x: 'os.environ/HOME'}}\n", 2, "litellm_params.extra_headers of a"),
        ("a:\n  litellm_params: {extra_body: {x: 1}}\n", 2, "extra_body of a is not one of the keys that may be set"),
        ("a:\n  litellm_params: {organization: b}\n", 2, "organization of a is not one of the keys that may be set"),
        ("a:\n  litellm_params: {azure_ad_token: b}\n", 2, "azure_ad_token of a is not one of the keys"),
        ("a:\n  litellm_params: {timeout: os.environ/HOME}\n", 2, "timeout of a must be a number"),
        ("a:\n  model_info: {note: see os.environ/HOME}\n", 2, "no reference to a secret"),
        ("a:\n  model_info: {note: {x: 1}}\n", 2, "model_info.note of a must be a number, true"),
        ("a:\n  model_info: {health_check_model: x}\n", 2, "LiteLLM would call another model"),
        ("5: {}\n", 1, "put it in quotes"),
        ("a: {model_info: {x: 1}}\na: {model_info: {x: 2}}\n", 2, "twice"),
        ("a:\n\t- b\n", 2, "not valid YAML"),
        ("a: !!python/object:os.system {}\n", 1, "not valid YAML"),
        ("- a\n", 1, "not a mapping"),
        ("a:\n  litellm_params:\n    timeout: 1\n    rpm: many\n", 4, "litellm_params.rpm of a must be a whole number"),
        ("a:\n  litellm_params: {\n  timeout: abc}\n", 3, "litellm_params.timeout of a must be a number"),
        (
            "a:\n  litellm_params: {timeout: 1}\n  model_info:\n    tier: x\n",
            4,
            "model_info.tier of a must be free or paid",
        ),
        ("a:\n  model_info:\n    supports_vision: much\n", 3, "must be true or false"),
        ("a:\n  model_info:\n    x: 1\n    5: b\n", 4, "the key 5"),
        ("a:\n  model_info:\n    x: 1\n    date: 2026-01-01\n", 4, "put it in quotes"),
        ("a:\n  model_info: {x: 1}\n  params: {}\n", 3, "'params'"),
        ("a:\n  litellm_params: &x {rpm: 1}\nb:\n  litellm_params: {<<: *x, tpm: no}\n", 4, "litellm_params.tpm of b"),
        ("'[gpt': 1\n", 1, "[gpt can match nothing: it has a `[` without its `]`"),
        ("ok*:\n  model_info: {x: 1}\ngpt 4: {}\n", 3, "gpt 4 can match nothing: it has ' '"),
        ("github_copilot/gpt-*:\n  model_info: {x: 1}\n", 1, "which no model id does"),
    ],
)
def test_mistakes_in_overrides_are_named_by_line(tmp_path: Path, overrides: str, line: int, says: str) -> None:
    """The message names the file, the line of the very key, and what is wrong with it."""
    with pytest.raises(UsageError) as caught:
        load(tmp_path, overrides=overrides)
    assert f"overrides.yaml, line {line}: " in str(caught.value)
    assert says in str(caught.value)
    assert caught.value.hint


def test_an_override_for_nothing(tmp_path: Path) -> None:
    """An override whose pattern matches no model is noted, once; the others are not."""
    custom = load(tmp_path, overrides="gtp-*: {model_info: {x: 1}}\ngpt-*: {model_info: {x: 1}}\n")
    _, notes = build_entries(models("gpt-5", "gpt-4"), Settings(), custom)
    assert notes == ["the override for gtp-* does nothing: no model matches it"]


@pytest.mark.parametrize(
    ("aliases", "says"),
    [
        ("a: newest of [gpt\n", "the alias a can match nothing: its pattern [gpt has a `[` without its `]`"),
        ("a: 5\n", "must refer to a model id"),
        ("a: [b]\n", "must refer to a model id"),
        ("a: 'newest of '\n", "is not a valid model id"),
        ("a: b c\n", "is not a valid model id"),
        ("'a b': c\n", "is not a valid model name"),
        ("'*': c\n", "is not a valid model name"),
    ],
)
def test_mistakes_in_aliases(tmp_path: Path, aliases: str, says: str) -> None:
    """A name that nobody could call, and a target that can be no model, are refused."""
    with pytest.raises(UsageError, match="line 1") as caught:
        load(tmp_path, aliases=aliases)
    assert says in str(caught.value)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    """A file that is named has to be there and be readable; an empty one is fine."""
    with pytest.raises(UsageError, match=r"COPILOT_ALIASES_FILE: .* does not exist"):
        load_custom(Settings.load({"COPILOT_ALIASES_FILE": str(tmp_path / "none.yaml")}), read_file)
    with pytest.raises(StorageError, match="cannot be read"):
        load_custom(Settings.load({"COPILOT_OVERRIDES_FILE": str(tmp_path)}), read_file)
    assert load(tmp_path, aliases="", overrides="# nothing\n") == Custom()
