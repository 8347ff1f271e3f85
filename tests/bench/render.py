"""``python -m tests.bench.render MODELS TIMES``: what a sync of so many models takes, its requests left out.

Prints as JSON the CPU in seconds of each repeat, of a new file, of one that has all already, and of PyYAML's dumper
in C alone, and the most bytes that the first sync and the dumper took.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from sidecar.litellm_hot_reload import allowed

allowed.MAX_ENTRIES, allowed.MAX_FILE_SIZE = 10**6, 10**9  # before anything else takes them from there

from sidecar import files  # noqa: E402
from sidecar.models import absences  # noqa: E402
from sidecar.models.catalog import catalog_items  # noqa: E402
from sidecar.service.sync import Session, run_once  # noqa: E402
from sidecar.settings import Settings  # noqa: E402

from .models import models  # noqa: E402
from .processes import Peak  # noqa: E402

files.MAX_SIZE = absences.MAX_RECORD = 10**9


class Given(Session):
    """A session whose catalog is there already."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        super().__init__()
        self._items = items

    def fetch(self, settings: Settings, stop: threading.Event) -> list[Any]:
        return catalog_items({"data": self._items})


def seconds(call: Callable[[], object]) -> float:
    gc.collect()
    began = time.process_time()
    call()
    return time.process_time() - began


def main(count: int, times: int) -> None:
    items, stop = models(count), threading.Event()
    new, unchanged = [], []
    with tempfile.TemporaryDirectory() as home:

        def sync(number: int, expected: bool) -> None:
            file = Path(home, f"{number}.yaml")
            settings = Settings.load({"COPILOT_MODELS_FILE": str(file)})
            done = run_once(settings, stop, Given(items))
            assert (done.change is not None) == expected and done.models == count

        run_once(Settings.load({"COPILOT_MODELS_FILE": str(Path(home, "first.yaml"))}), stop, Given(items[:2]))
        gc.collect()
        with Peak() as peak:
            new.append(seconds(lambda: sync(0, expected=True)))
        unchanged.append(seconds(lambda: sync(0, expected=False)))
        for number in range(1, times):
            new.append(seconds(lambda number=number: sync(number, expected=True)))
            unchanged.append(seconds(lambda number=number: sync(number, expected=False)))
        content = yaml.load(Path(home, "0.yaml").read_bytes(), yaml.CSafeLoader)

    def dump() -> None:
        with open(os.devnull, "w") as out:
            yaml.dump(content, out, Dumper=yaml.CSafeDumper, sort_keys=False)

    gc.collect()
    with Peak() as dumped:
        taken = [seconds(dump)]
    taken += [seconds(dump) for _ in range(times - 1)]
    print(
        json.dumps(
            {"new": new, "unchanged": unchanged, "dumper": taken, "peak": peak.taken, "dumper_peak": dumped.taken}
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
