"""The GitHub device login: shows a code, waits for the user to confirm it, stores the access token.

This is the only step that writes to the token directory. It never prints a token, and never replaces one
that still works.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

from sidecar.errors import AccessRefused, BadAnswer, LoginNeeded, Stopped, UpstreamError
from sidecar.github.access_token import AccessToken, ensure_token_dir, find_access_token, store_access_token
from sidecar.github.api import account_login, exchange_token
from sidecar.http_client import retrying, send
from sidecar.litellm_hot_reload import exchange
from sidecar.secret import Secret
from sidecar.settings import Settings
from sidecar.text import printable

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
MAX_CODES = 4
"""Device codes shown before giving up; each is valid for about 15 minutes."""
COUNTDOWN_INTERVAL = 15.0
"""Seconds between two lines of the countdown."""

_REASONS = {
    "access_denied": "the login was declined in the browser",
    "device_flow_disabled": "the OAuth app does not allow device logins (device_flow_disabled)",
    "incorrect_client_credentials": "GitHub does not know the OAuth app set in GITHUB_COPILOT_CLIENT_ID",
    "incorrect_device_code": "GitHub no longer knows the device code",
}


@dataclass(frozen=True)
class _Code:
    device_code: str
    user_code: str
    address: str
    expires_in: float
    interval: float


def log_in(settings: Settings, stop: threading.Event, out: TextIO = sys.stdout, *, as_json: bool = False) -> None:
    """Make sure that the token directory contains a working access token.

    Raises LoginNeeded (declined, or not confirmed in time), AccessRefused, UpstreamError, StorageError,
    Stopped.
    """

    def say(text: str) -> None:
        print(text, file=out, flush=True)

    if _is_logged_in(settings, stop, say):
        if as_json:
            store_access_token(settings, find_access_token(settings, environment=False).value, as_json=True)
        return
    ensure_token_dir(settings)
    for _ in range(MAX_CODES):
        code = retrying(lambda: _request_code(settings), stop)
        _show(code, say)
        token = _wait_for_confirmation(settings, code, stop, say)
        if token is not None:
            _finish(settings, token, stop, say, as_json=as_json)
            return
        say("The code has expired; here is a new one.")
    raise LoginNeeded(f"nobody confirmed the login ({MAX_CODES} codes expired)")


def _is_logged_in(settings: Settings, stop: threading.Event, say: Callable[[str], None]) -> bool:
    """Whether there is a token that works, or that cannot be checked right now. Reports what it found."""
    try:
        token = find_access_token(settings, environment=False)
    except LoginNeeded:
        return False
    try:
        answer = retrying(lambda: exchange_token(settings, token), stop)
    except AccessRefused as error:
        # Logging in again with the same account would not give it a subscription.
        hint = f"{error.hint} To log in with another account, delete {token.source} first."
        raise AccessRefused(str(error), hint=hint) from error
    except LoginNeeded as error:
        say(f"{error}; a new login is needed.")
        return False
    except UpstreamError as error:
        say(f"There already is an access token ({token.source}); it was not checked: {error}")
        return True
    if answer.direct:
        say(f"The token in {token.source} belongs to an OAuth app that LiteLLM cannot use; a new login is needed.")
        return False
    say(f"Already logged in{_as(settings, token, stop)} ({token.source}).")
    return True


def _as(settings: Settings, token: AccessToken, stop: threading.Event) -> str:
    """`` as NAME``, if GitHub says whose token it is."""
    try:
        name = retrying(lambda: account_login(settings, token), stop)
    except UpstreamError:
        name = None
    return f" as {name}" if name else ""


def _request_code(settings: Settings) -> _Code:
    answer = send(
        "POST",
        settings.device_code_url,
        headers={"user-agent": settings.user_agent},
        body={"client_id": settings.client_id, "scope": "read:user"},
    )
    body = answer.json if isinstance(answer.json, dict) else {}
    if answer.status == 429 or answer.status >= 500:
        raise UpstreamError(f"GitHub issued no device code (HTTP {answer.status})", retry_after=answer.retry_after())
    if isinstance(body.get("error"), str):
        raise _declined(body)
    texts = [text for key in ("device_code", "user_code", "verification_uri") if isinstance(text := body.get(key), str)]
    if answer.status != 200 or len(texts) < 3 or not all(texts):
        raise BadAnswer(f"GitHub issued no device code (HTTP {answer.status})")
    return _Code(
        texts[0], texts[1], texts[2], _seconds(body.get("expires_in"), 900.0), _seconds(body.get("interval"), 5.0)
    )


def _show(code: _Code, say: Callable[[str], None]) -> None:
    lines = [
        "To give LiteLLM access to GitHub Copilot, open",
        "",
        f"    {printable(code.address)}",
        "",
        "and enter the code",
        "",
        f"    {printable(code.user_code)}",
    ]
    width = max(map(len, lines)) + 4
    say(
        "\n".join(
            ["", "#" * (width + 4), *(f"#  {line:<{width - 2}}  #" for line in ["", *lines, ""]), "#" * (width + 4), ""]
        )
    )


def _wait_for_confirmation(
    settings: Settings, code: _Code, stop: threading.Event, say: Callable[[str], None]
) -> Secret | None:
    """Poll until the user has confirmed; None if the code has expired. Raises LoginNeeded, Stopped."""
    start = time.monotonic()
    interval, announced = code.interval, math.inf
    while (remaining := code.expires_in - (time.monotonic() - start)) > 0:
        if announced - remaining >= COUNTDOWN_INTERVAL:
            announced = remaining
            say(f"Waiting for the login … {int(remaining) // 60}:{int(remaining) % 60:02d} left")
        if stop.wait(min(interval, remaining)):
            raise Stopped("the login was interrupted")
        try:
            body = _poll(settings, code)
        except UpstreamError as error:
            say(f"GitHub does not answer ({error}); still waiting.")
            interval += 5
            continue
        if isinstance(body.get("access_token"), str) and body["access_token"]:
            if not exchange.is_token(body["access_token"]):
                raise BadAnswer("GitHub confirmed the login with something that is no token; nothing was stored")
            return Secret(body["access_token"])
        match body.get("error"):
            case "authorization_pending":
                continue
            case "slow_down":
                interval = max(interval + 5, _seconds(body.get("interval"), 0.0))
            case "expired_token":
                return None
            case _:
                raise _declined(body)
    return None


def _poll(settings: Settings, code: _Code) -> dict[str, Any]:
    answer = send(
        "POST",
        settings.access_token_url,
        headers={"user-agent": settings.user_agent},
        body={"client_id": settings.client_id, "device_code": code.device_code, "grant_type": GRANT_TYPE},
    )
    if not isinstance(answer.json, dict) or not ("error" in answer.json or "access_token" in answer.json):
        raise BadAnswer(f"HTTP {answer.status} without a result", retry_after=answer.retry_after())
    return answer.json


def _finish(
    settings: Settings, token: Secret, stop: threading.Event, say: Callable[[str], None], *, as_json: bool
) -> None:
    path = store_access_token(settings, token)
    if as_json:
        store_access_token(settings, token, as_json=True)
    stored = AccessToken(token, str(path))
    say(f"Logged in{_as(settings, stored, stop)}. The access token ({token.masked()}) is in {path}, mode 0600.")
    retrying(lambda: exchange_token(settings, stored), stop)
    say("The account has Copilot; the models will appear shortly.")


def _declined(body: dict[str, Any]) -> LoginNeeded:
    error = printable(body.get("error"), 60)
    description = body.get("error_description")
    text = _REASONS.get(error) or f"GitHub refused the login ({error})" + (
        f": {printable(description)}" if isinstance(description, str) else ""
    )
    return LoginNeeded(text)


def _seconds(value: object, default: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 86_400:
        return default
    return float(value)
