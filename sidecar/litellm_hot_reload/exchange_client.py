"""Asks GitHub for a Copilot token, without ever waiting longer than REQUEST_TIMEOUT for it.

Each request runs in its own thread: there is no other way to abandon a DNS lookup that hangs, and GitHub may have come
back while an older request is still hanging. A late answer is used all the same; after DEADLINE the connection is cut.
"""

from __future__ import annotations

import json
import os
import queue
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from .connection import Connection
from .exchange import ca_variable, copilot_token_in

REQUEST_TIMEOUT = 2.5
"""Seconds after which GitHub counts as not responding and may be asked again."""
DEADLINE = 30.0
"""Seconds after which a request ends in any case, however slowly its answer trickles in."""
MAX_UNANSWERED = 5
MAX_ANSWER = 2**16
_REASONS: dict[type[Exception], str] = {
    TimeoutError: f"for {REQUEST_TIMEOUT:g} s",
    httpx.TimeoutException: "in time",
    httpx.ReadError: "the connection broke off",
    httpx.RemoteProtocolError: "what it sent is not HTTP, or broke off",
}


@dataclass(frozen=True)
class Answer:
    """The outcome of one request: an HTTP response with header names in lower case, or an error instead.

    ``login`` is the fingerprint of the access token that was sent; ``received_at`` is in Unix time. ``reached`` is
    False if there was nothing to send the request to.
    """

    login: str
    received_at: float
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    error: Exception | None = None
    reached: bool = True

    @property
    def token(self) -> str | None:
        """The Copilot token in it, if it is a success."""
        return copilot_token_in(self.body) if self.status == 200 else None

    @property
    def silence(self) -> str:
        """That there is no HTTP response, and why; without the exception's text, which may quote the request."""
        how = next((reason for kind, reason in _REASONS.items() if isinstance(self.error, kind)), "")
        if isinstance(self.error, httpx.ConnectError):
            how = "TLS failed" if self.reached else "no connection"
            if "CERTIFICATE_VERIFY_FAILED" in str(self.error):
                how = "its TLS certificate is not trusted"
        return f"GitHub does not answer ({how or type(self.error).__name__})"


class ExchangeClient:
    """``ask`` must be called from one thread only."""

    def __init__(self, url: str, headers: Mapping[str, str], environ: Mapping[str, str]) -> None:
        self._url, self._headers, self._environ = url, headers, environ
        # Not a SimpleQueue: its get() waits forever if its time has run out before it looks (Python 3.11).
        self._answers: queue.Queue[Answer] = queue.Queue()
        self._unanswered = 0

    def late(self, login: str) -> Answer | None:
        """A token for this login that an earlier request has brought since; None if there is none."""
        while (answer := self._next(0.0)) is not None:
            if answer.login == login and answer.token:
                return answer
        return None

    def ask(self, access_token: str, login: str) -> Answer:
        """An answer for this login, to this or an earlier request; after REQUEST_TIMEOUT one with a TimeoutError."""
        connection = Connection()
        if self._unanswered < MAX_UNANSWERED:
            self._unanswered += 1
            arguments = (connection, access_token, login)
            threading.Thread(target=self._run, args=arguments, name="copilot-exchange", daemon=True).start()
        deadline = time.monotonic() + REQUEST_TIMEOUT
        while (answer := self._next(deadline - time.monotonic())) is not None:
            if answer.login == login:
                return answer
        return Answer(login, time.time(), error=TimeoutError(), reached=connection.reached)

    def _next(self, seconds: float) -> Answer | None:
        try:
            answer = self._answers.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            return None
        self._unanswered -= 1
        return answer

    def _run(self, connection: Connection, access_token: str, login: str) -> None:
        """Make one request; puts exactly one answer in the queue."""
        try:
            answer = self._request(connection, access_token, login)
        except Exception as error:
            answer = Answer(login, time.time(), error=error, reached=connection.reached)
        self._answers.put(answer)

    def _request(self, connection: Connection, access_token: str, login: str) -> Answer:
        timer = threading.Timer(DEADLINE, connection.cut)
        timer.daemon = True
        timer.start()
        try:
            with (
                httpx.Client(
                    verify=tls_context(self._environ), timeout=httpx.Timeout(10, connect=5), follow_redirects=False
                ) as client,
                client.stream(
                    "GET",
                    self._url,
                    headers={
                        **self._headers,
                        "accept-encoding": "identity",
                        "authorization": f"token {access_token}",
                    },
                    extensions={"trace": _tracer(connection)},
                ) as response,
            ):
                content = _content(response)
        finally:
            timer.cancel()
            connection.forget()
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            body = None
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(login, time.time(), response.status_code, headers, body if isinstance(body, dict) else {})


def _content(response: httpx.Response) -> bytes:
    """The body as it was sent; empty if it is compressed, which we do not ask for: a few bytes can become gigabytes."""
    if response.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        return b""
    content = bytearray()
    for chunk in response.iter_raw():
        content += chunk
        if len(content) > MAX_ANSWER:
            raise httpx.ReadError("the answer is too large")
    return bytes(content)


def _tracer(connection: Connection) -> Callable[[str, Mapping[str, Any]], None]:
    """httpx's documented ``trace`` extension."""

    def traced(event: str, info: Mapping[str, Any]) -> None:
        if event.endswith("connect_tcp.complete"):
            connection.opened(info["return_value"].get_extra_info("socket"))

    return traced


def tls_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Trusts the authorities that the environment names, else the usual ones. Raises BadAuthorities."""
    variable = ca_variable(environ)
    if variable is None:
        return httpx.create_ssl_context(trust_env=False)
    path = environ[variable]
    is_directory = os.path.isdir(path)
    try:
        return ssl.create_default_context(cafile=None if is_directory else path, capath=path if is_directory else None)
    except OSError as error:  # also ssl.SSLError
        raise BadAuthorities(f"{variable} names {path}, which has no certificates that can be read") from error


class BadAuthorities(Exception):
    """The file or directory that is to name the certificate authorities to trust is of no use."""
