"""A clock that the tests turn, and time limits that are short but call themselves by their real length."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import tenacity

from sidecar import http_client
from sidecar.github import api, login
from sidecar.litellm_hot_reload import exchange_client, keeper
from sidecar.service import loop
from sidecar.status import state
from tests.fakes import device
from tests.fakes.github import GitHub

MODULES = (http_client, api, login, keeper, state, loop, device, tenacity)
"""Those that look at the clock while a fault is on."""


class Clock:
    """Seconds since the start of the test; what is due meanwhile happens on the way."""

    def __init__(self, gh: GitHub) -> None:
        self.now, self.gh = 0.0, gh
        self._began = time.time()
        self._due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        """What ``time.time`` says."""
        return self._began + self.now

    def monotonic(self) -> float:
        """What ``time.monotonic`` says."""
        return 1000.0 + self.now

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Call ``action`` when so many seconds have passed."""
        self._due.append((self.now + seconds, action))
        self._due.sort(key=lambda item: item[0])

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            self.now, action = self._due.pop(0)
            action()
        self.now = end
        self.gh.set(clock_skew=self.time() - time.time())

    def rule(self, patch: pytest.MonkeyPatch) -> None:
        """Be the clock of the sidecar and of the hook."""
        namespace = SimpleNamespace(time=self.time, monotonic=self.monotonic)
        for module in MODULES:
            if hasattr(module, "time"):
                patch.setattr(module, "time", namespace)
        for name, module in list(sys.modules.items()):
            if name.startswith("sidecar.") and hasattr(module, "elapsed"):
                patch.setattr(module, "elapsed", self.monotonic)
        patch.setattr(exchange_client, "time", SimpleNamespace(time=self.time, monotonic=time.monotonic))


class Turned(threading.Event):
    """A stop event whose waits take no time: they turn the clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None, "nothing would end this wait"
        if not self.is_set():
            self.clock.advance(timeout)
        return self.is_set()


class Shrunk(float):
    """A time limit of ``real`` seconds that shows itself as what it stands for."""

    nominal: float

    def __new__(cls, nominal: float, real: float = 0.03) -> Shrunk:
        made = super().__new__(cls, real)
        made.nominal = nominal
        return made

    def __format__(self, spec: str) -> str:
        return format(self.nominal, spec)
