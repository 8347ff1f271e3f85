"""An update of a config takes time in proportion to it: five thousand entries, of the user or ours, are no trouble."""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable
from typing import Any

import pytest

from sidecar.config.diff import unified
from sidecar.config.edit import update_config
from sidecar.config.recognize import load
from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX

SMALL, LARGE = 125, 1000
LESS_THAN_SQUARE = 2.5  # with its square, the work for an entry would grow eightfold from one to the other


def entries(count: int, tokens: int = 1) -> list[dict[str, Any]]:
    return [
        {
            "model_name": f"m{number}",
            "litellm_params": {"model": f"github_copilot/m{number}"},
            "model_info": {"id": f"{MANAGED_PREFIX}m{number}", "max_tokens": tokens},
        }
        for number in range(count)
    ]


def hand(count: int, more: str = "") -> bytes:
    item = "- model_name: h{0}  # mine\n  litellm_params: {{model: openai/h{0}}}\n" + more
    return b"model_list:\n" + "".join(item.format(number) for number in range(count)).encode()


def written(count: int) -> bytes:
    return update_config(b"model_list:\n", entries(count)).text


def flow(count: int) -> bytes:
    return update_config(b"model_list: []\n", entries(count)).text


OURS = f"- model_name: g{{0}}\n  model_info: {{{{id: {MANAGED_PREFIX}g{{0}}}}}}\n"
COPILOT = "- model_name: m{0}\n  litellm_params: {{model: github_copilot/m{0}}}\n"
CASES: dict[str, tuple[Callable[[int], bytes], Callable[[bytes, int], object]]] = {
    "first sync": (lambda count: b"model_list:\n", lambda text, count: update_config(text, entries(count))),
    "nothing changed": (written, lambda text, count: update_config(text, entries(count))),
    "all changed": (written, lambda text, count: update_config(text, entries(count, 2))),
    "all removed": (written, lambda text, count: update_config(text, [])),
    "hand-written, some added": (hand, lambda text, count: update_config(text, entries(10))),
    "mixed, all of ours removed": (lambda count: hand(count, OURS), lambda text, count: update_config(text, [])),
    "all adopted": (
        lambda count: hand(count, COPILOT),
        lambda text, count: update_config(text, entries(count), adopt=True),
    ),
    "in brackets, all changed": (flow, lambda text, count: update_config(text, entries(count, 2))),
    "in brackets, all removed": (flow, lambda text, count: update_config(text, [])),
    "diff, all changed": (
        lambda count: written(count) + b"\0\0" + update_config(written(count), entries(count, 2)).text,
        lambda text, count: unified(*text.split(b"\0\0"), "old", "new"),
    ),
    "diff, all lines alike": (
        lambda count: b"- 1\n- 2\n" * count + b"\0\0" + b"- 2\n- 3\n" * count,
        lambda text, count: unified(*text.split(b"\0\0"), "old", "new"),
    ),
    "loaded": (written, lambda text, count: load(text)),
}


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
def test_an_entry_costs_the_same_in_a_large_config(case: str, record_property: Callable[[str, object], None]) -> None:
    """Eight times the entries take eight times the time, not its square: hand-written and ours, in either style."""
    build, run = CASES[case]

    def seconds(count: int) -> float:
        text = build(count)
        # Garbage is not collected meanwhile: that takes the longer the more this test process has loaded.
        return min(timeit.repeat(lambda: run(text, count), timer=time.process_time, number=1, repeat=2)) / count

    seconds(20)
    one, other = seconds(SMALL), seconds(LARGE)
    record_property(f"{case}, seconds an entry", f"{one:.3g}, {other:.3g}: {other / one:.2f}")
    assert other < LESS_THAN_SQUARE * one, f"seconds an entry: {one:g} of {SMALL}, {other:g} of {LARGE}"


def test_a_change_is_shown_once() -> None:
    """A diff of several changes far apart shows each of them once, and what surrounds them."""
    before = written(30)
    after = before.replace(b"max_tokens: 1\n", b"max_tokens: 2\n")
    shown = unified(before, after, "old", "new").splitlines()
    assert shown.count("-      max_tokens: 1") == shown.count("+      max_tokens: 2") == 30 and len(shown) < 30 * 12
    assert shown.count("--- old") == 1
    again = [line[1:] for line in shown[2:] if line[:1] in " +"]
    assert again[-6:] == after.decode().splitlines()[-6:]
