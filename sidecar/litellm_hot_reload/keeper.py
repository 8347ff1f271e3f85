"""Keeps a valid Copilot token, shared by all workers on the machine, in a separate thread.

On its own, LiteLLM would fetch the token on its event loop, where all of the worker's traffic would wait for it. The
thread renews it before it expires, and immediately if Copilot refuses it earlier (``refused``): because a seat was
moved, a plan changed, or something is wrong at GitHub.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from . import exchange
from .bounded import read_bounded
from .exchange import EDITOR_HEADERS, Refusal
from .exchange_client import REQUEST_TIMEOUT, Answer, BadAuthorities, ExchangeClient
from .record import Failure, Record, Shared

log = logging.getLogger("copilot_hook")

POLL = 1.0
MAX_TOKEN_FILE = 2**16
CLOCK_TOLERANCE = 60.0
FETCHING = "the Copilot token is being fetched; try again in a moment"
PLACE_HINT = "set GITHUB_COPILOT_API_KEY_FILE to a writable path"


class Keeper:
    """The token of one worker. ``problem`` says why there is none."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        # Not Path.expanduser: it raises for users without a home directory, as in containers.
        self.directory = Path(os.path.expanduser(environ.get("GITHUB_COPILOT_TOKEN_DIR") or exchange.TOKEN_DIR))
        self.token_files = (
            self.directory / (environ.get("GITHUB_COPILOT_ACCESS_TOKEN_FILE") or exchange.TOKEN_FILE),
            self.directory / exchange.JSON_FILE,
        )
        self.shared = Shared(self.directory / (environ.get("GITHUB_COPILOT_API_KEY_FILE") or "api-key.json"))
        self.url = (environ.get("GITHUB_COPILOT_API_KEY_URL") or exchange.EXCHANGE_URL).strip()
        self.plain_http = exchange.is_true(environ.get("COPILOT_INSECURE_HTTP"))
        self.own_base = self._checked_base(environ.get("GITHUB_COPILOT_API_BASE") or "")
        headers = {name: environ.get(variable) or default for name, (variable, default) in EDITOR_HEADERS.items()}
        self._client = ExchangeClient(self.url, {"accept": "application/json", **headers}, environ)
        self.problem = FETCHING
        self.first_turn_done = threading.Event()
        self.on_renewed: Callable[[], None] = lambda: None
        self._wake = threading.Event()
        self._refused_token = ""
        self._failures = 0
        self._not_before = 0.0
        self._failed_login = ""
        self._said = ""
        self._known = ""
        self._logins: set[str] = set()

    def current(self) -> str | None:
        """The Copilot token; None if there is no valid one."""
        record = self._believed()
        return record.token if record and record.expires_at > time.time() else None

    def api_base(self) -> str | None:
        """Copilot's address for this plan: the one from the exchange, or the one the user set, or None."""
        record = self._believed()
        named = record.api_base if record else None
        # Others may be able to write the file, so it is checked like an address that GitHub names.
        base = exchange.trusted_base(named, self.own_base, plain_http=self.plain_http) if named else None
        return base or self.own_base or None

    def refused(self, requested_at: float) -> None:
        """Copilot refused (401) a request made at this Unix time: renew, unless that has already been done since."""
        record = self.shared.read()
        if record is not None and requested_at >= record.obtained_at:
            self._refused_token = record.token
            self._wake.set()

    def run(self) -> None:
        """The thread: check every second, forever, whether the token is due."""
        while True:
            try:
                self.turn()
            except Exception:
                log.exception("renewing the Copilot token failed unexpectedly; continuing")
            self.first_turn_done.set()
            self._wake.wait(POLL)
            self._wake.clear()

    def turn(self) -> None:
        """Renew the token if it is due and there is no reason to wait."""
        self._notice_renewal()
        access_token = self._access_token()
        if access_token is None:
            return
        if not self._due(access_token):
            self._failures, self._failed_login, self.problem = 0, "", FETCHING
            return
        login = exchange.fingerprint(access_token)
        if login != self._failed_login:
            self._failures, self.problem = 0, FETCHING
        elif time.monotonic() < self._not_before:
            return
        if self._others_failed(login):
            return
        try:
            with self.shared.try_lock() as locked:
                if locked and self._due(access_token):
                    self._exchange(access_token)
        except OSError as error:
            self._failed(login, f"{self.shared.file} cannot be written ({error.strerror}): {PLACE_HINT}", 60)
        except Exception as error:
            self._failed(login, f"the exchange failed unexpectedly ({type(error).__name__})", 60)
        self._notice_renewal()

    def _notice_renewal(self) -> None:
        """Call ``on_renewed`` if there is a new token, whichever worker fetched it."""
        record = self.shared.read()
        token = exchange.fingerprint(record.token) if record else ""
        if token != self._known:
            self._known = token
            if token:
                self.on_renewed()

    def _due(self, access_token: str) -> bool:
        """Whether the Copilot token is missing, about to expire, refused by Copilot, or from another login."""
        record, now = self.shared.read(), time.time()
        if record is None or now >= record.renew_at or record.login != exchange.fingerprint(access_token):
            return True
        if record.obtained_at > now + CLOCK_TOLERANCE:
            return True  # the clock was set back: the times in the record are those of another clock
        return self._is_refused(record) and now >= record.obtained_at + exchange.renewal_pause(record.refusals)

    def is_refused(self) -> bool:
        """Whether Copilot has refused the token that we have."""
        return self._is_refused(self.shared.read())

    def _is_refused(self, record: Record | None) -> bool:
        return record is not None and record.token == self._refused_token

    def _exchange(self, access_token: str) -> None:
        login = exchange.fingerprint(access_token)
        if not self.url.startswith("https://") and not self.plain_http:
            self._failed(login, "GITHUB_COPILOT_API_KEY_URL is not https and COPILOT_INSECURE_HTTP is not true", 60)
            return
        answer = self._client.ask(access_token, login)
        if answer is None:
            self._failed(login, f"GitHub does not answer (for {REQUEST_TIMEOUT:g} s)", 1)
        elif isinstance(answer.error, httpx.HTTPError):
            # If nothing is listening, another attempt bothers nobody.
            wait = 1 if isinstance(answer.error, httpx.ConnectError) else 2
            self._failed(login, f"GitHub does not answer ({type(answer.error).__name__})", wait)
        elif isinstance(answer.error, BadAuthorities):
            self._failed(login, str(answer.error), 60)
        elif answer.error is not None:
            self._failed(login, f"the exchange failed unexpectedly ({type(answer.error).__name__})", 60)
        elif answer.token:
            self._keep(answer)
        else:
            kind, asked = exchange.refusal(answer.status, answer.headers, answer.body, time.time())
            self._failed(login, _describe(kind, answer.status), exchange.next_attempt(kind, asked, self._failures))

    def _keep(self, answer: Answer) -> None:
        now, before = answer.received_at, self.shared.read()
        life = exchange.lifetime(answer.body, answer.headers.get("date", ""), now)
        named = exchange.api_base_in(answer.body)
        base = exchange.trusted_base(named, self.own_base, plain_http=self.plain_http) if named else None
        if named and base is None:
            log.warning("GitHub names %.100r as Copilot's address, not a known Copilot host; ignoring it", named)
        refused = before is not None and self._is_refused(before)
        self.shared.write(
            Record(
                answer.token or "",
                now + life.ends_in,
                now + life.renew_in * random.uniform(0.9, 1.0),
                now,
                answer.login,
                base or self.own_base or None,
                before.refusals + 1 if before is not None and refused else 0,
            )
        )
        if refused:
            log.warning("Copilot refused the token before it expired; it has been renewed")
        self._say("obtained a Copilot token")

    def _failed(self, login: str, problem: str, wait: float) -> None:
        self._failures += 1
        self._failed_login, self._not_before = login, time.monotonic() + wait
        self.problem = problem
        self._say(f"no new Copilot token: {problem}")
        self.shared.share_failure(Failure(login, time.time() + wait, self._failures, problem))

    def _others_failed(self, login: str) -> bool:
        """Whether another worker's failure means that we should wait too; if so, adopt its reason."""
        failure = self.shared.failure()
        if failure is None or failure.login != login:
            return False
        wait = failure.until - time.time()
        self._failures, self.problem = failure.count, failure.problem
        if not 0 < wait <= 100_000:
            return False
        self._failed_login, self._not_before = login, time.monotonic() + wait
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
        for path in self.token_files:
            try:
                data = read_bounded(path, MAX_TOKEN_FILE)
            except FileNotFoundError:
                continue
            token = exchange.access_token_in(data, is_json=path.name == exchange.JSON_FILE)
            if token is not None:
                self._logins.add(exchange.fingerprint(token))
                return token
        return None

    def _believed(self) -> Record | None:
        """The shared token, if it comes from a login that this worker has seen: after a new login the previous token
        serves until the next has come. Any other may be that of somebody else's account.
        """
        record = self.shared.read()
        if record is not None and record.login not in self._logins:
            with contextlib.suppress(OSError):
                self._stored_token()  # another worker may have seen a new login first
        return record if record is not None and record.login in self._logins else None

    def _checked_base(self, text: str) -> str:
        """GITHUB_COPILOT_API_BASE, if it is an address that may be sent a token."""
        base = exchange.trusted_base(text.strip(), text.strip(), plain_http=self.plain_http) if text.strip() else ""
        if base is None:
            log.warning("GITHUB_COPILOT_API_BASE is not an https address; ignoring it")
        return base or ""


_LOG_IN = "log in again with `docker compose run --rm login`"
_HINTS = {
    Refusal.REVOKED: f": {_LOG_IN}",
    Refusal.WRONG_KIND: f": {_LOG_IN}",
    Refusal.NO_COPILOT: ": see https://github.com/settings/copilot",
}


def _describe(kind: Refusal, status: int) -> str:
    return kind.value + _HINTS.get(kind, f" (HTTP {status})")
