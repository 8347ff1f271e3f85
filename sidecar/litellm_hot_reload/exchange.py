"""The rules of the token exchange: what is a token, which addresses may be sent one, what GitHub's answers mean,
and when to ask again. Pure: no network, no files, no clock of its own.

This is the only copy of these rules: the hook uses them to renew the Copilot token, ``sidecar.github`` to read the
catalog. The answers and their meanings were observed on GitHub in 2026; see ``Refusal``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

EXCHANGE_URL = "https://api.github.com/copilot_internal/v2/token"
TRUSTED_SUFFIXES = (".githubcopilot.com", ".ghe.com")
TOKEN_DIR = "~/.config/litellm/github_copilot"  # noqa: S105
TOKEN_FILE, JSON_FILE = "access-token", "github_token.json"
"""The two files that may contain the access token: LiteLLM's plain one, and a JSON object with ``access_token``."""
API_KEY_FILE = "api-key.json"
"""LiteLLM's own file for the Copilot token, unless GITHUB_COPILOT_API_KEY_FILE names another."""

EDITOR_HEADERS = {
    "editor-version": ("COPILOT_EDITOR_VERSION", "vscode/1.104.1"),
    "editor-plugin-version": ("COPILOT_EDITOR_PLUGIN_VERSION", "copilot-chat/0.31.1"),
    "copilot-integration-id": ("COPILOT_INTEGRATION_ID", "vscode-chat"),
    "user-agent": ("COPILOT_USER_AGENT", "GitHubCopilotChat/0.31.1"),
}
"""The headers that Copilot requires on each request, with their environment variables and defaults."""

TOKEN_KINDS = {
    "ghu_": "a user's login with a GitHub App, the kind that Copilot accepts",
    "gho_": "a login with an OAuth app; the exchange shows whether Copilot accepts it",
    "ghp_": "a personal access token",
    "github_pat_": "a personal access token",
    "ghs_": "a token of an app installation or of GitHub Actions",
    "ghr_": "a refresh token",
}
"""The prefixes of GitHub's tokens, and the kinds they stand for."""
OTHER_APPS = ("gho_", "ghs_", "github_pat_")
"""Tokens that the exchange does not know (404), but that Copilot's catalog may accept directly."""

USELESS = ("ghp_", "ghr_")
"""Tokens that neither the exchange nor the catalog accepts, whosever they are: GitHub need not be asked."""

CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Where the certificate authorities to trust may be named, a file or a directory; the first one that is set counts."""

_TRUE = {"true", "1", "yes", "on"}
_TOKEN = re.compile(r"[\x21-\x7e]{4,1000}")
_COPILOT_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
_ADDRESS = re.compile(r"[\x21-\x7e]{1,500}")
_MAX_ASKED_WAIT = 3600.0  # as long as the longest of GitHub's windows
SAFETY = 2.0


def is_true(text: str | None) -> bool:
    """Whether a boolean environment variable is true."""
    return (text or "").strip().lower() in _TRUE


def ca_variable(environ: Mapping[str, str]) -> str | None:
    """The variable that names the certificate authorities to trust; None for the usual ones."""
    return next((name for name in CA_VARIABLES if environ.get(name)), None)


def is_token(text: str) -> bool:
    """Whether ``text`` looks like a token at all: printable, on one line, of a sensible length."""
    return _TOKEN.fullmatch(text) is not None


def token_prefix(token: str) -> str:
    """The prefix that identifies the kind of token; empty if it has none."""
    return next((prefix for prefix in TOKEN_KINDS if token.startswith(prefix)), "")


def access_token_in(data: bytes, *, is_json: bool) -> str | None:
    """The access token in a file; None if there is none."""
    text: Any = data.decode("utf-8-sig", "replace")
    if is_json:
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            return None
        text = content.get("access_token") if isinstance(content, dict) else None
    token = text.strip() if isinstance(text, str) else ""
    return token if is_token(token) else None


def copilot_token_in(body: object) -> str | None:
    """The Copilot token in the exchange's answer; None if there is none that is valid in a header."""
    token = body.get("token") if isinstance(body, Mapping) else None
    return token if isinstance(token, str) and _COPILOT_TOKEN.fullmatch(token) else None


def api_base_in(body: object) -> str | None:
    """Copilot's address as given in the exchange's answer; None if there is none."""
    endpoints = body.get("endpoints") if isinstance(body, Mapping) else None
    named = endpoints.get("api") if isinstance(endpoints, Mapping) else None
    return named if isinstance(named, str) and named else None


def fingerprint(token: str) -> str:
    """Distinguishes tokens without containing them."""
    return hashlib.sha256(token.encode()).hexdigest()[:16]


def trusted_base(address: object, own_base: str, *, plain_http: bool) -> str | None:
    """``address`` without its query, if it is one of Copilot's hosts or the one that the user set, over https; None if
    it must not be sent a token. ``plain_http`` allows http as well.
    """
    try:
        parts, own = urlsplit(str(address)), urlsplit(own_base)
        host, place, own_place = parts.hostname or "", (parts.hostname, parts.port), (own.hostname, own.port)
    except ValueError:
        return None
    # Only hosts that all parsers agree on: some end the host at a backslash, urlsplit does not.
    if not re.fullmatch(r"[a-z0-9.-]+", host) or "@" in parts.netloc or not _ADDRESS.fullmatch(str(address)):
        return None
    known = place == own_place or f".{host}".endswith(TRUSTED_SUFFIXES)
    if not known or not (parts.scheme == "https" or (parts.scheme == "http" and plain_http)):
        return None
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that GitHub asks to wait; None if it does not. ``now`` is in Unix time; ``headers`` are in lower case, or
    a case-insensitive mapping.
    """
    text = headers.get("retry-after", "").strip()
    seconds: float | None = None
    if _is_number(text, 10):
        seconds = float(text)
    elif text:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, OverflowError, TypeError):
            seconds = None
    reset = headers.get("x-ratelimit-reset", "")
    exhausted = headers.get("x-ratelimit-remaining") == "0" and _is_number(reset, 13)
    if seconds is None and exhausted:
        seconds = float(reset) - now
    return None if seconds is None else min(max(seconds, 0.0), _MAX_ASKED_WAIT)


def _is_number(text: str, length: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) < length


class Refusal(Enum):
    """What an answer without a token means; GitHub's own statuses are ambiguous."""

    REVOKED = "the access token is revoked or invalid (401)"
    NO_COPILOT = "the account has no access to Copilot (403)"
    WRONG_KIND = "Copilot does not accept this kind of access token (404)"
    RATE_LIMITED = "GitHub is rate-limiting requests"
    FAILED = "GitHub failed"


def refusal(status: int, headers: Mapping[str, str], body: object, now: float) -> tuple[Refusal, float | None]:
    """What an answer means, and the seconds that GitHub asks to wait; None if it does not ask.

    ``headers`` as in ``retry_after``; a 403 is either "no Copilot" or a rate limit.
    """
    asked = retry_after(headers, now)
    said = str(body.get("message", "")) if isinstance(body, Mapping) else ""
    if status == 429 or (status == 403 and (asked is not None or "rate limit" in said.lower())):
        return Refusal.RATE_LIMITED, 60.0 if asked is None else asked
    known = {401: Refusal.REVOKED, 403: Refusal.NO_COPILOT, 404: Refusal.WRONG_KIND}
    return known.get(status, Refusal.FAILED), asked


class Lifetime(NamedTuple):
    """Seconds from now until a Copilot token expires, and until it should be renewed."""

    ends_in: float
    renew_in: float


def lifetime(body: Mapping[str, Any], date: str, now: float) -> Lifetime:
    """The lifetime of a token by GitHub's clock (``date``, its Date header), so that ours may be wrong.

    We treat it as expired SAFETY seconds early: GitHub rounds to whole seconds, and a token that Copilot considers
    expired before we do would be refused. Implausible values count as missing: half an hour is usual, and renewing
    five minutes before expiry is early enough.
    """
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, OverflowError):
        theirs = now
    expires_at, refresh_in = seconds_in(body.get("expires_at")) or 0.0, seconds_in(body.get("refresh_in"))
    ends_in = expires_at - theirs
    if not 0 < ends_in <= 86_400:
        ends_in = 1500.0
    ends_in = max(ends_in - SAFETY, ends_in / 2)
    latest = max(ends_in - 300, ends_in / 2)
    return Lifetime(ends_in, min(max(refresh_in or latest, 30.0), latest))


def seconds_in(value: object) -> float | None:
    """A number of seconds, or a count; None if it cannot be one (json reads ``NaN``, ``1e999`` and endless digits)."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 10**12:
        return float(value)
    return None


def renewal_pause(refusals: int) -> float:
    """Minimum age in seconds of a token for Copilot's refusal of it to trigger another exchange.

    ``refusals`` counts the consecutive renewals made for this reason: 0 for the first, then 10 s and growing, because
    if Copilot refuses every token, asking GitHub for more does not help.
    """
    return float(10.0 * 2 ** min(refusals - 1, 5)) if refusals else 0.0
