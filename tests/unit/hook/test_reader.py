"""The two ways in which the hook reads a models file, and the two parsers, make the same of the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.litellm_hot_reload import models_file as hook
from sidecar.litellm_hot_reload.allowed import param_problem
from sidecar.models.entries import models_file_bytes
from tests.fakes.catalog import demo_catalog, model
from tests.support.entries import USELESS, entries_of, entry_text, managed_entry
from tests.support.examples import examples
from tests.support.files import put
from tests.support.paths import ROOT
from tests.unit.corpus.configs import CONFIGS


class PurePython(hook._Plain, yaml.SafeLoader):
    """The hook's reader where PyYAML was built without libyaml."""

    yaml_constructors = hook._Loader.yaml_constructors


RICH = models_file_bytes(entries_of(demo_catalog()))
FILES = [
    RICH,
    *(data for what, data in USELESS.items() if what != "deep"),  # of which Python alone takes seconds
    *(path.read_bytes() for path in sorted((ROOT / "tests/fuzz/corpus/reader").iterdir())),
    *(text for _, text in CONFIGS if len(text) < 20_000),
]
ENTRY = entry_text("a").removeprefix("model_list:\n")
ANCHORED = ENTRY.replace(": ", ": &a ", 1)
SECOND_LIST = "\rmodel_list:\r" + ENTRY.replace("\n", "\r") + "\n"
# Each could make a line that begins with "- " something else than the next entry, or the next entry something else.
ODD = [
    "  x: |\n", "  x: |+\n\n", "  x: >-\n    y\n", "  x: 'y\n", '  x: "y\n', "  x: y'\n", '  x: y"\n', "  x: [y,\n",
    "  x: y]\n", "  x: {y: z,\n", "  x: y}\n", "  x: &a y\n", "  x: *a\n", "  &a x: y\n", "...\n", "---\n",
    "%YAML 1.1\n", "%TAG ! x\n", "other: y\n", "other:\n", "model_list:\n", "model_list: []\n", "? other\n", ": y\n",
    "<<: {y: z}\n",
    "# a comment\n", "#", "\n", "\r", "\r\n", "\x85", "\u2028", "\u2028- 0\n", "\r- 0\n", "\x85other: y\x85", "\ufeff",
    "\x00", "\t", " ", "- 0\n", "- \n", "-\n", "- - 0\n", "  - 0\n", "0", "x", "  model_info: {}\n", ENTRY, ENTRY,
    "  model_list: x\n", ANCHORED, SECOND_LIST, "!!str ", "!x ", "- |1\n", "- >+\n\n", "  x:\n",
]  # fmt: skip


@pytest.fixture(params=[hook._Loader, PurePython])
def loader(request, monkeypatch):
    """With libyaml and without."""
    monkeypatch.setattr(hook, "_Loader", request.param)
    return request.param


def outcome(read: Any, data: bytes) -> Any:
    try:
        return repr(read(data))
    except Exception:  # PyYAML raises nearly anything
        return "refused"


@pytest.mark.parametrize("number", range(len(FILES)))
def test_both_parsers_agree(number, monkeypatch):
    """On all that the tests know of good files and bad ones: the same entries, or none."""
    by_libyaml = outcome(hook.entries_in, FILES[number])
    monkeypatch.setattr(hook, "_Loader", PurePython)
    assert outcome(hook.entries_in, FILES[number]) == by_libyaml


def test_what_the_sidecar_writes_is_read_one_by_one(loader):
    """Of the file for a rich catalog, and of one of a single entry, nothing is left to the other way."""
    for data in (RICH, models_file_bytes([managed_entry("one")])):
        assert hook._one_by_one(data, {}, {}) == hook._all_at_once(data)


@examples(250)
@given(st.lists(st.sampled_from([*ODD, ENTRY, ENTRY]), min_size=1, max_size=6), st.booleans())
@example([ANCHORED, ANCHORED], True)
@example([SECOND_LIST], True)
def test_both_ways_agree(parts, entry_first):
    """What is read one by one is what reading all at once gives, whatever stands between the entries."""
    data = ("# x\nmodel_list:\n" + ENTRY * entry_first + "".join(parts)).encode()
    listed = hook._one_by_one(data, {}, {})
    assert listed is None or repr(listed) == outcome(hook._all_at_once, data)


@examples(250)
@given(st.text("-|>'\"[]{}&*!%#:?.,~ \n\r\t\x85ab01", max_size=12), st.integers(0, 300))
def test_both_ways_agree_on_any_insertion(text, place):
    """Anywhere within three entries."""
    whole = "model_list:\n" + ENTRY + ENTRY.replace("a\n", "b\n") + ENTRY
    data = (whole[:place] + text + whole[place:]).encode()
    listed = hook._one_by_one(data, {}, {})
    assert listed is None or repr(listed) == outcome(hook._all_at_once, data)


def test_only_what_has_changed_is_read_again(tmp_path: Path, monkeypatch):
    """The other entries are the very same objects, by which the follower knows that they have not changed."""
    items = [managed_entry(f"m{number}", max_tokens=1) for number in range(20)]
    models, read, entry_of = hook.ModelsFile(tmp_path / "models.yaml"), [], hook._entry
    monkeypatch.setattr(hook, "_entry", lambda *what: (read.append(what), entry_of(*what))[1])
    before: dict[str, Any] = {}
    for changed, expected in ((7, 20), (8, 2), (8, 0)):
        listed = [
            {**item, "model_info": {**item["model_info"], "max_tokens": 2}} if number == changed else item
            for number, item in enumerate(items)
        ]
        put(models.path, models_file_bytes(listed))
        models.refresh()
        assert list(models.wanted.values()) == listed
        assert len(read) == expected == sum(before.get(key) is not entry for key, entry in models.wanted.items())
        before = models.wanted
        read.clear()


def test_what_would_take_minutes_is_refused():
    """Where time grows with the square of the length: a number to the base of 60, directives, a key of a price."""
    for text, reason in (
        (b"a: 1" + b":1" * 500_000, "a number of more than"),
        (b"a: !!float 1" + b":1" * 500_000, "a number of more than"),
        (b"".join(b"%%TAG !%d! x\n" % number for number in range(60_000)) + b"--- a\n", "directives"),
        (b"model_list:\n- a\n...\n" + b"%TAG !a! x\n" * 100_000 + b"--- a\n", "directives"),
    ):
        with pytest.raises(ValueError, match=reason):
            hook.entries_in(text)
    assert param_problem("cost" * 400_000 + "-", 1) == "is not one of the keys that may be set"


def test_a_catalog_of_a_thousand_is_read_one_by_one():
    """As many as a file may have; one more is refused."""
    data = models_file_bytes(entries_of([model(f"m{number}") for number in range(3)]))
    head, entry = data.split(b"- model_name", 1)
    entry = b"- model_name" + entry.split(b"\n- ")[0] + b"\n"
    listed = hook._one_by_one(head + entry * 1000, {}, {})
    assert listed is not None and len(listed) == 1000 and len({id(item) for item in listed}) == 1000
