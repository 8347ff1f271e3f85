"""In-place updates of configs: what is foreign stays to the byte, what is managed becomes what was meant."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sidecar.config import edit
from sidecar.config.edit import update_config
from sidecar.errors import SidecarError, UsageError
from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX, is_managed
from sidecar.models.changes import FieldChange, is_same
from tests.unit.corpus.configs import CONFIGS, OWN, REFUSED, USUAL

corpus = pytest.mark.parametrize("config", [pytest.param(text, id=name) for name, text in CONFIGS])


def entry(name: str, **info: Any) -> dict[str, Any]:
    """An entry as the package generates it, with values that YAML could misread."""
    return {
        "model_name": name,
        "litellm_params": {
            "model": f"github_copilot/{name}",
            "extra_headers": {"editor-version": "vscode/1.104.1", "user-agent": "a \"b\" 'c' #d: é😀\u2028, [x] {y}"},
        },
        "model_info": {
            "id": MANAGED_PREFIX + name,
            "mode": "chat",
            "max_tokens": 16384,
            "input_cost_per_token": Decimal("0.0000015"),
            "output_cost_per_token": Decimal("1E+1"),
            "supports_vision": True,
            "version": "2024-08-06",
            "answer": "no",
            "supported_endpoints": ["/v1/chat/completions", "/v1/responses"],
            "empty": {},
            **info,
        },
    }


FIRST = [entry("gen-1"), entry("gen-2", note="two\nlines\n"), entry("gen-3")]
SECOND = [entry("gen-0"), entry("gen-1", mode="responses"), entry("gen-3")]


class Loader(yaml.SafeLoader):
    """What LiteLLM reads with, for tags and keys that it would refuse."""


Loader.add_multi_constructor(
    "", lambda loader, tag, node: (tag, node.value if isinstance(node, yaml.ScalarNode) else len(node.value))
)
Loader.add_constructor(
    "tag:yaml.org,2002:map",
    lambda loader, node: (
        {str(loader.construct_object(k, True)): loader.construct_object(v, True) for k, v in node.value}
        if any(not isinstance(k, yaml.ScalarNode) for k, _ in node.value)
        else loader.construct_mapping(node, True)
    ),
)


def parsed(text: bytes) -> dict[str, Any]:
    return yaml.load(text.decode(), Loader=Loader) or {}


def managed(text: bytes) -> list[Any]:
    return [item for item in parsed(text)["model_list"] if is_managed(item)]


def assert_reversible(config: bytes) -> None:
    """The four promises about one config without managed entries."""
    one = update_config(config, FIRST)
    assert one.change.added == ("gen-1", "gen-2", "gen-3")
    assert is_subsequence(config, one.text), "no foreign byte may go"
    assert update_config(one.text, FIRST).text == one.text, "a second sync changes nothing"
    two = update_config(one.text, SECOND)
    assert update_config(two.text, FIRST).text == one.text, "the place stays the same"
    assert update_config(one.text, []).text == config
    assert update_config(two.text, []).text == config


def is_subsequence(part: bytes, whole: bytes) -> bool:
    """Whether ``whole`` is ``part`` with bytes put in. A written ``null`` may move behind a comment sign."""
    start = 0
    while start < len(part) and part[start] == whole[start]:
        start += 1
    rest = iter(whole[start:])
    return all(byte in rest for byte in part[start:])


@corpus
def test_corpus_keeps_every_foreign_byte_and_comes_back(config: bytes) -> None:
    """Every config of the corpus keeps its bytes through updates, and is as it was when our entries go."""
    assert_reversible(config)


# The reader of LiteLLM needs half a minute for the longest, and what refers to itself cannot be compared with ==.
@pytest.mark.parametrize(
    "config",
    [pytest.param(text, id=name) for name, text in CONFIGS if len(text) < 100_000 and b"self: *x" not in text],
)
def test_corpus_means_the_same_to_the_reader_of_litellm(config: bytes) -> None:
    """To the parser that LiteLLM uses, nothing but our entries has been added to a config of the corpus."""
    before, after = parsed(config), parsed(update_config(config, FIRST).text)
    foreign = [item for item in after.pop("model_list") if not is_managed(item)]
    assert foreign == (before.pop("model_list", None) or [])
    assert after == before
    assert is_same(managed(update_config(config, FIRST).text), FIRST)


def test_corpus_is_as_large_as_promised() -> None:
    """The corpus has at least sixty configs, no two the same."""
    assert len(CONFIGS) >= 60
    assert len({text for _, text in CONFIGS}) == len(CONFIGS)


@pytest.mark.parametrize(("config", "message"), [pytest.param(text, says, id=name) for name, text, says in REFUSED])
def test_refused_with_a_reason_and_a_cure(config: bytes, message: str) -> None:
    """A config that cannot be updated safely is refused with the reason and with what to do."""
    with pytest.raises(UsageError, match=message) as caught:
        update_config(config, FIRST)
    assert caught.value.hint


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
def test_inserted_lines_end_as_the_others_do(eol: str) -> None:
    """Lines that are put in end as the config's own lines do, on Unix and on Windows."""
    text = update_config(USUAL.replace(b"\n", eol.encode()), FIRST).text.decode()
    assert text.count("\n") == text.count(eol)


def test_ten_thousand_lines_take_a_second_or_two() -> None:
    """An update of a long config takes some dozens of times as long as reading it once, and no more."""
    config = dict(CONFIGS)["long"]
    assert config.count(b"\n") > 10_000
    began = time.process_time()
    yaml.compose(config.decode(), Loader=yaml.CSafeLoader)
    reading = time.process_time() - began
    update_config(config, FIRST * 10)
    assert time.process_time() - began - reading < 100 * reading


def test_works_without_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyYAML has no C parser, its Python parser keeps the same promises."""
    monkeypatch.setattr("sidecar.config.yamltext.LOADERS", (yaml.SafeLoader,))
    for name, config in CONFIGS[::3]:
        if len(config) < 10_000:
            try:
                assert_reversible(config)
            except AssertionError as error:
                raise AssertionError(name) from error


@pytest.mark.parametrize("config", [b"{x:,\n y: 1}\n", b"x: 1 \t# c\n"])
def test_reads_what_only_one_of_the_readers_accepts(config: bytes) -> None:
    """A config that only one of PyYAML's two parsers accepts is updated all the same."""
    assert update_config(update_config(config, FIRST).text, []).text == config


def mine(name: str, model: str = "openai/x") -> str:
    return f"  - model_name: {name}  # mine\n    litellm_params: {{model: {model}}}\n"


def own(name: str) -> str:
    lines = edit.dump_entries([entry(name)]).splitlines()
    return "".join(f"  {line}\n" for line in lines)


def test_new_entries_go_to_the_place_of_the_first_and_comments_stay() -> None:
    """New entries take the place of the first old one, and comments between entries stay in theirs."""
    config = (
        "model_list:\n"
        + mine("a")
        + "  # before\n"
        + own("old-1")
        + "  # between\n\n"
        + own("old-2")
        + "  # after\n"
        + mine("b")
        + "x: 1\n"
    )
    result = update_config(config.encode(), [entry("new")])
    expected = (
        "model_list:\n" + mine("a") + "  # before\n" + own("new") + "  # between\n\n  # after\n" + mine("b") + "x: 1\n"
    )
    assert result.text.decode() == expected
    assert (result.change.added, result.change.removed) == (("new",), ("old-1", "old-2"))


def test_comment_on_the_last_line_of_a_managed_entry_stays() -> None:
    """A user's comment behind one of our entries outlives it, in a line of its own."""
    config = "model_list:\n" + own("old").rstrip("\n") + "  # keep me\n" + mine("b")
    for entries in ([entry("new")], []):
        assert b"\n  # keep me\n" in update_config(config.encode(), entries).text


def test_comment_behind_an_entry_does_not_become_part_of_a_block_scalar() -> None:
    """A comment that stays behind is indented so that the block text before it does not swallow it."""
    before = "  - model_name: a\n    note: |\n     text\n"
    config = "model_list:\n" + before + own("old").rstrip("\n") + "          # keep me\n"
    assert update_config(config.encode(), []).text.decode() == "model_list:\n" + before + "  # keep me\n"


def test_comments_left_behind_a_block_scalar_do_not_become_part_of_it() -> None:
    """A comment line after one of our entries stays a comment when block text comes to stand before it."""
    before = "model_list:\n  - model_name: a\n    note: |\n      text\n"
    result = update_config((before + own("old") + "      # keep me\n").encode(), []).text
    assert parsed(result) == parsed(before.encode())
    assert result.endswith(b"      # keep me\n")


def test_block_scalar_keeps_its_line_break_when_the_end_of_the_file_goes() -> None:
    """Block text before the last entry of a file keeps its final line break when that entry goes."""
    config = "model_list:\n  - model_name: a\n    note: |\n      text\n" + own("old").rstrip("\n")
    assert parsed(update_config(config.encode(), []).text)["model_list"][0]["note"] == "text\n"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("[{O}, {a: 1}]", "[ {a: 1}]"),
        ("[{a: 1}, {O}]", "[{a: 1}]"),
        ("[{a: 1}, {O}, ]", "[{a: 1}, ]"),
        ("[{a: 1}, {O}, {b: 1}]", "[{a: 1}, {b: 1}]"),
        ("[{O}, {O}]", "[]"),
        ("[\n  {O}, # o\n  {a: 1}\n]", "[ # o\n  {a: 1}\n]"),
        ("[ # c\n  {O}]", "[ # c\n]"),
        ("[ # c\n  {O},\n  {O}]", "[ # c\n]"),
        ("[{a: 1}, # c\n  {O},\n  {O},\n  {O}]", "[{a: 1} # c\n]"),
    ],
)
def test_taken_out_of_a_flow_list(config: str, expected: str) -> None:
    """Our entry leaves a list in brackets with its comma, whatever stands before and after it."""
    text = "model_list: " + config.replace("{O}", OWN) + "\n"
    result = update_config(text.encode(), []).text.decode()
    assert parsed(result.encode()) == parsed(("model_list: " + expected).encode())
    assert "# c" not in config or "# c" in result
    assert "# o" not in config or "# o" in result


def test_hand_written_entry_wins() -> None:
    """A hand-written entry keeps its name; ours of that name is left out, at the next sync too."""
    result = update_config(("model_list:\n" + mine("gen-2")).encode(), FIRST)
    assert result.skipped == ("gen-2",)
    assert result.change.added == ("gen-1", "gen-3")
    assert [item["model_name"] for item in parsed(result.text)["model_list"]] == ["gen-2", "gen-1", "gen-3"]
    assert update_config(result.text, FIRST).skipped == ("gen-2",)


def test_hand_written_entry_of_an_earlier_script_is_adopted_on_request_only() -> None:
    """Entries that route to Copilot by hand are replaced by ours when asked for, and only then."""
    config = (
        "model_list:\n"
        + mine("gen-1", "github_copilot/gen-1")
        + "  # note\n"
        + mine("gone", "github_copilot/gone")
        + mine("alias", "github_copilot/gen-2")
        + mine("gen-2", "azure/gen-2")
    ).encode()
    assert update_config(config, FIRST).skipped == ("gen-1", "gen-2")
    result = update_config(config, FIRST, adopt=True)
    assert result.change.adopted == ("gen-1",)
    assert result.change.gone == {"gone": "gone"} and result.change.removed == ("gone",)
    assert result.skipped == ("gen-2",)
    assert result.change.added == ("gen-3",)
    names = [item["model_name"] for item in parsed(result.text)["model_list"]]
    assert names == ["gen-1", "gen-3", "alias", "gen-2"]
    assert b"# note" in result.text
    assert update_config(result.text, FIRST, adopt=True).text == result.text


def test_changes_are_told_field_by_field() -> None:
    """What changed is told by entry and field, with the old and the new value."""
    old = update_config(USUAL, FIRST).text
    result = update_config(old, [FIRST[0], entry("gen-2", mode="responses", note="x"), entry("gen-4")])
    assert result.change.fields == (
        FieldChange("gen-2", "model_info.mode", "chat", "responses"),
        FieldChange("gen-2", "model_info.note", "two\nlines\n", "x"),
    )
    assert (result.change.added, result.change.removed) == (("gen-4",), ("gen-3",))


def test_reformatted_but_equal_entries_are_left_alone() -> None:
    """Entries of ours that somebody reformatted without changing their meaning stay as they are."""
    text = update_config(USUAL, FIRST).text
    reformatted = text.replace(b"0.0000015", b"1.5e-06").replace(b"mode: chat", b"mode:   'chat' # c")
    assert update_config(reformatted, FIRST).text == reformatted


def test_edited_managed_entry_is_put_right() -> None:
    """An entry of ours whose meaning somebody changed is what it should be after the next update."""
    text = update_config(USUAL, FIRST).text
    assert update_config(text.replace(b"supports_vision: true", b"supports_vision: 1"), FIRST).text == text


def test_entry_without_its_id_is_the_users() -> None:
    """An entry that has lost our id is the user's own from then on."""
    text = update_config(USUAL, FIRST).text.replace(b"id: github_copilot/managed/gen-2", b"id: my-own")
    assert update_config(text, FIRST).skipped == ("gen-2",)


@pytest.mark.parametrize("gap", ["[ # c\n  ", "[{a: 1}, # c\n  ", "[# c\n\n  "])
@pytest.mark.parametrize("end", ["]", "\n]", ", ]", ", {b: 1}]", " # d\n]"])
def test_flow_entries_behind_a_comment_come_and_go(gap: str, end: str) -> None:
    """Entries between a comment and whatever closes the list are replaced, and go, without a trace."""
    ours = "{model_name: x, model_info: {id: github_copilot/managed/x}}"
    config = f"model_list: {gap}{ours}{end}\n".encode()
    without = update_config(config, []).text
    for entries in (FIRST, SECOND):
        updated = update_config(config, entries).text
        assert is_same(managed(updated), entries)
        assert update_config(updated, []).text == without


def test_comment_in_a_list_that_was_added_stays_when_the_list_goes() -> None:
    """A comment in a model_list that we added stays when the list goes again."""
    text = update_config(b"x: 1\n", FIRST).text
    assert update_config(text + b"  # mine\n", []).text == b"x: 1\n  # mine\n"


def test_hand_written_entry_in_a_list_that_was_added_keeps_it() -> None:
    """A model_list that we added stays as long as it holds an entry of the user."""
    text = update_config(b"x: 1\n", FIRST).text + mine("a").encode()
    assert [item["model_name"] for item in parsed(update_config(text, []).text)["model_list"]] == ["a"]


def test_anchor_in_an_entry_is_refused_as_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """Generated text with an anchor could refer to the user's and is refused as our own mistake."""
    monkeypatch.setattr(edit, "dump_entries", lambda entries: "- &a {}\n- *a\n")
    with pytest.raises(SidecarError, match="internal error"):
        update_config(USUAL, FIRST)


@pytest.mark.parametrize("wrong", ["", "model_list: []\n", "x: [", USUAL.decode().replace("480", "481")])
def test_wrong_result_is_never_handed_out(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result that does not parse to what was meant is refused as our own mistake."""
    monkeypatch.setattr("sidecar.config.edit.rewrite", lambda *args: wrong)
    with pytest.raises(SidecarError, match="internal error"):
        update_config(USUAL, FIRST)


def bomb(levels: int, join: str) -> str:
    """Anchors, each of which refers twice to the one before it."""
    lines = ["x0: &x0 {a: 1, b: 2}", *(f"x{n}: &x{n} " + join.replace("@", f"*x{n - 1}") for n in range(1, levels))]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("join", ["[@, @]", "{a: @, b: @}", "{<<: [@, @], c: @}"])
def test_aliases_that_expand_to_gigabytes_are_not_expanded(join: str) -> None:
    """A hundred levels of aliases, foreign or in a managed entry, are neither expanded nor waited for."""
    ours = f"- model_name: gen-1\n  model_info: {{id: {MANAGED_PREFIX}gen-1, x: *x99}}\n"
    theirs = "- model_name: mine\n  litellm_params: {x: *x99}\n"
    config = bomb(100, join) + "model_list:\n" + theirs + ours
    result = update_config(config.encode(), FIRST)
    assert result.text.startswith((bomb(100, join) + "model_list:\n" + theirs).encode())
    assert update_config(result.text, []).text.decode() == bomb(100, join) + "model_list:\n" + theirs


def test_aliases_nested_too_deeply_are_refused() -> None:
    """Thousands of levels, made of aliases, would exhaust the stack: they are refused."""
    config = "\n".join(["x0: &x0 []", *(f"x{n}: &x{n} [*x{n - 1}]" for n in range(1, 5000)), "model_list: [*x4999]"])
    with pytest.raises(UsageError, match="nested too deeply"):
        update_config(config.encode(), FIRST)


# Configs built at random

_words = st.text("abcxyz-_/0123456789", min_size=1, max_size=8).map(lambda text: "k" + text)
_comments = st.sampled_from(["", "", " # c", "  #\tt ] } , - x", " # é😀"])
_scalars = st.sampled_from(
    [
        *("1", "os.environ/KEY", "'it''s'", '"a\\"b#c"', "", "~", "{a: [1, {b: c}]}", "[]", "{}", "a b  c", "!foo bar"),
        *("'x\n\n     y'", "|\n      text\n\n       # no comment\n", "|+\n      text\n\n", ">-\n      text"),
        "[1,\n     2, # c\n     ]",
    ]
)
_fillers = st.sampled_from(["", "", "", "\n", "# c\n", "    # deep\n", "  # c\n\n", "\n   \n"])


@st.composite
def block_list(draw: st.DrawFn, indent: int) -> str:
    text = draw(_comments) + "\n" + draw(_fillers)
    pad = " " * draw(st.sampled_from([indent, indent + 2, indent + 4]))
    gap = draw(st.sampled_from([" ", "   "]))
    for number in range(draw(st.integers(1, 3))):
        text += f"{pad}-{gap}model_name: m{number}{draw(_comments)}\n" + draw(_fillers)
        for key in draw(st.lists(_words, max_size=2, unique=True)):
            text += f"{pad} {gap}{key}: {draw(_scalars)}{draw(_comments)}\n" + draw(_fillers)
    return text


@st.composite
def flow_list(draw: st.DrawFn) -> str:
    breaks = st.sampled_from(["", " ", "\n   ", " # c\n    ", "\n\n    # c ]\n  "])
    items = [f"{{model_name: m{number}}}" for number in range(draw(st.integers(0, 3)))]
    text = " [" + draw(breaks)
    for number, item in enumerate(items):
        last = number == len(items) - 1
        text += item + draw(breaks) + ("" if last and draw(st.booleans()) else "," + draw(breaks))
    return text + "]" + draw(_comments) + "\n"


@st.composite
def configs(draw: st.DrawFn) -> bytes:
    indent = draw(st.sampled_from([0, 0, 0, 2]))
    parts = []
    for key in draw(st.lists(_words, max_size=3, unique=True)):
        parts.append(f"{' ' * indent}{key}: {draw(_scalars)}{draw(_comments)}\n")
    style = draw(st.sampled_from(["absent", "null", "block", "block", "flow"]))
    if style != "absent":
        nulls = st.sampled_from(["", " null", " ~", " Null"])
        value = {"null": draw(nulls) + draw(_comments) + "\n"}.get(style) or draw(
            block_list(indent) if style == "block" else flow_list()
        )
        parts.insert(draw(st.integers(0, len(parts))), f"{' ' * indent}model_list:{value}")
    text = draw(st.sampled_from(["", "", "# top\n", "---\n", "%YAML 1.1\n---\n", "\n"]))
    text += "".join(part + draw(_fillers) for part in parts) + draw(st.sampled_from(["", "", "...\n", "...\n# c\n"]))
    if draw(st.booleans()):
        text = text.rstrip(draw(st.sampled_from(["\n", "\n "])))
    text = text.replace("\n", draw(st.sampled_from(["\n", "\n", "\r\n", "\r"])))
    return (draw(st.sampled_from(["", "", "\ufeff"])) + text).encode()


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(configs())
def test_any_config_keeps_every_foreign_byte_and_comes_back(config: bytes) -> None:
    """Any config that YAML accepts keeps the promises of the corpus."""
    try:
        yaml.compose(config.decode().removeprefix("\ufeff"), Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        assume(False)
    assert_reversible(config)


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(configs(), st.data())
def test_comment_lines_put_anywhere_between_entries_survive(config: bytes, data: st.DataObject) -> None:
    """A user's comment lines between entries outlive every change of the managed ones."""
    try:
        yaml.compose(config.decode().removeprefix("\ufeff"), Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        assume(False)
    text = update_config(config, FIRST).text
    lines = text.splitlines(keepends=True)
    starts = [number for number, line in enumerate(lines) if b"model_name" in line and b"gen-" in line]
    assume(starts and not any(b"[" in line and b"model_list" in line for line in lines))
    for number in sorted(data.draw(st.sets(st.sampled_from(starts))), reverse=True):
        lines.insert(number, b"      # user %d" % number + lines[starts[0]][len(lines[starts[0]].rstrip(b"\r\n")) :])
    commented = b"".join(lines)
    assume(commented.count(b"# user"))
    for entries in (SECOND, []):
        result = update_config(commented, entries).text
        assert result.count(b"# user") == commented.count(b"# user")
