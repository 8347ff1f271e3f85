"""``python -m tests.bench.edit WHO COUNT lines|entries``: one changed price in a large LiteLLM config.

WHO is ``ours``, or the PyYAML pair in ``C`` or ``Python``. Prints as JSON the CPU in seconds and the memory in MB. The
config is made in another process: memory that making it has left behind would be used again, and not be counted.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from sidecar.config.edit import update_config
from sidecar.config.file import sync_config
from tests.support.entries import entries_of

from .models import models
from .processes import Peak

HAND = """\
# The model of team {0}, who pay for it themselves.
- model_name: team-{0}
  litellm_params:
    model: openai/gpt-{0}  # as agreed
    api_key: os.environ/TEAM_{0}
    timeout: 30
"""
PAIRS = {"C": (yaml.CSafeLoader, yaml.CSafeDumper), "Python": (yaml.SafeLoader, yaml.SafeDumper)}


def entries(count: int, price: float = 300) -> list[dict[str, Any]]:
    return entries_of(models(count, price)) if count else []


def config(generated: list[dict[str, Any]], lines: int) -> bytes:
    """A config with these entries, and a person's until there are so many lines."""
    own = update_config(b"model_list:\n", generated).text.count(b"\n")
    hand = "".join(HAND.format(number) for number in range((lines - own) // HAND.count("\n")))
    return update_config(b"model_list:\n" + hand.encode(), generated).text


def made(count: int, unit: str) -> tuple[bytes, list[dict[str, Any]]]:
    """A config, and its generated entries with one price changed."""
    ours = count if unit == "entries" else count // 100
    text = config(entries(ours), count if unit == "lines" else 0)
    assert unit == "entries" or 0.99 * count < text.count(b"\n") <= count
    return text, [*entries(ours - 1), entries(ours, price=500)[-1]]


def main(who: str, count: int, unit: str) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as other:
        text, new = other.submit(made, count, unit).result()
    with tempfile.TemporaryDirectory() as home:
        file = Path(home, "config.yaml")
        file.write_bytes(text)
        os.utime(file, (1e9, 1e9))  # one that is being written to has to settle first

        def update() -> None:
            assert sync_config(file, new).changed

        def load_and_dump() -> None:
            loader, dumper = PAIRS[who]
            content = yaml.load(file.read_bytes(), loader)
            with file.open("w") as out:
                yaml.dump(content, out, dumper, sort_keys=False)

        call: Callable[[], None] = update if who == "ours" else load_and_dump
        gc.collect()
        with Peak() as peak:
            began = time.process_time()
            call()
            cpu = time.process_time() - began
    print(json.dumps({"cpu": cpu, "megabytes": peak.taken / 1e6}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
