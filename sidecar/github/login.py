"""The GitHub device login: shows a code, waits for the user to confirm it, stores the access token.

This and ``sidecar.github.logout`` are all that writes to the token directory. It never prints a token, and never
replaces one by another that LiteLLM cannot use.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TextIO

from sidecar.errors import (
    AccessRefused,
    BadAnswer,
    LoginNeeded,
    LoginRefused,
    NoConnection,
    RateLimited,
    SidecarError,
    Stopped,
    UpstreamError,
    UsageError,
)
from sidecar.github.access_token import AccessToken, ensure_token_dir, find_access_token, store_access_token
from sidecar.github.api import account_login, exchange_token
from sidecar.github.login_code import LoginCode, forget_code, leave_code
from sidecar.http_client import retrying, send
from sidecar.litellm_hot_reload import exchange
from sidecar.secret import Secret, without_secrets
from sidecar.settings import Settings
from sidecar.text import printable, redacted

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
MAX_CODES = 4
"""Device codes shown before giving up; each is valid for about 15 minutes."""
LONGEST_INTERVAL = 60.0
"""Seconds between two questions whether the login was confirmed, while GitHub fails."""
COUNTDOWN_INTERVAL = 15.0
"""Seconds between two lines of the countdown."""

_REASONS = {
    "access_denied": "the login was declined in the browser",
    "incorrect_device_code": "GitHub no longer knows the device code",
}
_UNKNOWN_APP = "GitHub does not know the OAuth app of GITHUB_COPILOT_CLIENT_ID={}"
_APP_REASONS = {
    "Not Found": _UNKNOWN_APP + " (404)",
    "incorrect_client_credentials": _UNKNOWN_APP,
    "device_flow_disabled": "the OAuth app of GITHUB_COPILOT_CLIENT_ID={} does not allow device logins "
    "(device_flow_disabled)",
}
_APP_HINT = (
    "Unset GITHUB_COPILOT_CLIENT_ID, for the usual app, or correct it: the app has to allow device logins, and to be "
    "known where GITHUB_COPILOT_DEVICE_CODE_URL leads."
)


@dataclass(frozen=True)
class _Code:
    device_code: Secret
    user_code: str
    address: str
    expires_in: float
    interval: float


def log_in(
    settings: Settings,
    stop: threading.Event,
    out: TextIO = sys.stdout,
    *,
    as_json: bool = False,
    force: bool = False,
) -> None:
    """Make sure that the token directory contains a working access token; with ``force``, that it is a new one.

    The old one stays until there is one to replace it. Raises LoginNeeded (declined, or not confirmed in time),
    UsageError (the OAuth app that is set, or its tokens), AccessRefused, UpstreamError, StorageError, Stopped.
    """

    def say(text: str) -> None:
        print(redacted(text), file=out, flush=True)

    if not force and _is_logged_in(settings, stop, say):
        forget_code(settings)
        if as_json:
            store_access_token(settings, find_access_token(settings, environment=False).value, as_json=True)
        return
    ensure_token_dir(settings)
    for _ in range(MAX_CODES):
        code = retrying(lambda: _request_code(settings), stop)
        _show(code, say)
        leave_code(settings, LoginCode(code.user_code, code.address, time.time() + code.expires_in))
        try:
            token = _wait_for_confirmation(settings, code, stop, say)
        except BaseException:
            forget_code(settings)
            raise
        if token is not None:
            forget_code(settings)
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
        hint = f"{error.hint} To log in with another account: `login --force`."
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
        kind = RateLimited if answer.status == 429 else UpstreamError
        raise kind(f"GitHub issued no device code (HTTP {answer.status})", retry_after=answer.retry_after())
    if isinstance(body.get("error"), str):
        raise _declined(settings, body)
    texts = [text for key in ("device_code", "user_code", "verification_uri") if isinstance(text := body.get(key), str)]
    if answer.status != 200 or len(texts) < 3 or not all(texts):
        hint = "Correct or unset GITHUB_COPILOT_DEVICE_CODE_URL." * (answer.status == 404)
        raise BadAnswer(f"GitHub issued no device code (HTTP {answer.status})", hint=hint)
    return _Code(
        Secret(texts[0], passing=True),
        texts[1],
        texts[2],
        _seconds(body.get("expires_in"), 900.0),
        _seconds(body.get("interval"), 5.0),
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
            if not isinstance(error, NoConnection):
                interval = max(min(interval + 5, LONGEST_INTERVAL), error.retry_after or 0.0)
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
                raise _declined(settings, body)
    return None


def _poll(settings: Settings, code: _Code) -> dict[str, Any]:
    answer = send(
        "POST",
        settings.access_token_url,
        headers={"user-agent": settings.user_agent},
        body={"client_id": settings.client_id, "device_code": code.device_code.reveal(), "grant_type": GRANT_TYPE},
    )
    if not isinstance(answer.json, dict) or not ("error" in answer.json or "access_token" in answer.json):
        raise BadAnswer(f"HTTP {answer.status} without a result", retry_after=answer.retry_after())
    return answer.json


def _finish(
    settings: Settings, token: Secret, stop: threading.Event, say: Callable[[str], None], *, as_json: bool
) -> None:
    """Store the token, unless GitHub says that LiteLLM cannot use it, or only the old one has Copilot."""
    problem = _checked(settings, AccessToken(token, "the login"), stop)
    if isinstance(problem, AccessRefused) and _has_token(settings):
        raise AccessRefused(f"{problem}; the old access token was kept", hint=problem.hint)
    path = store_access_token(settings, token)
    if as_json or (settings.token_dir / exchange.JSON_FILE).exists():
        store_access_token(settings, token, as_json=True)
    stored = AccessToken(token, str(path))
    say(f"Logged in{_as(settings, stored, stop)}. The access token ({token.masked()}) is in {path}, mode 0600.")
    if problem is not None:
        raise problem
    say("The account has Copilot; the models will appear shortly.")


def _checked(settings: Settings, token: AccessToken, stop: threading.Event) -> SidecarError | None:
    """None if GitHub exchanges the token for a Copilot token, else what is in the way of that.

    Raises UsageError for a token that LiteLLM can never use.
    """
    why = "GitHub exchanges no tokens of its kind"
    try:
        if not retrying(lambda: exchange_token(settings, token), stop).direct:
            return None
    except LoginRefused as error:
        why = str(error)
    except SidecarError as error:
        return error
    app = f"the OAuth app of GITHUB_COPILOT_CLIENT_ID={without_secrets(settings.client_id)[:60]!r}"
    raise UsageError(
        f"LiteLLM cannot use a token of {app}: {why}; nothing was stored",
        hint="Unset GITHUB_COPILOT_CLIENT_ID, for the usual app, and log in again.",
    )


def _has_token(settings: Settings) -> bool:
    with suppress(SidecarError):
        find_access_token(settings, environment=False)
        return True
    return False


def _declined(settings: Settings, body: dict[str, Any]) -> SidecarError:
    error = printable(body.get("error"), 60)
    if error in _APP_REASONS:
        client_id = repr(printable(without_secrets(settings.client_id), 60))
        return UsageError(_APP_REASONS[error].format(client_id), hint=_APP_HINT)
    description = body.get("error_description")
    text = _REASONS.get(error) or f"GitHub refused the login ({error})" + (
        f": {printable(description)}" if isinstance(description, str) else ""
    )
    return LoginNeeded(text)


def _seconds(value: object, default: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 86_400:
        return default
    return float(value)
