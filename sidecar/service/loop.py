"""The service: syncs at startup and at every interval until it is stopped.

It owns the clock and nothing else. A failure is logged once per kind (and again every five minutes), followed
by a suitable wait: short while nothing answers at all, growing while GitHub fails, and until the token changes
if GitHub rejects it.
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
from sidecar.litellm_proxy.master_key import prepare_key
from sidecar.litellm_proxy.notify import notify_change
from sidecar.service.health import Status
from sidecar.service.sync import run_once
from sidecar.settings import Settings
from sidecar.targets.base import Synced
from sidecar.targets.models_file import publish_models
from sidecar.text import printable

log = logging.getLogger(__name__)

TOKEN_POLL_INTERVAL = 1.0
UNREACHABLE_WAIT = 2.0
MIN_WAIT = 5.0
MAX_WAIT = 300.0
REFUSED_WAIT = 900.0
LOG_REPEAT_INTERVAL = 300.0
SYNC_TIMEOUT = 300.0
"""Seconds after which a sync counts as stuck; covers all its retries with all their timeouts."""


def run(settings: Settings, stop: threading.Event, status: Status) -> None:
    """Serve until ``stop`` is set. Raises StorageError if the shared volume or the key file is unusable at startup."""
    status.beat(SYNC_TIMEOUT)
    prepare_key(settings)
    prepare(settings)
    status.ready = settings.config_file is None or settings.config_file.exists()
    if settings.interval == 0 and not settings.sync_on_startup:
        log.warning(
            "nothing will be synced: COPILOT_MODEL_SYNC_INTERVAL is 0 and SYNC_COPILOT_MODELS_ON_STARTUP is false"
        )
    if not settings.sync_on_startup:
        _wait(settings.interval or None, stop, status)
    _Loop(settings, stop, status).run()


def prepare(settings: Settings) -> None:
    """Install the hook, and create an empty models file if there is none, so that LiteLLM can start before any login.

    A config belongs to the user and is not touched before the first sync.
    """
    if settings.config_file is not None:
        return
    install_hook(settings.models_file.parent)
    if not settings.models_file.exists():
        publish_models(settings.models_file, [])
        log.info("published an empty models file until the first sync", extra={"file": str(settings.models_file)})


def delay_after(error: SidecarError | None, failures: int, interval: float) -> float | None:
    """Seconds until the next sync after the last one's ``error``; None waits forever.

    ``failures`` counts the failures in a row, including this one. Ten percent of jitter keeps installations
    apart. A rate limit is waited out in full.
    """
    jitter = random.uniform(0.9, 1.1)
    if error is None:
        return interval * jitter if interval else None
    if isinstance(error, LoginNeeded):
        return REFUSED_WAIT * jitter
    if isinstance(error, Unreachable):
        return UNREACHABLE_WAIT * jitter
    growing: float = min(MIN_WAIT * 2 ** min(failures - 1, 10), MAX_WAIT) * jitter
    if isinstance(error, UpstreamError) and error.retry_after is not None:
        return max(growing, error.retry_after * random.uniform(1.0, 1.1))
    return growing


class _Loop:
    def __init__(self, settings: Settings, stop: threading.Event, status: Status) -> None:
        self.settings, self.stop, self.status = settings, stop, status
        self.failures = 0
        self.logged: tuple[str, float] = ("", 0.0)

    def run(self) -> None:
        while not self.stop.is_set():
            self.status.beat(SYNC_TIMEOUT)
            token = _token_state(self.settings)
            error = self._sync()
            if self.stop.is_set():
                return
            self.failures = self.failures + 1 if error else 0
            delay = delay_after(error, self.failures, self.settings.interval)
            changed = self._token_watch(token) if isinstance(error, (LoginNeeded, StorageError)) else None
            _wait(delay, self.stop, self.status, changed)

    def _sync(self) -> SidecarError | None:
        try:
            result = run_once(self.settings, self.stop)
        except Stopped:
            return None
        except SidecarError as error:
            self._failed(error)
            return error
        except Exception as error:  # a bug must not stop the service: LiteLLM keeps what is published
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
        self._notify(result)
        return None

    def _notify(self, result: Synced) -> None:
        """Notify LiteLLM. If that fails, the change is kept and the next sync notifies it again."""
        try:
            notify_change(self.settings, result, self.stop)
        except Stopped:
            return
        except LiteLLMError as error:
            log.warning("%s", printable(error, 600), extra={"hint": error.hint, "error": type(error).__name__})

    def _failed(self, error: SidecarError) -> None:
        self.status.failed(type(error).__name__)
        text, now = str(error), time.monotonic()
        if text == self.logged[0] and now - self.logged[1] < LOG_REPEAT_INTERVAL:
            return
        self.logged = (text, now)
        level = logging.INFO if isinstance(error, LoginNeeded) and self.failures == 0 else logging.WARNING
        log.log(level, "no sync: %s", printable(text, 600), extra={"hint": error.hint, "error": type(error).__name__})

    def _token_watch(self, before: object) -> Callable[[], bool]:
        """``before`` is from before the sync: a login may finish while GitHub is still checking the old token."""
        return lambda: _token_state(self.settings) != before


def _token_state(settings: Settings) -> object:
    try:
        return find_access_token(settings).value
    except SidecarError as error:
        return str(error)


def _wait(seconds: float | None, stop: threading.Event, status: Status, done: Callable[[], bool] | None = None) -> None:
    """Wait until ``seconds`` (None: forever) have passed, ``stop`` is set, or ``done()`` is true."""
    end = None if seconds is None else time.monotonic() + seconds
    while not stop.is_set():
        remaining = 30.0 if end is None else end - time.monotonic()
        if remaining <= 0:
            return
        step = min(remaining, TOKEN_POLL_INTERVAL if done else 30.0)
        status.beat(step + 30.0)
        stop.wait(step)
        if done is not None and done():
            return
