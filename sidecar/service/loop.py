"""The service: syncs at start-up and every interval until it is told to stop.

It owns the clock and nothing else. A failure is logged once per kind (and again every five minutes), and
followed by a wait that fits it: short while nothing answers at all, growing when GitHub fails, and until
the token changes when GitHub says no.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from sidecar.errors import LiteLLMError, LoginNeeded, SidecarError, Stopped, StorageError, Unreachable, UpstreamError
from sidecar.github.access_token import find_access_token
from sidecar.litellm_proxy.hook_package import install_hook
from sidecar.litellm_proxy.notify import notify_change
from sidecar.service.health import Status
from sidecar.service.sync import run_once
from sidecar.settings import Settings
from sidecar.targets.base import Synced
from sidecar.targets.models_file import publish_models
from sidecar.text import printable

log = logging.getLogger(__name__)

TOKEN_POLL = 1.0
UNREACHABLE_WAIT = 2.0
FIRST_WAIT = 5.0
LONGEST_WAIT = 300.0
REFUSED_WAIT = 900.0
REPEAT_LOG_AFTER = 300.0
SYNC_BUDGET = 300.0
"""Seconds that one sync may take before the service counts as stuck: all retries with all time limits."""


def run(settings: Settings, stop: threading.Event, status: Status) -> None:
    """Serve until ``stop`` is set. Raises StorageError when the shared volume cannot be written at the start."""
    status.beat(SYNC_BUDGET)
    prepare(settings)
    status.ready = settings.config_file is None or settings.config_file.exists()
    if settings.interval == 0 and not settings.sync_on_startup:
        log.warning("nothing will be synced: the interval is 0 and SYNC_COPILOT_MODELS_ON_STARTUP is false")
    if not settings.sync_on_startup:
        _wait(settings.interval or None, stop, status)
    _Rounds(settings, stop, status).run()


def prepare(settings: Settings) -> None:
    """Place the hook, and an empty models file if there is none, so that LiteLLM can start before any login.

    A config is the user's, and is not touched before the first sync.
    """
    if settings.config_file is not None:
        return
    install_hook(settings.models_file.parent)
    if not settings.models_file.exists():
        publish_models(settings.models_file, [])
        log.info("an empty models file is published until the first sync", extra={"file": str(settings.models_file)})


def delay_after(error: SidecarError | None, failures: int, interval: float) -> float | None:
    """Seconds until the next sync after the last one's ``error``; None waits for ever.

    ``failures`` counts the failures in a row, this one included. A tenth of jitter, either way, keeps
    installations apart. A rate limit is waited out in full.
    """
    jitter = random.uniform(0.9, 1.1)
    if error is None:
        return interval * jitter if interval else None
    if isinstance(error, LoginNeeded):
        return REFUSED_WAIT * jitter
    if isinstance(error, Unreachable):
        return UNREACHABLE_WAIT * jitter
    growing: float = min(FIRST_WAIT * 2 ** min(failures - 1, 10), LONGEST_WAIT) * jitter
    if isinstance(error, UpstreamError) and error.retry_after is not None:
        return max(growing, error.retry_after * random.uniform(1.0, 1.1))
    return growing


class _Rounds:
    def __init__(self, settings: Settings, stop: threading.Event, status: Status) -> None:
        self.settings, self.stop, self.status = settings, stop, status
        self.failures = 0
        self.logged: tuple[str, float] = ("", 0.0)

    def run(self) -> None:
        while not self.stop.is_set():
            self.status.beat(SYNC_BUDGET)
            token = _token_state(self.settings)
            error = self._round()
            if self.stop.is_set():
                return
            self.failures = self.failures + 1 if error else 0
            delay = delay_after(error, self.failures, self.settings.interval)
            changed = self._token_watch(token) if isinstance(error, (LoginNeeded, StorageError)) else None
            _wait(delay, self.stop, self.status, changed)

    def _round(self) -> SidecarError | None:
        try:
            result = run_once(self.settings, self.stop)
        except Stopped:
            return None
        except SidecarError as error:
            self._failed(error)
            return error
        except Exception as error:  # a defect must not end the service: LiteLLM keeps what is published
            log.exception("the sync failed unexpectedly")
            self.status.failed("defect")
            return SidecarError(type(error).__name__)
        self.status.succeeded(result.models, changed=result.change is not None)
        self.status.ready = True
        self.logged = ("", 0.0)
        if result.change is not None:
            log.info(
                "models published",
                extra={
                    "models": result.models,
                    "added": list(result.change.added),
                    "removed": list(result.change.removed),
                    "changed": list(result.change.changed),
                },
            )
        else:
            log.info("models are up to date", extra={"models": result.models})
        self._tell(result)
        return None

    def _tell(self, result: Synced) -> None:
        """Tell LiteLLM; the sync stands in any case, and the next one tells it again."""
        try:
            notify_change(self.settings, result, self.stop)
        except Stopped:
            return
        except LiteLLMError as error:
            log.warning("%s", printable(error, 600), extra={"hint": error.hint, "error": type(error).__name__})

    def _failed(self, error: SidecarError) -> None:
        self.status.failed(type(error).__name__)
        text, now = str(error), time.monotonic()
        if text == self.logged[0] and now - self.logged[1] < REPEAT_LOG_AFTER:
            return
        self.logged = (text, now)
        level = logging.INFO if isinstance(error, LoginNeeded) and self.failures == 0 else logging.WARNING
        log.log(level, "no sync: %s", printable(text, 600), extra={"hint": error.hint, "error": type(error).__name__})

    def _token_watch(self, before: object) -> Callable[[], bool]:
        """``before`` is from before the sync: a login may end while GitHub still ponders over the old token."""
        return lambda: _token_state(self.settings) != before


def _token_state(settings: Settings) -> object:
    try:
        return find_access_token(settings).value
    except SidecarError as error:
        return str(error)


def _wait(seconds: float | None, stop: threading.Event, status: Status, done: Callable[[], bool] | None = None) -> None:
    """Wait until ``seconds`` (None: for ever) have passed, ``stop`` is set, or ``done()`` says so."""
    end = None if seconds is None else time.monotonic() + seconds
    while not stop.is_set():
        left = 30.0 if end is None else end - time.monotonic()
        if left <= 0:
            return
        step = min(left, TOKEN_POLL if done else 30.0)
        status.beat(step + 30.0)
        stop.wait(step)
        if done is not None and done():
            return
