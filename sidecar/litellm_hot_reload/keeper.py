"""Keeps a valid Copilot token, shared by all workers on the machine, in a separate thread.

On its own, LiteLLM would fetch the token on its event loop, where all of the worker's traffic would wait for it. The
thread renews it before it expires, and immediately if Copilot refuses it earlier (``refused``): because a seat was
moved, a plan changed, or something is wrong at GitHub.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from . import exchange
from .bounded import Unchanged, read_bounded
from .clock import elapsed
from .exchange import EDITOR_HEADERS, Refusal
from .exchange_client import Answer, BadAuthorities, ExchangeClient
from .pace import HOOK_LIMIT, Budget, wait_after
from .record import Failure, Record, Shared
from .text import printable, remember

log = logging.getLogger("copilot_hook")

POLL = 1.0
POLL_VALID = 5.0
"""Seconds between two looks, and between two while there is a token that is valid and not due."""
MAX_TOKEN_FILE = 2**16
LONGEST_WAIT = 300.0
LOCAL_WAIT = 60.0
"""Seconds until the next attempt when something on this machine prevents it."""
CLOCK_TOLERANCE = 60.0
FETCHING = "the Copilot token is being fetched; try again in a moment"
PLACE_HINT = "set GITHUB_COPILOT_API_KEY_FILE to a writable path"


class Keeper:
    """The token of one worker. ``problem`` says why there is none."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        # Not Path.expanduser: it raises for users without a home directory, as in containers.
        self.directory = Path(os.path.expanduser(environ.get("GITHUB_COPILOT_TOKEN_DIR") or exchange.TOKEN_DIR))
        names = (environ.get("GITHUB_COPILOT_ACCESS_TOKEN_FILE") or exchange.TOKEN_FILE, exchange.JSON_FILE)
        token_files = [self.directory / name for name in names]
        self._stored = [Unchanged(path, functools.partial(_token_in, path)) for path in token_files]
        self.shared = Shared(self.directory / (environ.get("GITHUB_COPILOT_API_KEY_FILE") or exchange.API_KEY_FILE))
        self.url = (environ.get("GITHUB_COPILOT_API_KEY_URL") or exchange.EXCHANGE_URL).strip()
        self.plain_http = exchange.is_true(environ.get("COPILOT_INSECURE_HTTP"))
        self.own_base = self._checked_base(environ.get("GITHUB_COPILOT_API_BASE") or "")
        headers = {name: environ.get(variable) or default for name, (variable, default) in EDITOR_HEADERS.items()}
        self._client = ExchangeClient(self.url, {"accept": "application/json", **headers}, environ)
        self.problem = FETCHING
        self.first_turn_done = threading.Event()
        self.on_renewed: Callable[[], None] = lambda: None
        self._wake = threading.Event()
        self._is_quiet = False
        self._refused_token = ""
        self._failure_kind, self._failures = "", 0
        self._exchanges: list[float] = []
        self._not_before = 0.0
        self._failed_login = ""
        self._said = ""
        self._known = ""
        self._kept: Record | None = None
        self._unstored: Record | None = None
        self._store_from = 0.0
        self._logins: set[str] = set()
        self._seen = ("", 0.0)
        """The last token that was gone by here, and when that began: a request begun since then took no other."""

    def current(self) -> str | None:
        """The Copilot token; None if there is no valid one."""
        record = self._believed()
        return record.token if record and record.expires_at > time.time() else None

    def ends_at(self) -> float | None:
        """When the Copilot token ends or ended, in Unix time; None if there is none."""
        record = self._believed()
        return record.expires_at if record else None

    def api_base(self) -> str | None:
        """Copilot's address for this plan: the one from the exchange, or the one the user set, or None."""
        record = self._believed()
        named = record.api_base if record else None
        # Others may be able to write the file, so it is checked like an address that GitHub names.
        base = exchange.trusted_base(named, self.own_base, plain_http=self.plain_http) if named else None
        return base or self.own_base or None

    def refused(self, requested_at: float) -> None:
        """Copilot refused (401) a request begun at this Unix time: renew, unless it may have had an older token."""
        record = self._believed()
        # Not since it was obtained: until it was stored, requests still took the one before.
        if record is not None and requested_at >= self._seen[1]:
            self._refused_token = record.token
            self._wake.set()

    def run(self) -> None:
        """The thread: check, forever, whether the token is due."""
        while True:
            try:
                self.turn()
            except Exception:
                log.exception("renewing the Copilot token failed unexpectedly; continuing")
            self.first_turn_done.set()
            self._wake.wait(POLL_VALID if self._is_quiet else POLL)
            self._wake.clear()

    def turn(self) -> None:
        """Renew the token if it is due and there is no reason to wait."""
        self._is_quiet = False
        self._notice_renewal()
        self._store_again()
        access_token = self._access_token()
        if access_token is None:
            return
        if not self._due(access_token):
            self._failures, self._failed_login, self.problem = 0, "", FETCHING
            self._is_quiet = self._unstored is None and not self.is_refused()
            return
        login = exchange.fingerprint(access_token)
        late = self._client.late(login)
        if late is None:
            if login != self._failed_login:
                self._failures, self.problem = 0, FETCHING
            elif elapsed() < self._not_before:
                return
            if self._others_failed(login):
                return
        try:
            with self.shared.try_lock() as locked:
                # Read again: another worker may have exchanged a new login, beside which the one before is due.
                if locked and self._access_token() == access_token and self._due(access_token):
                    self._exchange(access_token, late)
        except OSError as error:
            self._failed(login, f"{self.shared.file} cannot be written ({error.strerror}): {PLACE_HINT}", LOCAL_WAIT)
        except Exception as error:
            self._failed(login, f"the exchange failed unexpectedly ({type(error).__name__})", LOCAL_WAIT)
        self._notice_renewal()

    def _notice_renewal(self) -> None:
        """Call ``on_renewed`` if there is a new token, whichever worker fetched it."""
        record = self._believed()
        if record:
            remember(record.token, passing=True)
        token = exchange.fingerprint(record.token) if record else ""
        if token != self._known:
            self._known = token
            if token:
                self.on_renewed()

    def _due(self, access_token: str) -> bool:
        """Whether the Copilot token is missing, about to expire, refused by Copilot, or from another login."""
        record, now = self._believed(), time.time()
        if record is None or now >= record.renew_at or record.login != exchange.fingerprint(access_token):
            return True
        if record.obtained_at > now + CLOCK_TOLERANCE:
            return True  # the clock was set back: the times in the record are those of another clock
        return self._is_refused(record) and now >= record.obtained_at + exchange.renewal_pause(record.refusals)

    def is_refused(self) -> bool:
        """Whether Copilot has refused the token that we have."""
        return self._is_refused(self._believed())

    def _is_refused(self, record: Record | None) -> bool:
        return record is not None and record.token == self._refused_token

    def _exchange(self, access_token: str, late: Answer | None) -> None:
        login = exchange.fingerprint(access_token)
        if not self.url.startswith("https://") and not self.plain_http:
            problem = "GITHUB_COPILOT_API_KEY_URL is not https and COPILOT_INSECURE_HTTP is not true"
            self._failed(login, problem, LOCAL_WAIT)
            return
        answer = late or self._ask(access_token, login)
        if answer is None:
            return
        kind, asked = exchange.refusal(answer.status, answer.headers, answer.body, time.time())
        if answer.token:
            self._keep(answer)
        elif isinstance(answer.error, BadAuthorities):
            self._failed(login, str(answer.error), LOCAL_WAIT)
        elif not answer.reached:
            # If nothing is listening, another attempt bothers nobody.
            self._failed(login, answer.silence, POLL)
        elif isinstance(answer.error, (httpx.HTTPError, TimeoutError)):
            self._failed_again(login, answer.silence, kind)
        elif answer.error is not None:
            self._failed(login, f"the exchange failed unexpectedly ({type(answer.error).__name__})", LOCAL_WAIT)
        else:
            self._failed_again(login, _describe(kind, answer.status), kind, asked)

    def _ask(self, access_token: str, login: str) -> Answer | None:
        """Ask GitHub; None if it has been asked often enough within the last hour."""
        now = time.time()
        budget = self._budget()
        is_new = login not in {seen.login for seen in (self._believed(), self.shared.failure()) if seen}
        if (wait := budget.wait(now, new_login=is_new)) > 0:
            self._failed_login, self._not_before = login, elapsed() + min(wait, LONGEST_WAIT)
            return None
        answer = self._client.ask(access_token, login)
        if answer.reached:
            budget.spend(now)
            self._exchanges = budget.spent()
            self._share(self.shared.failure())
        return answer

    def _budget(self) -> Budget:
        """What is left of the hour's exchanges for all workers."""
        return Budget(HOOK_LIMIT, sorted({*self.shared.exchanges(), *self._exchanges}))

    def _share(self, failure: Failure | None) -> None:
        """Let the other workers know; what cannot be shared is remembered here."""
        spent = self._budget().spent()
        self._exchanges = [] if self.shared.share(failure, spent) else spent

    def _keep(self, answer: Answer) -> None:
        now, before = answer.received_at, self._believed()
        remember(answer.token or "", passing=True)
        life = exchange.lifetime(answer.body, answer.headers.get("date", ""), now)
        named = exchange.api_base_in(answer.body)
        base = exchange.trusted_base(named, self.own_base, plain_http=self.plain_http) if named else None
        if named and base is None:
            log.warning("GitHub names %r as Copilot's address, not a known Copilot host; ignoring it", printable(named))
        refused = before is not None and self._is_refused(before)
        record = Record(
            answer.token or "",
            now + life.ends_in,
            now + life.renew_in * random.uniform(0.9, 1.0),
            now,
            answer.login,
            base or self.own_base or None,
            before.refusals + 1 if before is not None and refused else 0,
        )
        self._unstored = record
        self._share(None)
        if refused:
            log.warning("Copilot refused the token before it expired; it has been renewed")
        self._say("obtained a Copilot token")
        self._store(record)

    def _store(self, record: Record) -> None:
        """Share the token; where that fails, it serves this worker alone. The lock must be held."""
        try:
            self.shared.write(record)
            self._unstored = None
        except OSError as error:
            self._store_from = elapsed() + LOCAL_WAIT
            problem = f"{self.shared.file} cannot be written ({error.strerror})"
            self._say(f"{problem}: each worker has to get a Copilot token of its own; {PLACE_HINT}")

    def _store_again(self) -> None:
        """Put the token back that this worker still has, where the disk was full, or something else has its place."""
        if self._is_stored() or elapsed() < self._store_from or not self.shared.file.parent.is_dir():
            return
        with contextlib.suppress(OSError), self.shared.try_lock() as locked:
            record = self._believed()
            if locked and record is not None and not self._is_stored():
                self._store(record)

    def _is_stored(self) -> bool:
        """Whether the file has the token that we go by, if there is one."""
        stored, record = self.shared.read(), self._believed()
        return record is None or (stored is not None and stored.token == record.token)

    def _failed_again(self, login: str, problem: str, kind: Refusal, asked: float | None = None) -> None:
        """GitHub has failed or refused: wait the longer the more often it has done so."""
        failures = self._failures + 1 if self._failure_kind == kind.name else 1
        refused = kind in _HINTS
        wait = wait_after(failures, LONGEST_WAIT, refused=refused, asked=asked)
        self._failed(login, problem, wait, kind.name, failures)

    def _failed(self, login: str, problem: str, wait: float, kind: str = "", failures: int = 1) -> None:
        self._failure_kind, self._failures = kind, failures
        self._failed_login, self._not_before = login, elapsed() + wait
        self.problem = problem
        self._say(f"no new Copilot token: {problem}")
        self._share(Failure(login, time.time() + wait, kind, failures, problem))

    def _others_failed(self, login: str) -> bool:
        """Whether another worker's failure means that we should wait too; if so, adopt its reason."""
        failure = self.shared.failure()
        if failure is None or failure.login != login:
            return False
        wait = failure.until - time.time()
        self._failure_kind, self._failures, self.problem = failure.kind, failure.count, failure.problem
        if not 0 < wait <= 100_000:
            return False
        self._failed_login, self._not_before = login, elapsed() + wait
        return True

    def _say(self, text: str) -> None:
        """Log a state once, not on every attempt."""
        if text != self._said:
            self._said = text
            log.info("%s", text)

    def _access_token(self) -> str | None:
        try:
            token = self._stored_token()
        except OSError as error:
            self.problem = f"the access token file {error.filename} cannot be read: {error.strerror}"
            self._say(self.problem)
            return None
        if token is None:
            self.problem = "nobody has logged in to GitHub yet: `docker compose run --rm login`"
            self._say(f"waiting for a login: no access token in {self.directory}")
        return token

    def _stored_token(self) -> str | None:
        """The access token as it is stored now; None if there is none. Raises OSError with the file's name."""
        for stored in self._stored:
            try:
                token = stored()
            except FileNotFoundError:
                continue
            if token is not None:
                remember(token)
                self._logins.add(exchange.fingerprint(token))
                return token
        return None

    def _believed(self) -> Record | None:
        """The token to go by: the shared one, if it comes from a login that this worker has seen. After a new login the
        previous token serves until the next has come; any other may be that of somebody else's account. Where there is
        no such token, the file may have been damaged or replaced: then the last one that was there, or a later one of
        our own that could not be stored.
        """
        record = self.shared.read()
        if record is not None and record.login not in self._logins:
            with contextlib.suppress(OSError):
                self._stored_token()  # another worker may have seen a new login first
        if record is not None and record.login in self._logins:
            self._kept = record
        else:
            record = self._kept
        own = self._unstored
        if own is not None and (record is None or record.obtained_at < own.obtained_at):
            record = own
        if record is not None and record.token != self._seen[0]:
            self._seen = (record.token, time.time())
        return record

    def _checked_base(self, text: str) -> str:
        """GITHUB_COPILOT_API_BASE, if it is an address that may be sent a token."""
        base = exchange.trusted_base(text.strip(), text.strip(), plain_http=self.plain_http) if text.strip() else ""
        if base is None:
            log.warning("GITHUB_COPILOT_API_BASE is not an https address; ignoring it")
        return base or ""


def _token_in(path: Path) -> str | None:
    """The access token in one of its files. Raises OSError with the file's name."""
    return exchange.access_token_in(read_bounded(path, MAX_TOKEN_FILE), is_json=path.name == exchange.JSON_FILE)


_LOG_IN = "log in again with `docker compose run --rm login`"
_HINTS = {
    Refusal.REVOKED: f": {_LOG_IN}",
    Refusal.WRONG_KIND: f": {_LOG_IN}",
    Refusal.NO_COPILOT: ": see https://github.com/settings/copilot",
}


def _describe(kind: Refusal, status: int) -> str:
    return kind.value + _HINTS.get(kind, f" (HTTP {status})")
