"""The three GitHub hops, the catalog and the account: what to send, and what each response means.

Every call makes one request (``sidecar.http_client``); callers decide about retries. The meaning of each status
was measured in 2026: a 403 can be "no Copilot" or a rate limit, a 404 from the exchange means the wrong kind of
token. Response bodies are never quoted, except for GitHub's message to the user, truncated and made printable.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from sidecar.errors import (
    AccessRefused,
    BadAnswer,
    HeaderRejected,
    LoginRefused,
    RateLimited,
    SidecarError,
    TokenRejected,
    UntrustedHost,
    UpstreamError,
)
from sidecar.github.access_token import AccessToken
from sidecar.http_client import Answer, send
from sidecar.litellm_hot_reload import exchange
from sidecar.litellm_hot_reload.exchange import Refusal
from sidecar.models.catalog import CATALOG_HINT
from sidecar.secret import Secret, without_secrets
from sidecar.settings import Settings
from sidecar.text import printable

DEFAULT_API_BASE = "https://api.githubcopilot.com"
API_VERSION = "2026-06-01"
"""The `X-GitHub-Api-Version` that returns tiered token prices and the large context limits."""

_PERSONAL = "it is a personal access token, which Copilot does not accept here"


class CopilotToken(NamedTuple):
    """What the exchange returns: the 30-minute token, Copilot's address, and the plan's name.

    ``lifetime`` is in seconds from now, by GitHub's clock. ``direct`` marks an access token of another OAuth
    app: it can read the catalog unexchanged, but LiteLLM cannot use it.
    """

    value: Secret
    api_base: str
    sku: str = ""
    lifetime: float = 0.0
    direct: bool = False


def exchange_token(settings: Settings, token: AccessToken) -> CopilotToken:
    """Exchange the access token for a Copilot token.

    Raises LoginRefused (401, 404, a token of a useless kind), AccessRefused (403, no Copilot), UpstreamError (rate
    limits and temporary failures). A token of another OAuth app (404) is returned as a ``direct`` one.
    """
    prefix = exchange.token_prefix(token.value.reveal())
    if prefix in exchange.USELESS:
        kind = f"{exchange.TOKEN_KINDS[prefix]} ({prefix}…), which Copilot does not accept"
        raise LoginRefused(f"{token.source} contains {kind}", hint=token.cure)
    answer = send("GET", settings.api_key_url, headers=settings.editor_headers(), authorization=("token", token.value))
    if answer.status == 200:
        return _copilot_token(settings, answer)
    if answer.status == 404 and prefix in exchange.OTHER_APPS:
        return CopilotToken(token.value, _default_base(settings), direct=True)
    if answer.status == 404:
        other = settings.api_key_url != exchange.EXCHANGE_URL
        raise LoginRefused(
            f"GitHub refused the access token from {token.source}: {Refusal.WRONG_KIND.value}",
            hint=token.cure + " Or correct GITHUB_COPILOT_API_KEY_URL." * other,
        )
    error = _refusal(answer, f"the exchange of the access token from {token.source}", token.cure)
    if isinstance(error, AccessRefused) and _is_about_personal_tokens(answer):
        error = LoginRefused(f"GitHub refused the access token from {token.source}: {_PERSONAL}", hint=token.cure)
    raise error


def read_catalog(settings: Settings, token: CopilotToken, known: bytes = b"") -> Answer:
    """Copilot's ``/models``, which is JSON, or has the digest ``known``: then it is not parsed.

    Raises LoginRefused, AccessRefused and UpstreamError.
    """
    answer = send(
        "GET",
        f"{token.api_base}/models",
        headers={**settings.editor_headers(), "x-github-api-version": API_VERSION},
        authorization=("Bearer", token.value),
    )
    if answer.status == 200:
        if answer.digest != known and answer.json is None:
            raise BadAnswer("the catalog is not JSON, or has more values than any catalog", hint=CATALOG_HINT)
        return answer
    if answer.status == 401 and not token.direct:
        raise TokenRejected("Copilot rejected the Copilot token that was just issued (401)")
    if answer.status == 400 and (header := _header_in(answer)):
        variable, usual = exchange.EDITOR_HEADERS[header]
        sent = settings.editor_headers()[header]
        unset = f"Unset {variable}, which then is {usual}, or set it" if sent != usual else f"Set {variable}"
        raise HeaderRejected(
            f"Copilot refuses the {header} header (400): {variable} is {printable(without_secrets(sent), 60)!r}",
            hint=f"{unset} to what a current editor sends.",
        )
    if answer.status == 400 and _is_about_personal_tokens(answer):
        raise LoginRefused(f"Copilot refused the access token: {_PERSONAL}")
    error = _refusal(answer, "the catalog")
    if answer.status == 404:
        error.hint = CATALOG_HINT
    raise error


def _is_about_personal_tokens(answer: Answer) -> bool:
    return b"personal access token" in answer.body[:1000].lower()


def _header_in(answer: Answer) -> str | None:
    """The editor header that Copilot's complaint names; None if it is about something else."""
    text = answer.body[:1000].lower()
    return next((header for header in exchange.EDITOR_HEADERS if header.encode() in text), None)


def account_login(settings: Settings, token: AccessToken) -> str | None:
    """The login name that the access token belongs to; None if GitHub does not say. Raises UpstreamError."""
    answer = _ask_github(settings, token, "/user")
    name = answer.json.get("login") if answer.status == 200 and isinstance(answer.json, dict) else None
    return printable(name, 60) if isinstance(name, str) else None


def read_account(settings: Settings, token: AccessToken) -> Any:
    """The parsed JSON of GitHub's ``copilot_internal/user``. Raises LoginNeeded, AccessRefused and UpstreamError."""
    answer = _ask_github(settings, token, "/copilot_internal/user", max_bytes=64 * 1024)
    if answer.status != 200:
        raise _refusal(answer, "the account's credit")
    if answer.json is None:
        raise BadAnswer("the account's credit is not JSON, or has more values than any account")
    return answer.json


def _ask_github(settings: Settings, token: AccessToken, path: str, max_bytes: int | None = None) -> Answer:
    """Ask the host of the exchange, which is the tenant's own at GHE.com."""
    parts = urlsplit(settings.api_key_url)
    url = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
    headers = settings.editor_headers()
    return send("GET", url, headers=headers, authorization=("token", token.value), max_bytes=max_bytes)


def _refusal(answer: Answer, what: str, login_hint: str = "") -> SidecarError:
    """The error for a response other than 200; ``login_hint`` is for a token that is refused."""
    body = answer.json if isinstance(answer.json, dict) else {}
    kind, wait = exchange.refusal(answer.status, answer.headers, body, time.time())
    if kind is Refusal.REVOKED:
        return LoginRefused(f"GitHub refused {what}: {kind.value}", hint=login_hint)
    if kind is Refusal.RATE_LIMITED:
        return RateLimited(f"{kind.value} ({answer.status} for {what})", retry_after=wait)
    if kind is Refusal.NO_COPILOT:
        details = body.get("error_details")
        message = _details(details) if isinstance(details, Mapping) else ""
        return AccessRefused(f"GitHub refused {what} (403){message}")
    if answer.status in {408, 425} or answer.status >= 500:
        return UpstreamError(f"GitHub failed on {what} (HTTP {answer.status})", retry_after=wait)
    return BadAnswer(f"GitHub answered {what} with HTTP {answer.status}")


def _details(details: Mapping[str, Any]) -> str:
    texts = [details.get(key) for key in ("title", "message", "url")]
    return ": " + " ".join(printable(text, 200) for text in texts if isinstance(text, str) and text)


def _copilot_token(settings: Settings, answer: Answer) -> CopilotToken:
    value = exchange.copilot_token_in(answer.json)
    if value is None:
        raise BadAnswer("the exchange returned a response without a Copilot token")
    sku = answer.json.get("sku")
    return CopilotToken(
        Secret(value, passing=True),
        _api_base(settings, exchange.api_base_in(answer.json)),
        printable(sku, 60) if isinstance(sku, str) else "",
        exchange.lifetime(answer.json, answer.headers.get("date", ""), time.time()).ends_in,
    )


def _default_base(settings: Settings) -> str:
    return settings.api_base or DEFAULT_API_BASE


def _api_base(settings: Settings, named: str | None) -> str:
    """Copilot's address: the one the exchange names, if it may be sent a token. Raises UntrustedHost."""
    if named is None:
        return _default_base(settings)
    base = exchange.trusted_base(named, _default_base(settings), plain_http=settings.insecure_http)
    if base is None:
        raise UntrustedHost(
            f"GitHub names {printable(without_secrets(named))!r} as Copilot's address, which is not a known Copilot "
            "host; no token was sent there"
        )
    return base
