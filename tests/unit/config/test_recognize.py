"""What is a LiteLLM config and what only looks like one; and that it is read as LiteLLM reads it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sidecar.config import recognize
from sidecar.config.edit import update_config
from sidecar.config.file import sync_config
from sidecar.config.recognize import load, parse_config, refuse_lookalike
from sidecar.config.yamltext import is_plain
from sidecar.errors import SidecarError, UsageError
from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX
from tests.support.paths import ROOT
from tests.unit.config.test_edit import bomb
from tests.unit.corpus.configs import CONFIGS, REFUSED
from tests.unit.corpus.lookalikes import LOOKALIKES

ENTRIES: list[dict[str, Any]] = [
    {
        "model_name": "new",
        "litellm_params": {"model": "github_copilot/new"},
        "model_info": {"id": MANAGED_PREFIX + "new", "mode": "chat"},
    }
]
FORMS_ONLY = {
    *("document end with comment", "directive, settings only", "tagged top level", "braces, trailing comma"),
    *("indented top level without list", "lone CR at the end of LF lines", "long settings"),
    *("scalar without newline, settings only", "scalar without newline, comment on top"),
    *("scalar and comment without newline", "scalar and blanks without newline"),
}
"""Configs of the corpus that show a form of YAML, with keys like ``x`` only."""
UNREADABLE = {"unknown tags": "the tag '!secret'", "complex keys": "unhashable key"}
"""What LiteLLM's loader refuses; ``update_config`` keeps its bytes all the same."""


@pytest.mark.parametrize("how", [{}, {"dry_run": True}, {"adopt": True}], ids=str)
@pytest.mark.parametrize(("text", "says"), [pytest.param(text, says, id=name) for name, text, says in LOOKALIKES])
def test_lookalike_is_refused(tmp_path: Path, text: bytes, says: str, how: dict[str, bool]) -> None:
    """A file of another program is refused with what it is and what to do instead, and nothing is written."""
    config = tmp_path / "config.yaml"
    config.write_bytes(text)
    with pytest.raises(UsageError, match=f"config.yaml: it is not a LiteLLM config: .*{says}") as caught:
        sync_config(config, ENTRIES, **how)
    assert caught.value.hint
    assert config.read_bytes() == text and [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_there_are_as_many_lookalikes_as_promised() -> None:
    """At least forty, no two the same."""
    assert len({text for _, text, _ in LOOKALIKES}) == len(LOOKALIKES) >= 40


def problem_of(text: bytes) -> str:
    try:
        refuse_lookalike(parse_config(text))
        load(text)
        load(update_config(text, ENTRIES).text)
    except UsageError as error:
        return str(error)
    return ""


def test_every_real_config_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the corpus of configs, none is taken for something else, but for those that have no key of LiteLLM's."""
    monkeypatch.setattr(recognize, "_MAX_EXACT", 10_000)
    found = {name: problem for name, text in CONFIGS if (problem := problem_of(text))}
    assert {name for name, problem in found.items() if "not a LiteLLM config" in problem} == FORMS_ONLY
    others = {name: problem for name, problem in found.items() if name not in FORMS_ONLY}
    assert others.keys() == UNREADABLE.keys()
    assert all(what in others[name] for name, what in UNREADABLE.items())


def test_kept_inputs_of_the_fuzzer_are_taken() -> None:
    """So it is with what the fuzzer has found, but for what is refused for another reason."""
    refused = {name.replace(" ", "-") for name, _, _ in REFUSED} | {name.replace(" ", "-") for name in FORMS_ONLY}
    for path in sorted((ROOT / "tests/fuzz/corpus/edit").iterdir()):
        name = path.stem.removeprefix("refused-").replace("--", ",-")
        if name not in refused and not path.stem.startswith("refused"):
            assert problem_of(path.read_bytes()) == "", path


@pytest.mark.parametrize("text", ["x: 1\nmodel_list: []\n", "include: [more.yaml]\n", "guardrails: []\nprompts: []\n"])
def test_config_by_its_keys(tmp_path: Path, text: str) -> None:
    """One key that is only LiteLLM's tells a config, and so do keys that are all LiteLLM's; at the next sync too."""
    config = tmp_path / "config.yaml"
    config.write_text(text)
    assert sync_config(config, ENTRIES).changed
    assert not sync_config(config, ENTRIES).changed
    assert sync_config(config, [{**ENTRIES[0], "model_name": "other"}]).changed


def test_config_that_an_earlier_version_has_added_to_stays_a_config(tmp_path: Path) -> None:
    """A list that we added does not make a manifest a config, nor a config with keys of its own none."""
    config = tmp_path / "config.yaml"
    config.write_bytes(update_config(b"x: 1\n", ENTRIES).text)
    assert not sync_config(config, ENTRIES).changed
    config.write_bytes(update_config(b"services: {}\n", ENTRIES).text)
    with pytest.raises(UsageError, match="a compose file") as caught:
        sync_config(config, ENTRIES)
    assert "Remove the `model_list`" in caught.value.hint


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_list: []\nx: !secret a\n", "line 2: could not determine a constructor"),
        ("model_list: []\nx: 2024-13-45\n", "month must be in"),
        ("model_list: []\n? [a]\n: b\n", "unhashable key"),
        ("model_list: []\nx: {<<: 1}\n", "expected a mapping or list of mappings"),
        (bomb(100, "{<<: [@, @], c: @}") + "model_list: []\n", "merge keys .* expand to more than"),
    ],
    ids=["tag", "date", "key", "merge", "bomb"],
)
def test_what_litellm_cannot_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str, large: bool
) -> None:
    """A config is changed only if LiteLLM can read it, before and after; what would fill the memory is not expanded."""
    monkeypatch.setattr(recognize, "_MAX_EXACT", 0 if large else 10_000)
    config = tmp_path / "config.yaml"
    config.write_text(text)
    with pytest.raises(UsageError, match=message):
        sync_config(config, ENTRIES)
    assert config.read_text() == text


@pytest.mark.parametrize("join", ["[@, @]", "{a: @, b: @}"])
def test_aliases_that_litellm_can_read_are_taken(tmp_path: Path, join: str) -> None:
    """Aliases without merge keys cost LiteLLM nothing, and are taken, and not expanded, here either."""
    config = tmp_path / "config.yaml"
    config.write_text(bomb(100, join) + "model_list: []\n")
    assert sync_config(config, ENTRIES).changed


def test_large_config_is_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The faster loader for large configs gives the same as LiteLLM's own, and so do the nodes of a parsed one."""
    texts = [text for name, text in CONFIGS if b"self: *x" not in text and name not in UNREADABLE]
    texts = [text for text in texts if len(text) < 10_000]
    monkeypatch.setattr(recognize, "is_plain", lambda _: False)
    exact = [load(text) for text in texts]
    monkeypatch.setattr(recognize, "_MAX_EXACT", 0)
    assert [load(text) for text in texts] == [load(text, parse_config(text)) for text in texts] == exact


_VALUES = [
    "",
    "a b",
    "x:y",
    "(1), -b",
    "'it''s: #'",
    '"q # "',
    "[a , 'b: c']",
    "{k: v, l: 'w'}",
    "[]",
    "{}",
    "a:",
    "-1",
    "~",
]
_ATOMS = [
    *"abk-_.#:,'\"[]{}/@~1\n\t",
    *(": ", "- ", "  ", "\n  ", "\n- ", " # c", "''", "a: ", "[a, b]", "é", "\r", "&a", "*a"),
]
_lines = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "", " ", "  ", "    ", "      "]),
    st.sampled_from(["", "", "- ", "- - ", "-   "]),
    st.sampled_from(["a: ", "b: ", "c: ", "d:", "a-b:   ", ""]),
    st.sampled_from(_VALUES),
    st.sampled_from(["", "", " # c: 'd", "  ", "#"]),
)
_texts = st.lists(_lines, min_size=1, max_size=8).map("\n".join) | st.lists(st.sampled_from(_ATOMS), max_size=12).map(
    "".join
)


def read(text: bytes, loader: Any) -> Any:
    try:
        return repr(yaml.load(io.TextIOWrapper(io.BytesIO(text), "utf-8"), Loader=loader))
    except (yaml.YAMLError, TypeError) as error:
        return type(error)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(["", "", "---\n"]), _texts, st.sampled_from(["\n", "\r\n"]))
def test_plain_config_is_the_same_to_both_readers(start: str, text: str, eol: str) -> None:
    """What counts as plain, both of PyYAML's parsers read the same, or refuse."""
    data = (start + text).replace("\n", eol).encode()
    assume(is_plain(data))
    assert read(data, yaml.CSafeLoader) == read(data, yaml.SafeLoader)


def test_what_the_parsers_may_read_differently_is_not_plain() -> None:
    """The forms in which they are known to differ, and all that a plain text has not; ours alone are plain."""
    assert is_plain(update_config(b'# mine\nmodel_list:\n- model_name: "a"  # b\n', ENTRIES).text)
    others = [
        "{x:,\n y: 1}",
        "x: 1 \t# c",
        "\ufeffx: 1",
        "x: é",
        'x: "\\/"',
        "x: &a 1",
        "x: !a b",
        "x: |\n  a",
        "? a",
        "x: a\n b",
    ]
    others += [
        "x:\ty",
        "x: 'a\n  b'",
        "%YAML 1.1\n---\na: b",
        "a: b\n...\n",
        "a: b\n---\n",
        "{a:b}",
        "<<: a",
        "=: a",
        "a: <",
        "a:\rb:",
    ]
    assert [text for text in others if is_plain(text.encode())] == []


def test_result_that_litellm_would_read_otherwise_is_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written is what LiteLLM's own loader gets from it: a mistake of the faster parser would be noticed."""
    config = tmp_path / "config.yaml"
    config.write_text("model_list: []\n")
    monkeypatch.setattr("sidecar.config.file.load", lambda *_: {"model_list": []})
    with pytest.raises(SidecarError, match="LiteLLM would not read what was intended"):
        sync_config(config, ENTRIES)
    assert config.read_text() == "model_list: []\n"
