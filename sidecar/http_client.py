"""One HTTP request to GitHub, with everything that must hold for each of them.

No redirect is ever followed (it could carry a token to another host), no ``.netrc`` is consulted, an
answer is bounded in time and size, and nothing of an answer's body gets into an error message. What
an answer means is decided in ``sidecar.github.api``; what is tried again, and when, in ``retrying``.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import tenacity
import urllib3

from sidecar.errors import BadAnswer, Stopped, Unreachable, UpstreamError
from sidecar.settings import Secret
from sidecar.text import printable

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 10.0
TOTAL_TIMEOUT = 30.0
MAX_BYTES = 16 * 1024 * 1024
ATTEMPTS = 3
LONGEST_WAIT = 20.0

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """Status, header fields and parsed JSON (None when the body is not JSON) of an HTTP answer."""

    status: int
    headers: Mapping[str, str]
    json: Any

    def retry_after(self) -> float | None:
        """Seconds that GitHub asks to wait (``Retry-After`` or ``x-ratelimit-reset``), None if it does not."""
        text = self.headers.get("Retry-After", "").strip()
        seconds: float | None = None
        if text.isascii() and text.isdigit() and len(text) < 10:
            seconds = float(text)
        elif text:
            try:
                seconds = parsedate_to_datetime(text).timestamp() - time.time()
            except (ValueError, OverflowError):
                seconds = None
        reset = self.headers.get("x-ratelimit-reset", "")
        if seconds is None and self.headers.get("x-ratelimit-remaining") == "0" and reset.isdigit() and len(reset) < 13:
            seconds = float(reset) - time.time()
        return None if seconds is None else min(max(seconds, 0.0), 86_400.0)


class _Authorization(requests.auth.AuthBase):
    """Sets the header itself: a header alone would give way to an entry in ``.netrc``."""

    def __init__(self, scheme: str, token: Secret) -> None:
        self.scheme, self.token = scheme, token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"{self.scheme} {self.token.reveal()}"
        return request


class _NoAuthorization(requests.auth.AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    authorization: tuple[str, Secret] | None = None,
    body: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request and read its answer.

    Raises Unreachable (no HTTP answer) and BadAnswer (redirect, too large). Time limits in seconds:
    CONNECT_TIMEOUT, READ_TIMEOUT per read, TOTAL_TIMEOUT over the body.
    """
    host = urlsplit(url).hostname
    deadline = time.monotonic() + TOTAL_TIMEOUT
    try:
        with requests.request(
            method,
            url,
            headers={"accept": "application/json", **headers},
            json=body,
            auth=_Authorization(*authorization) if authorization else _NoAuthorization(),
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            allow_redirects=False,
            stream=True,
        ) as response:
            if 300 <= response.status_code < 400:
                raise BadAnswer(
                    f"{host} answered with a redirect (HTTP {response.status_code}), which is not followed",
                    hint="Something between here and GitHub rewrites requests; set the GITHUB_COPILOT_*_URL "
                    "variables to the final address.",
                )
            content = bytearray()
            # Not iter_content: it waits until it has so many bytes, and the time limit with it.
            while chunk := response.raw.read1(65536, decode_content=True):
                content += chunk
                if len(content) > MAX_BYTES:
                    raise BadAnswer(f"{host} answered with more than {MAX_BYTES} bytes")
                if time.monotonic() > deadline:
                    raise Unreachable(f"{host} took longer than {TOTAL_TIMEOUT:.0f} s to answer")
            return Answer(response.status_code, response.headers, _parse(bytes(content)))
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise Unreachable(f"no answer from {host}: {_reason(error)}", hint=_UNREACHABLE_HINT) from None


_UNREACHABLE_HINT = "Check the network, DNS and HTTPS_PROXY of this machine, and https://www.githubstatus.com."


def _reason(error: BaseException) -> str:
    """The innermost cause without addresses or header values: an error's own text may quote a request."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {CONNECT_TIMEOUT:.0f} s"
    if isinstance(error, requests.exceptions.ReadTimeout):
        return f"nothing came for {READ_TIMEOUT:.0f} s"
    text = str(error)
    for sign, reason in (
        ("Name or service not known", "the name cannot be resolved"),
        ("name resolution", "the name cannot be resolved"),
        ("Connection refused", "connection refused"),
        ("Network is unreachable", "the network is unreachable"),
        ("CERTIFICATE_VERIFY_FAILED", "its TLS certificate is not trusted"),
        ("Read timed out", f"nothing came for {READ_TIMEOUT:.0f} s"),
        ("reset by peer", "connection reset"),
        ("Remote end closed", "connection closed without an answer"),
        ("ProxyError", "the proxy failed"),
    ):
        if sign.lower() in text.lower():
            return reason
    return printable(type(error).__name__)


def _parse(content: bytes) -> Any:
    """JSON with exact decimals; NaN and Infinity become None, text that is not JSON too."""
    try:
        return json.loads(content, parse_float=Decimal, parse_constant=lambda _: None)
    except (ValueError, ArithmeticError, RecursionError):  # ArithmeticError: 1e9999999999999999999
        return None


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, UpstreamError) and error.retry_after is not None:
        return error.retry_after
    return float(tenacity.wait_random_exponential(multiplier=0.5, min=0.2, max=5.0)(state))


def _worth_another_try(error: BaseException) -> bool:
    return isinstance(error, UpstreamError) and (error.retry_after is None or error.retry_after <= LONGEST_WAIT)


def retrying(call: Callable[[], T], stop: threading.Event) -> T:
    """Try ``call`` up to ATTEMPTS times while it raises UpstreamError, waiting as GitHub asks.

    A wait that GitHub wants longer than LONGEST_WAIT seconds is left to the caller; ``stop`` ends a
    wait at once. The last error is raised, or Stopped.
    """

    def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise Stopped("interrupted between two tries")

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(_worth_another_try),
        stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_when_event_set(stop),
        wait=_wait,
        sleep=sleep,
        reraise=True,
    )(call)
