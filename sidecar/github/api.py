"""The three GitHub hops and the catalog: what to send, and what each answer means.

Every call makes one request (``sidecar.http_client``); callers decide about retries. Statuses and their
meaning are those of FACTS measured in 2026: a 403 can be "no Copilot" or a rate limit, a 404 at the
exchange is the wrong kind of token. Bodies of answers are never quoted, but for the text that GitHub
addresses to the user, cut short and made printable.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from sidecar.errors import AccessRefused, BadAnswer, LoginNeeded, SidecarError, UpstreamError
from sidecar.github.access_token import LOGIN_HINT, AccessToken
from sidecar.http_client import Answer, send
from sidecar.settings import Secret, Settings
from sidecar.text import printable

DEFAULT_API_BASE = "https://api.githubcopilot.com"
API_VERSION = "2026-06-01"
"""The `X-GitHub-Api-Version` that answers with tiered token prices and the large context limits."""

_TRUSTED_SUFFIXES = (".githubcopilot.com", ".ghe.com")


@dataclass(frozen=True)
class CopilotToken:
    """What the exchange gives: the 30-minute token, where Copilot is, and the plan's name.

    ``lifetime`` is in seconds from now, measured on GitHub's clock. ``direct`` marks an access token
    of another OAuth app: it reads the catalog as it is, but LiteLLM cannot use it.
    """

    value: Secret
    api_base: str
    sku: str = ""
    lifetime: float = 0.0
    direct: bool = False


def exchange_token(settings: Settings, token: AccessToken) -> CopilotToken:
    """Exchange the access token for a Copilot token.

    Raises LoginNeeded (401, 404), AccessRefused (403, no Copilot), UpstreamError (rate limits and whatever
    may pass). A token of another OAuth app (404) comes back as a ``direct`` one.
    """
    answer = send("GET", settings.api_key_url, headers=settings.editor_headers(), authorization=("token", token.value))
    if answer.status == 200:
        return _copilot_token(settings, answer)
    if answer.status == 404 and token.value.reveal().startswith(("gho_", "ghp_", "ghs_", "github_pat_")):
        return CopilotToken(token.value, _default_base(settings), direct=True)
    if answer.status == 404:
        raise LoginNeeded(f"GitHub does not exchange the access token from {token.source} (404)", hint=_KIND_HINT)
    raise _refusal(answer, f"the exchange of the access token from {token.source}")


def read_catalog(settings: Settings, token: CopilotToken) -> Any:
    """The parsed JSON of Copilot's ``/models``. Raises AccessRefused and UpstreamError."""
    answer = send(
        "GET",
        f"{token.api_base}/models",
        headers={**settings.editor_headers(), "x-github-api-version": API_VERSION},
        authorization=("Bearer", token.value),
    )
    if answer.status == 200:
        if answer.json is None:
            raise BadAnswer("the catalog is not JSON")
        return answer.json
    if answer.status == 401 and not token.direct:
        raise BadAnswer("Copilot did not accept the Copilot token it was just given for (401)")
    raise _refusal(answer, "the catalog")


def account_login(settings: Settings, token: AccessToken) -> str | None:
    """The login name that the access token belongs to; None when GitHub does not say. Raises UpstreamError."""
    parts = urlsplit(settings.api_key_url)
    answer = send(
        "GET",
        urlunsplit((parts.scheme, parts.netloc, "/user", "", "")),
        headers=settings.editor_headers(),
        authorization=("token", token.value),
    )
    name = answer.json.get("login") if answer.status == 200 and isinstance(answer.json, dict) else None
    return printable(name, 60) if isinstance(name, str) else None


_KIND_HINT = "It is the wrong kind of token for Copilot. " + LOGIN_HINT
_NO_COPILOT_HINT = "Check the account's subscription at https://github.com/settings/copilot."


def _refusal(answer: Answer, what: str) -> SidecarError:
    """The error that an answer other than 200 stands for."""
    status, wait = answer.status, answer.retry_after()
    body = answer.json if isinstance(answer.json, dict) else {}
    message = str(body.get("message", ""))
    if status == 401:
        return LoginNeeded(f"GitHub refused {what}: the access token is revoked or wrong (401)", hint=LOGIN_HINT)
    if status in {403, 429} and (status == 429 or wait is not None or "rate limit" in message.lower()):
        return UpstreamError(
            f"GitHub limits the rate of requests ({status} for {what})",
            hint="Nothing to do: it is tried again later. A longer COPILOT_MODEL_SYNC_INTERVAL asks less often.",
            retry_after=wait if wait is not None else 60.0,
        )
    if status == 403:
        details = body.get("error_details")
        said = _details(details) if isinstance(details, Mapping) else ""
        return AccessRefused(f"GitHub refused {what} (403){said}", hint=_NO_COPILOT_HINT)
    if status in {408, 425} or status >= 500:
        return UpstreamError(f"GitHub failed on {what} (HTTP {status})", retry_after=wait)
    return BadAnswer(f"GitHub answered {what} with HTTP {status}")


def _details(details: Mapping[str, Any]) -> str:
    texts = [details.get(key) for key in ("title", "message", "url")]
    return ": " + " ".join(printable(text, 200) for text in texts if isinstance(text, str) and text)


def _copilot_token(settings: Settings, answer: Answer) -> CopilotToken:
    body = answer.json if isinstance(answer.json, dict) else {}
    value = body.get("token")
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value:
        raise BadAnswer("the exchange answered without a Copilot token")
    endpoints = body.get("endpoints")
    named = endpoints.get("api") if isinstance(endpoints, dict) else None
    sku = body.get("sku")
    return CopilotToken(
        Secret(value),
        _trusted_base(settings, named) if isinstance(named, str) and named else _default_base(settings),
        printable(sku, 60) if isinstance(sku, str) else "",
        _lifetime(body.get("expires_at"), answer),
    )


def _lifetime(expires_at: object, answer: Answer) -> float:
    if not isinstance(expires_at, int) or isinstance(expires_at, bool) or not 0 < expires_at < 10**12:
        return 0.0
    try:
        now = parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
    except (ValueError, OverflowError):
        now = time.time()
    return max(0.0, expires_at - now)


def _default_base(settings: Settings) -> str:
    return settings.api_base or DEFAULT_API_BASE


def _trusted_base(settings: Settings, address: str) -> str:
    """``endpoints.api``, if it is a place that may be sent a token. Raises BadAnswer."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    own = urlsplit(_default_base(settings))
    plain = host in {"localhost", "127.0.0.1"} or settings.insecure_http
    trusted = (host, port) == (own.hostname, own.port) or f".{host}".endswith(_TRUSTED_SUFFIXES)
    # Only what every parser takes for the same host: urllib3 ends a host at a backslash, urlsplit does not.
    clear = re.fullmatch(r"[a-z0-9.-]+", host) and "@" not in parts.netloc
    if not clear or not trusted or not (parts.scheme == "https" or (parts.scheme == "http" and plain)):
        raise BadAnswer(
            f"GitHub names {printable(address)!r} as Copilot's address, which is no known Copilot host; "
            "no token was sent there",
            hint="If this is your plan's host, set GITHUB_COPILOT_API_BASE to it.",
        )
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
