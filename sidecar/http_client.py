"""Sends one HTTP request under the rules that apply to all of them, and defines the only retry policy.

Redirects are never followed (they could carry a token to another host), ``.netrc`` is ignored, no proxy sees a request
to this machine, responses are limited in time and size, and neither their headers nor their bodies appear in error
messages. Callers decide what a response means: ``sidecar.github.api``, ``sidecar.targets.kubernetes``.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import tenacity
import urllib3

from sidecar.errors import BadAnswer, HeaderRejected, NoConnection, Stopped, Unreachable, UpstreamError, UsageError
from sidecar.jsontext import parse_json
from sidecar.litellm_hot_reload import exchange, pace
from sidecar.litellm_hot_reload.connection import Connection
from sidecar.parsers import is_header_value
from sidecar.secret import Secret
from sidecar.text import printable
from sidecar.transport import Adapter, proxies_for, trusted_certificates

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 10.0
TOTAL_TIMEOUT = 30.0
MAX_BYTES = 2 * 1024 * 1024
"""The largest response, in bytes, unless a caller expects more: a catalog of 42 models with every field that is known
has 100 KiB, and one of more than 2 MiB would not fit into a models file either."""
MAX_ATTEMPTS = 3
MAX_WAIT = 20.0
"""The longest retry delay, in seconds, that is honored; anything longer is not retried."""

_HEADERS = {"accept": "application/json", "accept-encoding": "gzip, deflate"}
_MAX_HOSTS = 20
_THREAD = "request to "

T = TypeVar("T")
_sent: Counter[tuple[str, str]] = Counter()
_sent_lock = threading.Lock()


def sent() -> dict[tuple[str, str], int]:
    """How many requests this process has sent, by host and status; ``none``: there was no answer.

    Beyond 20 hosts they are counted together, as ``other``.
    """
    with _sent_lock:
        return dict(_sent)


def asked() -> str:
    """The host of a request that is under way; "" if there is none."""
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith(_THREAD)]
    return names[-1].removeprefix(_THREAD) if names else ""


def _count(host: str, code: str) -> None:
    with _sent_lock:
        known = {name for name, _ in _sent}
        _sent[host if host in known or len(known) < _MAX_HOSTS else "other", code] += 1


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of an HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    max_bytes: int = MAX_BYTES

    @cached_property
    def json(self) -> Any:
        """The parsed body as ``parse_json`` gives it; None if it is not JSON, or beyond its bounds."""
        try:
            return parse_json(self.body, self.max_bytes)
        except ValueError:
            return None

    @cached_property
    def digest(self) -> bytes:
        """Distinguishes bodies."""
        return hashlib.sha256(self.body).digest()

    def retry_after(self) -> float | None:
        """The delay that the response asks for, in seconds; None if it does not."""
        return exchange.retry_after(self.headers, time.time())


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    authorization: tuple[str, Secret] | None = None,
    body: Mapping[str, Any] | None = None,
    ca_file: str | None = None,
    no_proxy: bool = False,
    max_bytes: int | None = None,
) -> Answer:
    """Send one request, with ``body`` as JSON, and read the response, of at most ``max_bytes`` (None: MAX_BYTES).

    ``ca_file`` contains the only certificates to trust, instead of those that the environment names; ``no_proxy``
    ignores its proxies. Time limits in seconds: CONNECT_TIMEOUT per address, READ_TIMEOUT per read, TOTAL_TIMEOUT for
    everything.

    Raises Unreachable (no HTTP response; NoConnection if no request was sent), BadAnswer (redirect, too large),
    UsageError (the authorization is not valid in a header, or the certificates that a variable names are unusable),
    StorageError (those of ``ca_file`` are).
    """
    if authorization is not None:
        if not is_header_value(authorization[1].reveal()):
            raise UsageError(
                "the key or token for " + _host(url) + " is not plain ASCII text on one line, so it cannot be sent",
                hint="Check where it is kept for a line break or other stray characters.",
            )
        headers = {**headers, "authorization": f"{authorization[0]} {authorization[1].reveal()}"}
    connection, outcome = Connection(), Future[Answer]()

    def run() -> None:
        try:
            answer = _exchange(connection, method, url, headers, body, ca_file, no_proxy, max_bytes)
            _count(_host(url), str(answer.status))
            outcome.set_result(answer)
        except BaseException as error:
            if connection.reached:
                _count(_host(url), "none")
            outcome.set_exception(error)
        finally:
            connection.forget()

    # A thread of its own: no limit that the reading side checks holds while a library waits for the rest of a header.
    threading.Thread(target=run, name=_THREAD + _host(url), daemon=True).start()
    try:
        return outcome.result(TOTAL_TIMEOUT)
    except TimeoutError:
        connection.cut()
        kind = Unreachable if connection.reached else NoConnection
        raise kind(f"{_host(url)} took longer than {TOTAL_TIMEOUT:.0f} s to answer") from None


def _exchange(
    connection: Connection,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Mapping[str, Any] | None,
    ca_file: str | None,
    no_proxy: bool,
    max_bytes: int | None,
) -> Answer:
    proxies: dict[str, str] = {}
    try:
        proxies = {} if no_proxy else proxies_for(url)
        prepared = requests.Request(method, url, headers={**_HEADERS, **headers}, json=body).prepare()
        with (
            # Not a session: it would add cookies, .netrc and the environment's proxies.
            contextlib.closing(Adapter(connection)) as adapter,
            adapter.send(
                prepared,
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                verify=trusted_certificates(ca_file) if urlsplit(url).scheme == "https" else True,
                proxies=proxies,
                stream=True,
            ) as response,
        ):
            return _read(response, _host(url), max_bytes or MAX_BYTES)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        # ValueError: what http.client says of a header or an address, and it quotes it.
        kind = Unreachable if connection.reached else NoConnection
        by = ", by the proxy that the environment names" if requests.utils.select_proxy(url, proxies) else ""
        raise kind(f"no answer from {_host(url)}{by}: {_reason(error, connected=connection.reached)}") from None


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _read(response: requests.Response, host: str, max_bytes: int) -> Answer:
    if 300 <= response.status_code < 400:
        raise BadAnswer(
            f"{host} answered with a redirect (HTTP {response.status_code}), which is not followed",
            hint="Something between here and GitHub redirects requests; set the GITHUB_COPILOT_*_URL "
            "settings to the final address.",
        )
    content = bytearray()
    # Not iter_content: it blocks until it has that many bytes, and delays the timeout.
    while chunk := response.raw.read1(65536, decode_content=True):
        content += chunk
        if len(content) > max_bytes:
            raise BadAnswer(f"{host} answered with more than {max_bytes} bytes")
    return Answer(response.status_code, response.headers, bytes(content), max_bytes)


_KINDS: tuple[tuple[Any, str], ...] = (
    (requests.exceptions.SSLError, "TLS failed"),
    ((requests.exceptions.ContentDecodingError, urllib3.exceptions.DecodeError), "what it sent cannot be decompressed"),
    (
        (requests.exceptions.ConnectionError, requests.exceptions.InvalidHeader, urllib3.exceptions.ProtocolError),
        "what it sent is not HTTP, or broke off",
    ),
)


def _reason(error: BaseException, *, connected: bool) -> str:
    """The innermost cause without addresses or header values: an exception's text may quote the request."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {CONNECT_TIMEOUT:.0f} s"
    if isinstance(error, requests.exceptions.ReadTimeout):
        return f"no data for {READ_TIMEOUT:.0f} s"
    text = str(error)
    for sign, reason in (
        ("Name or service not known", "the name cannot be resolved"),
        ("name resolution", "the name cannot be resolved"),
        ("Connection refused", "connection refused"),
        ("Network is unreachable", "the network is unreachable"),
        ("CERTIFICATE_VERIFY_FAILED", "its TLS certificate is not trusted"),
        ("Read timed out", f"no data for {READ_TIMEOUT:.0f} s"),
        ("reset by peer", "connection reset"),
        ("Remote end closed", "connection closed without a response"),
        ("ProxyError", "the proxy failed"),
    ):
        if sign.lower() in text.lower():
            return reason
    if not connected:
        return "no connection"
    return next((reason for kind, reason in _KINDS if isinstance(error, kind)), printable(type(error).__name__))


def is_transient(error: BaseException, max_wait: float = MAX_WAIT) -> bool:
    """Whether a retry within ``max_wait`` seconds makes sense."""
    if not isinstance(error, UpstreamError) or isinstance(error, HeaderRejected):
        return False
    return error.retry_after is None or error.retry_after <= max_wait


def retrying(
    call: Callable[[], T],
    stop: threading.Event,
    *,
    attempts: int = MAX_ATTEMPTS,
    deadline: float | None = None,
    retry_if: Callable[[BaseException], bool] = is_transient,
) -> T:
    """Retry ``call`` while it raises errors that ``retry_if`` accepts, waiting as long as the error asks.

    Makes up to ``attempts`` attempts or, with a ``deadline``, retries for that many seconds, ever more seldom: 8 or 9
    times in a minute. ``stop`` ends a wait at once. Raises the last error, or Stopped.
    """

    def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise Stopped("interrupted between attempts")

    limit = tenacity.stop_after_attempt(attempts) if deadline is None else tenacity.stop_before_delay(deadline)
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(retry_if),
        stop=limit | tenacity.stop_when_event_set(stop),
        wait=_wait if deadline is None else _growing_wait,
        sleep=sleep,
        before_sleep=_log_attempt,
        reraise=True,
    )(call)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, UpstreamError) and error.retry_after is not None:
        return error.retry_after
    return float(tenacity.wait_random_exponential(multiplier=0.5, min=0.2, max=5.0)(state))


def _growing_wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return pace.wait_after(state.attempt_number, MAX_WAIT, asked=getattr(error, "retry_after", None))


def _log_attempt(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.info("%s; retrying", error, extra={"event": "request.retried"})
