"""Sends one HTTP request under the rules that apply to all of them, and defines the only retry policy.

Redirects are never followed (they could carry a token to another host), ``.netrc`` is ignored, no proxy sees a request
to this machine, responses are limited in time and size, and neither their headers nor their bodies appear in error
messages. Callers decide what a response means: ``sidecar.github.api``, ``sidecar.targets.kubernetes``.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import tenacity
import urllib3

from sidecar.errors import BadAnswer, Stopped, Unreachable, UpstreamError, UsageError
from sidecar.litellm_hot_reload import exchange
from sidecar.litellm_hot_reload.connection import Connection
from sidecar.parsers import is_header_value
from sidecar.secret import Secret
from sidecar.text import printable
from sidecar.transport import Adapter, proxies_for, trusted_certificates

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 10.0
TOTAL_TIMEOUT = 30.0
MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 50
MAX_ATTEMPTS = 3
MAX_WAIT = 20.0
"""The longest retry delay, in seconds, that is honored; anything longer is not retried."""

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of an HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @cached_property
    def json(self) -> Any:
        """The parsed body, with exact decimals; NaN and Infinity are None, and so is a body that is not JSON, or nested
        so deeply that working with it could exhaust the stack.
        """
        try:
            content = json.loads(self.body, parse_float=Decimal, parse_constant=lambda _: None)
        except (ValueError, ArithmeticError, RecursionError):  # ArithmeticError: 1e9999999999999999999
            return None
        return content if _depth(content) <= MAX_DEPTH else None

    def retry_after(self) -> float | None:
        """The delay that the response asks for, in seconds; None if it does not."""
        return exchange.retry_after(self.headers, time.time())


def _depth(content: Any) -> int:
    """How deeply lists and objects are nested, as far as MAX_DEPTH matters."""
    level, depth = [content], 0
    while depth <= MAX_DEPTH and (level := [item for item in level if isinstance(item, (dict, list))]):
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
        depth += 1
    return depth


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    authorization: tuple[str, Secret] | None = None,
    body: Mapping[str, Any] | None = None,
    ca_file: str | None = None,
    no_proxy: bool = False,
) -> Answer:
    """Send one request, with ``body`` as JSON, and read the response.

    ``ca_file`` contains the only certificates to trust, instead of those that the environment names; ``no_proxy``
    ignores its proxies. Time limits in seconds: CONNECT_TIMEOUT per address, READ_TIMEOUT per read, TOTAL_TIMEOUT for
    everything.

    Raises Unreachable (no HTTP response), BadAnswer (redirect, too large), UsageError (the authorization is not valid
    in a header, or the certificates that a variable names are unusable), StorageError (those of ``ca_file`` are).
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
            outcome.set_result(_exchange(connection, method, url, headers, body, ca_file, no_proxy))
        except BaseException as error:
            outcome.set_exception(error)
        finally:
            connection.forget()

    # A thread of its own: no limit that the reading side checks holds while a library waits for the rest of a header.
    threading.Thread(target=run, name="request", daemon=True).start()
    try:
        return outcome.result(TOTAL_TIMEOUT)
    except TimeoutError:
        connection.cut()
        raise Unreachable(f"{_host(url)} took longer than {TOTAL_TIMEOUT:.0f} s to answer") from None


def _exchange(
    connection: Connection,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Mapping[str, Any] | None,
    ca_file: str | None,
    no_proxy: bool,
) -> Answer:
    try:
        with requests.Session() as session:
            session.trust_env = False  # neither .netrc nor proxies; those that apply are set here
            session.mount("http://", Adapter(connection))
            session.mount("https://", Adapter(connection))
            with session.request(
                method,
                url,
                headers={"accept": "application/json", **headers},
                json=body,
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                verify=trusted_certificates(ca_file) if urlsplit(url).scheme == "https" else True,
                proxies={} if no_proxy else proxies_for(url),
                allow_redirects=False,
                stream=True,
            ) as response:
                return _read(response, _host(url))
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        # ValueError: what http.client says of a header or an address, and it quotes it.
        raise Unreachable(f"no answer from {_host(url)}: {_reason(error)}") from None


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _read(response: requests.Response, host: str) -> Answer:
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
        if len(content) > MAX_BYTES:
            raise BadAnswer(f"{host} answered with more than {MAX_BYTES} bytes")
    return Answer(response.status_code, response.headers, bytes(content))


def _reason(error: BaseException) -> str:
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
    return printable(type(error).__name__)


def is_transient(error: BaseException, max_wait: float = MAX_WAIT) -> bool:
    """Whether a retry within ``max_wait`` seconds makes sense."""
    return isinstance(error, UpstreamError) and (error.retry_after is None or error.retry_after <= max_wait)


def retrying(
    call: Callable[[], T],
    stop: threading.Event,
    *,
    deadline: float | None = None,
    retry_if: Callable[[BaseException], bool] = is_transient,
) -> T:
    """Retry ``call`` while it raises errors that ``retry_if`` accepts, waiting as long as the error asks.

    Makes up to MAX_ATTEMPTS attempts or, with a ``deadline``, retries for that many seconds. ``stop`` ends a wait
    at once. Raises the last error, or Stopped.
    """

    def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise Stopped("interrupted between attempts")

    limit = tenacity.stop_after_attempt(MAX_ATTEMPTS) if deadline is None else tenacity.stop_before_delay(deadline)
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(retry_if),
        stop=limit | tenacity.stop_when_event_set(stop),
        wait=_wait,
        sleep=sleep,
        before_sleep=_log_attempt,
        reraise=True,
    )(call)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, UpstreamError) and error.retry_after is not None:
        return error.retry_after
    return float(tenacity.wait_random_exponential(multiplier=0.5, min=0.2, max=5.0)(state))


def _log_attempt(state: tenacity.RetryCallState) -> None:
    log.info("%s; retrying", state.outcome.exception() if state.outcome else None)
