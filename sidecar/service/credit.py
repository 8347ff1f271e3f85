"""Looks at the account's credit once an interval, and says when it runs out. Nothing else depends on it."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from datetime import UTC, date, datetime

from sidecar.errors import LiteLLMError, NoConnection, SidecarError, Stopped, StorageError, UpstreamError, UsageError
from sidecar.files import replace_file
from sidecar.github.access_token import AccessToken, find_access_token
from sidecar.github.api import read_account
from sidecar.litellm_hot_reload.clock import elapsed
from sidecar.litellm_hot_reload.pace import HOUR
from sidecar.litellm_proxy.notify import notify_notice
from sidecar.models.credit import Credit, Notice, Told, due_notices, dump_told, load_told, parse_credit
from sidecar.settings import Settings
from sidecar.targets.record import read_ours
from sidecar.text import printable

log = logging.getLogger(__name__)


def read_credit(settings: Settings) -> Credit | None:
    """The account's credit, for a command; None if it is not to be had, which is logged."""
    try:
        return parse_credit(read_account(settings, find_access_token(settings))) if settings.quota else None
    except SidecarError as error:
        _say_unknown(str(error))
        return None


class CreditWatch:
    """What is known of the credit; ``requests`` counts those that were sent."""

    def __init__(self, settings: Settings) -> None:
        self.requests = 0
        self._settings = settings
        file = settings.config_file or settings.models_file
        self._file = file.with_name(f".{file.name}.credit.json")
        self._token: AccessToken | None = None
        self._credit: Credit | None = None
        self._next = 0.0
        self._problem = ""
        self._told: Told | None = None
        self._stored = Told()
        self._unsent: dict[str, Notice] = {}

    def look(self, stop: threading.Event, *, room: bool = True) -> Credit | None:
        """The credit as it was seen last; None if it never was, or is another account's or another period's.

        GitHub is asked at most once an interval, and only if there is ``room`` for that among the hour's requests.
        Raises nothing but Stopped: a failure is logged when it begins.
        """
        if not self._settings.quota:
            return None
        try:
            token = find_access_token(self._settings)
            if token != self._token:
                self._token, self._credit, self._next = token, None, elapsed()
            if room and elapsed() >= self._next:
                self._next = elapsed() + 0.9 * (self._settings.interval or HOUR)  # no interval is shorter
                self._credit = self._read(token)
                self._problem = ""
                self._tell(self._credit, stop)
        except Stopped:
            raise
        except SidecarError as error:
            if isinstance(error, UpstreamError) and error.retry_after is not None:
                self._next = max(self._next, elapsed() + error.retry_after)
            self._unknown(str(error))
        except Exception as error:  # a bug here must cost nothing else
            self._unknown(f"{type(error).__name__}: {error}")
        ends = self._credit and self._credit.resets_at
        return None if ends and ends < _today().isoformat() else self._credit

    def _read(self, token: AccessToken) -> Credit:
        self.requests += 1
        try:
            return parse_credit(read_account(self._settings, token))
        except (NoConnection, StorageError, UsageError):
            self.requests -= 1  # nothing was sent
            raise

    def _unknown(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            _say_unknown(problem)

    def _tell(self, credit: Credit, stop: threading.Event) -> None:
        """Say what is due. What could not be sent is sent with the next look."""
        if self._told is None:
            with suppress(StorageError):
                self._stored = load_told(read_ours(self._file))
            self._told = self._stored
        told, notices = due_notices(credit, self._told, _today())
        if told.until != self._told.until:
            self._unsent.clear()
        self._told = told
        for notice in notices:
            extra = {
                "event": "credit.used",
                "quota": notice.quota.name,
                "percent": notice.level,
                "left": notice.quota.left,
                "resets_at": notice.resets_at,
            }
            log.warning("%s", notice.text(), extra=extra)
            self._unsent[notice.quota.name] = notice
        for name, notice in list(self._unsent.items()):
            try:
                notify_notice(self._settings, notice.as_json(), stop)
                del self._unsent[name]
            except LiteLLMError as error:
                extra = {"event": "notify.failed", "hint": error.hint, "error": type(error).__name__}
                log.warning("%s", printable(error, 600), extra=extra)
        self._store(Told(told.login, told.until, {k: v for k, v in told.levels.items() if k not in self._unsent}))

    def _store(self, told: Told) -> None:
        if told.levels and told != self._stored:
            with suppress(StorageError):  # it would be told again after a restart
                replace_file(self._file, dump_told(told), mode=0o644)
                self._stored = told


def _say_unknown(problem: str) -> None:
    log.info("credit unknown: %s", printable(problem, 600), extra={"event": "credit.unknown"})


def _today() -> date:
    return datetime.now(UTC).date()
