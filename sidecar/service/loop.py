"""The service: syncs at startup and at every interval until it is stopped.

It owns the clock and nothing else. A failure is logged and followed by a suitable wait: short while there is nothing
to connect to, growing while GitHub fails or refuses the login, and never so short that failures would cost GitHub more
than SIDECAR_LIMIT requests an hour. A changed access token ends any wait; whoever asks for a sync ends those that are
neither for this limit nor what GitHub has asked for.
"""

from __future__ import annotations

import hashlib
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from sidecar.errors import (
    LiteLLMError,
    LoginNeeded,
    NoConnection,
    SidecarError,
    Stopped,
    StorageError,
    UpstreamError,
    UsageError,
)
from sidecar.files import read_file
from sidecar.github.access_token import check_owner, find_access_token
from sidecar.github.login_code import read_code
from sidecar.litellm_hot_reload.clock import elapsed
from sidecar.litellm_hot_reload.pace import HOUR, SIDECAR_LIMIT, Budget, wait_after
from sidecar.litellm_proxy.hook_package import install_hook
from sidecar.litellm_proxy.master_key import prepare_key
from sidecar.litellm_proxy.notify import notify_change
from sidecar.locks import update_lock
from sidecar.models.entries import Entry
from sidecar.models.view import Row, rows
from sidecar.service.credit import CreditWatch
from sidecar.service.leader import leading
from sidecar.service.sync import Session, run_once
from sidecar.service.trigger import Trigger
from sidecar.settings import Settings
from sidecar.status.state import MAX_EVENTS, Status
from sidecar.targets.base import Synced
from sidecar.targets.history import history_file, read_history
from sidecar.targets.models_file import entries_in, publish_models
from sidecar.text import printable

log = logging.getLogger(__name__)

POLL_INTERVAL = 1.0
"""Seconds between two looks at the token file and at the clock."""
NO_CONNECTION_WAIT = 2.0
LONGEST_WAIT = 900.0
LONGEST_LOCAL_WAIT = 30.0
"""For what is wrong on this machine: GitHub is not asked anew for that."""
REQUESTS_A_SYNC = 2
SYNC_TIMEOUT = 600.0
"""Seconds after which a sync counts as stuck; covers all its retries with all their timeouts."""


def run(
    settings: Settings,
    stop: threading.Event,
    status: Status,
    trigger: Trigger | None = None,
    supervised: bool = False,
) -> None:
    """Serve until ``stop`` is set; ``trigger`` starts a sync.

    Raises StorageError if the shared volume or the key file is unusable at startup; and if it is ``supervised``, so
    that a new start makes it another user, when only that one can read the access token.
    """
    status.beat(SYNC_TIMEOUT)
    prepare_key(settings)
    with leading(settings, stop, status) as leads:
        if leads:
            _serve(settings, stop, status, trigger or Trigger(), supervised)


def _serve(settings: Settings, stop: threading.Event, status: Status, trigger: Trigger, supervised: bool) -> None:
    status.beat(SYNC_TIMEOUT)
    prepare(settings)
    status.note(ready=settings.config_file is None or os.path.exists(settings.config_file), leads=True)
    _take_over(settings, status)
    if settings.interval == 0 and not settings.sync_on_startup:
        log.warning(
            "nothing will be synced: COPILOT_MODEL_SYNC_INTERVAL is 0 and SYNC_COPILOT_MODELS_ON_STARTUP is false",
            extra={"event": "sync.never"},
        )
    if not settings.sync_on_startup:
        _wait(settings.interval or None, stop, status, lambda: trigger.pulled)
    _Loop(settings, stop, status, trigger, supervised).run()


def prepare(settings: Settings) -> None:
    """Install the hook, and create an empty models file if there is none, so that LiteLLM can start before any login.

    A config belongs to the user and is not touched before the first sync.
    """
    if settings.config_file is not None:
        return
    with update_lock(settings.models_file) as lock:
        install_hook(settings.models_file.parent, alone=bool(lock))
        if os.path.exists(settings.models_file):
            return
        publish_models(settings.models_file, [])
        extra = {"event": "models.empty", "file": str(settings.models_file)}
        log.info("published an empty models file until the first sync", extra=extra)


def _take_over(settings: Settings, status: Status) -> None:
    """Show what an earlier run has published; nothing of what cannot be read."""
    with suppress(SidecarError):
        status.changed(read_history(history_file(settings), MAX_EVENTS), counted=False)
    with suppress(SidecarError):
        data = read_file(settings.config_file or settings.models_file)
        found = rows(entries_in(data).values())
        status.note(rows=found)
        _tell_digest(settings, status, found)


def _tell_digest(settings: Settings, status: Status, found: list[Row]) -> None:
    """Tell what LiteLLM's workers are to serve, who know it by its digest; a config is LiteLLM's own affair.

    Raises StorageError.
    """
    if settings.config_file is None and (data := read_file(settings.models_file)) is not None:
        digest = hashlib.sha256(data).hexdigest()
        status.workers.published(digest, time.time(), [row["id"] for row in found])


def delay_after(error: SidecarError | None, failures: int, interval: float) -> float | None:
    """Seconds until the next sync after the last one's ``error``; None waits forever.

    ``failures`` counts the failures of this kind in a row, including this one.
    """
    if error is None:
        return interval * random.uniform(0.9, 1.1) if interval else None
    if isinstance(error, NoConnection):
        return NO_CONNECTION_WAIT * random.uniform(0.9, 1.1)
    if isinstance(error, (StorageError, UsageError)):
        return wait_after(failures, LONGEST_LOCAL_WAIT)
    asked = error.retry_after if isinstance(error, UpstreamError) else None
    return wait_after(failures, LONGEST_WAIT, refused=isinstance(error, LoginNeeded), asked=asked)


class _Loop:
    def __init__(
        self, settings: Settings, stop: threading.Event, status: Status, trigger: Trigger, supervised: bool = False
    ) -> None:
        self.settings, self.stop, self.status, self.trigger = settings, stop, status, trigger
        self.supervised = supervised
        self.shown: tuple[Sequence[Entry], list[Row]] = ([], [])
        self.session, self.budget = Session(attempts=1), Budget(SIDECAR_LIMIT)
        self.credit = CreditWatch(settings)
        self.frequent = 0 < settings.interval < REQUESTS_A_SYNC * HOUR / SIDECAR_LIMIT
        """Whether the interval is so short that syncs alone, as the user wants them, go beyond an hour's requests."""
        self.failures: tuple[str, int] = ("", 0)

    def run(self) -> None:
        while not self.stop.is_set():
            self.status.beat(SYNC_TIMEOUT)
            if self.trigger.pulled:
                self.trigger.pulled = False
                log.info("somebody has asked for a sync", extra={"event": "sync.asked"})
            token, requests = _token_state(self.settings), self.session.requests
            error = self._sync()
            if self.stop.is_set():
                return
            self.budget.spend(elapsed(), self.session.requests - requests)
            if error is None:
                self._look()
            if self.supervised and isinstance(error, StorageError):
                check_owner(self.settings)
            kind, before = type(error).__name__, self.failures
            self.failures = (kind, before[1] + 1 if kind == before[0] else 1) if error else ("", 0)
            delay = delay_after(error, self.failures[1], self.settings.interval)
            self.status.note(next_sync=0.0 if delay is None else time.time() + delay)
            self._rest(delay, error, self._changed(token))

    def _rest(self, delay: float | None, error: SidecarError | None, changed: Callable[[], bool]) -> None:
        """Wait until the next sync is due, a new login has ``changed`` the token, or somebody asks for one."""
        not_before = elapsed() + ((isinstance(error, UpstreamError) and error.retry_after) or 0.0)
        woken = _wait(delay, self.stop, self.status, lambda: self.trigger.pulled or changed())
        new_login = woken and changed()
        if not new_login and (error or woken or not self.frequent):
            new_login = _wait(max(self._exhausted(), not_before - elapsed()), self.stop, self.status, changed)
        if new_login:
            _wait(self._exhausted(new_login=True), self.stop, self.status)

    def _look(self) -> None:
        """Look at the credit, if the hour's requests leave room for that beside another sync."""
        requests = self.credit.requests
        room = self.frequent or self.budget.left(elapsed()) > REQUESTS_A_SYNC
        with suppress(Stopped):
            self.status.note(credit=self.credit.look(self.stop, room=room))
        self.budget.spend(elapsed(), self.credit.requests - requests)

    def _exhausted(self, *, new_login: bool = False) -> float:
        """Seconds until GitHub may be asked again."""
        return min(self.budget.wait(elapsed(), new_login=new_login), self.settings.interval or HOUR)

    def _changed(self, token: object) -> Callable[[], bool]:
        """``token`` is from before the sync: a login may finish while GitHub is still checking the old one."""
        return lambda: _token_state(self.settings) != token

    def _sync(self) -> SidecarError | None:
        began = elapsed()
        try:
            result = run_once(self.settings, self.stop, self.session)
        except Stopped:
            return None
        except SidecarError as error:
            self._failed(error, elapsed() - began)
            return error
        except Exception as error:  # a bug must not stop the service: LiteLLM keeps what is published
            log.exception("the sync failed unexpectedly", extra={"event": "sync.defect"})
            defect = SidecarError(type(error).__name__)
            self.status.failed(defect, elapsed() - began)
            return defect
        self._succeeded(result, elapsed() - began)
        if result.change is not None:
            log.info(
                "models published",
                extra={
                    "event": "models.published",
                    "models": result.models,
                    "added": list(result.change.added),
                    "removed": list(result.change.removed),
                    "changed": list(result.change.changed),
                },
            )
        else:
            log.info("models are up to date", extra={"event": "models.unchanged", "models": result.models})
        self._notify(result)
        return None

    def _notify(self, result: Synced) -> None:
        """Notify LiteLLM. If that fails, the change is kept and the next sync notifies it again."""
        try:
            notify_change(self.settings, result, self.stop)
        except Stopped:
            return
        except LiteLLMError as error:
            extra = {"event": "notify.failed", "hint": error.hint, "error": type(error).__name__}
            log.warning("%s", printable(error, 600), extra=extra)

    def _succeeded(self, result: Synced, seconds: float) -> None:
        built = result.built
        if built.entries is not self.shown[0]:  # it is the same list for as long as nothing has changed
            self.shown = built.entries, rows(built.entries)
        found = self.shown[1]
        if result.change is not None:
            with suppress(SidecarError):
                _tell_digest(self.settings, self.status, found)
        self.status.changed(result.events)
        self.status.succeeded(
            seconds,
            changed=result.change is not None,
            rows=found,
            omitted=built.selection.omitted,
            absent=built.absent,
            loss=str(built.loss or ""),
            plan=self.session.plan,
            token_end=self.session.token_end,
        )

    def _failed(self, error: SidecarError, seconds: float) -> None:
        self.status.failed(error, seconds)
        level = logging.INFO if isinstance(error, LoginNeeded) and not self.failures[1] else logging.WARNING
        extra = {"event": "sync.failed", "hint": error.hint, "error": type(error).__name__}
        log.log(level, "no sync: %s", printable(error, 600), extra=extra)


def _token_state(settings: Settings) -> object:
    try:
        return find_access_token(settings).value
    except SidecarError as error:
        return str(error)


def _wait(
    seconds: float | None, stop: threading.Event, status: Status, done: Callable[[], bool] = lambda: False
) -> bool:
    """Wait until ``seconds`` (None: forever) have passed, ``stop`` is set, or ``done()``, which it returns."""
    end = None if seconds is None else elapsed() + seconds
    while not stop.is_set():
        remaining = POLL_INTERVAL if end is None else end - elapsed()
        if remaining <= 0:
            break
        status.beat(POLL_INTERVAL + 30.0)
        status.note(login=read_code(status.settings))
        stop.wait(min(remaining, POLL_INTERVAL))
        if done():
            return True
    return False
