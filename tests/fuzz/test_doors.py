"""The corpus of the fuzzers, and mutations of it, at every door."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.doors import DOORS, edit, reader
from tests.support.examples import examples
from tests.unit.corpus.configs import CONFIGS

CORPUS = Path(__file__).parent / "corpus"
KEPT = [(door, path) for door in DOORS for path in sorted((CORPUS / door).iterdir())]
SEEDS = [path.read_bytes() for _, path in KEPT] + [text for _, text in CONFIGS if len(text) < 5000]
WORDS = [
    *(b"model_list:", b"- ", b"[", b"]", b"{", b"}", b"&a ", b"*a", b"<<: *a", b"|\n", b">-\n", b"!!str ", b"? ", b"#"),
    *(b"\t", b"\r", b"\n", b"\r\n", b"\x00", b"\xff", b"\xc2\x85", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"---\n"),
    *(b"github_copilot/managed/x", b"os.environ/KEY", b"model_info: {id: github_copilot/managed/x}", b"%YAML 1.1\n"),
    *(b"api_base: http://x", b"'", b'"', b"1e999", b"2001-99-99", b"- " * 200, b"[" * 200, b"!!binary x", b"0o7"),
]  # fmt: skip


def mutate(data: bytes, source: random.Random) -> bytes:
    """Some cuts, repetitions, insertions and exchanges of single bytes."""
    for _ in range(source.randint(1, 4)):
        at, end = sorted((source.randint(0, len(data)), source.randint(0, len(data))))
        kind = source.randrange(5)
        if kind == 0:
            data = data[:at] + data[end:]
        elif kind == 1:
            data = data[:end] + data[at:]
        elif kind == 2:
            data = data[:at] + source.choice(WORDS) + data[at:]
        elif kind == 3:
            data = data[:at] + bytes([source.randrange(256)]) + data[at + 1 :]
        else:
            other = source.choice(SEEDS)
            data = data[:at] + other[source.randint(0, len(other)) :]
    return data


@pytest.mark.parametrize(("door", "path"), [pytest.param(*pair, id=f"{pair[0]}/{pair[1].name}") for pair in KEPT])
def test_what_is_kept(door, path):
    """Every input that is kept holds at its door; what a fuzzer finds is added here."""
    DOORS[door](path.read_bytes())


def test_both_answers_occur():
    """The corpus has inputs that each door takes, and some that it refuses: nothing is refused wholesale."""
    for door in DOORS:
        answers = {DOORS[door](path.read_bytes()) for name, path in KEPT if name == door}
        assert answers == {True, False}


@examples(300)
@given(st.integers(0, 2**32))
def test_mutations(seed):
    """What becomes of a config or a models file by chance holds at both doors."""
    source = random.Random(seed)
    data = mutate(source.choice(SEEDS), source)
    edit(data)
    reader(data)


@examples(300)
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes(data):
    """Any bytes hold at both doors, by themselves and as the value of model_list."""
    for content in (data, b"model_list: " + data, b"model_list:\n" + data):
        edit(content)
        reader(content)
