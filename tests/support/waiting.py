"""Waiting for what will be so, and waits that take no time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


def until(condition: Callable[[], Any], seconds: float = 60.0, what: str = "the condition", every: float = 0.02) -> Any:
    """Wait until ``condition()`` is truthy and return what it gave; AssertionError after ``seconds``."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, f"{what} did not come within {seconds:g} s"
        time.sleep(every)
    return result


class Quick(threading.Event):
    """A stop event whose waits are noted and pass at once; in wait number ``at``, counted from 1, ``do`` is called."""

    def __init__(self, at: int | None = None, do: Callable[[], Any] = lambda: None) -> None:
        super().__init__()
        self.waits: list[float | None] = []
        self.at, self.do = at, do

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        if len(self.waits) == self.at:
            self.do()
        return self.is_set()
