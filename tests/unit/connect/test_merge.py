"""Settings merged into a client's own file."""

from __future__ import annotations

import json
import tomllib

import pytest
import yaml

from sidecar.connect.merge import CannotMergeError, merged

CODEX = {"model": "new", "model_provider": "litellm", "model_providers": {"litellm": {"base_url": "u", "name": "L"}}}
CONTINUE = {"models": [{"name": "Copilot", "model": "new", "roles": ["chat"]}, {"name": "Copilot, fast", "model": "f"}]}


def test_json_keeps_what_else_is_there():
    """Other keys, their order, characters and the indent stay; ours are set at any depth."""
    old = '{\n\t"theme": "grün",\n\t"env": {"A": "1", "B": "2"},\n\t"n": 1.50\n}'
    text = merged(".json", old, {"env": {"B": "3", "C": "4"}}, {"theme": "dark", "$schema": "s"})
    assert list(json.loads(text)) == ["theme", "env", "n", "$schema"]
    assert json.loads(text)["env"] == {"A": "1", "B": "3", "C": "4"}
    assert '\n\t"theme": "grün"' in text and json.loads(text)["n"] == 1.5


TOML = """\
# mine
model = "old" # the best
approval_policy = "never"

[model_providers.litellm]
# my gateway
base_url = "old"
[tools]
model = "untouched"
"""


def test_toml_keeps_everything_else():
    """Only the values of our keys change; comments, order and other tables stay byte for byte."""
    text = merged(".toml", TOML, CODEX, {})
    assert text == (
        'model_provider = "litellm"\n\n'
        + TOML.replace('"old" #', '"new" #')
        .replace("[model_providers.litellm]\n", '[model_providers.litellm]\nname = "L"\n')
        .replace('base_url = "old"', 'base_url = "u"')
    )
    assert merged(".toml", text, CODEX, {}) == text


@pytest.mark.parametrize(
    "old", ["", "\n", "# only a comment", "[tools]\nx = 1\n", "x = [\n  [1],\n]\n", "a = '''\n[b]\n'''"]
)
def test_toml_that_has_none_of_it(old):
    """Ours is added where TOML allows it, and nothing is lost."""
    found = tomllib.loads(merged(".toml", old, CODEX, {}))
    assert found == {**tomllib.loads(old), **CODEX}


YAML = """\
# mine
name: My config   # yes
models:
  - name: Other
    model: x   # keep
  # ours:
  - name: Copilot
    model: old
    roles:
      - chat
  # the last
  - {name: Last, model: y}
# rules follow
rules:
  - be kind
"""


def test_yaml_keeps_everything_else():
    """An item of the same name is replaced where it is, another one added; comments and order stay."""
    text = merged(".yaml", YAML, CONTINUE, {"name": "Copilot", "schema": "v1"})
    assert text == (
        YAML.replace("model: old\n    roles:\n      - chat", "model: new\n    roles:\n    - chat").replace(
            "{name: Last, model: y}\n", "{name: Last, model: y}\n  - name: Copilot, fast\n    model: f\n"
        )
        + "schema: v1\n"
    )
    assert merged(".yaml", text, CONTINUE, {}) == text


@pytest.mark.parametrize(
    "old",
    [
        "",
        "# nothing\n",
        "models: []\n",
        "a: 1",
        "models:\n- name: Other\n",
        "model: |\n  long\n  text\nb: 2\n",
        "models:\n",
    ],
)
def test_yaml_that_has_none_of_it(old):
    """Ours is added, whatever the layout."""
    found = yaml.safe_load(merged(".yml", old, {"model": "m: #", **CONTINUE}, {}))
    there = yaml.safe_load(old) or {}
    assert found == {**there, "model": "m: #", "models": [*(there.get("models") or []), *CONTINUE["models"]]}


@pytest.mark.parametrize(
    ("suffix", "old", "why"),
    [
        (".json", '{\n  // comment\n  "a": 1\n}', "line 2.*comments"),
        (".json", '{"a": 1,}', "line 1.*trailing commas"),
        (".json", '{"a": 1, "a": 2}', "twice"),
        (".json", "[1]", "no mapping"),
        (".json", '{"model_providers": 1}', "model_providers that is no mapping"),
        (".json", "[" * 100_000, "cannot be read"),
        (".toml", "model = \n", "cannot be read"),
        (".toml", 'model_providers = {litellm = {base_url = "x"}}\n', "cannot be edited safely|cannot be read"),
        (".toml", '"model" = "quoted"\n', "cannot be edited safely|cannot be read"),
        (".yaml", "a: [\n", "cannot be read at line 2"),
        (".yaml", "- 1\n", "no mapping"),
        (".yaml", "{a: 1}\n", "cannot be"),
        (".yaml", "a: 1\n---\nb: 2\n", "cannot be read"),
    ],
)
def test_what_cannot_be_merged_is_refused(suffix, old, why):
    """Comments in JSON, a broken file, another shape: refused with the reason, never damaged."""
    with pytest.raises(CannotMergeError, match=why):
        merged(suffix, old, CODEX, {})


@pytest.mark.parametrize("old", ["models: [{name: A}]\n", "models: &m\n- name: Copilot\nx: *m\n", "models: text\n"])
def test_lists_that_cannot_be_edited(old):
    """A list in brackets, one that is used elsewhere, or no list at all."""
    with pytest.raises(CannotMergeError):
        merged(".yaml", old, CONTINUE, {})
