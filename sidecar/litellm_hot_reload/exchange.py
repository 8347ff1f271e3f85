"""The rules of the token exchange: which text is a token, which address may be sent one, what GitHub's
answers mean, and when to ask again. Pure: no network, no files, no clock of its own.

The answers and their meaning were measured on GitHub in 2026; see the statuses in ``meaning``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

EXCHANGE_URL = "https://api.github.com/copilot_internal/v2/token"
TRUSTED_SUFFIXES = (".githubcopilot.com", ".ghe.com")
JSON_FILE = "github_token.json"
LOGIN = "log in again, `docker compose run --rm login`"
_TOKEN = re.compile(r"[\x21-\x7e]{4,1000}")
_MAX_ASKED_WAIT = 86_400.0
SAFETY = 2.0


def is_true(text: str | None) -> bool:
    """Whether a switch in the environment is on."""
    return (text or "").strip().lower() in {"true", "1", "yes", "on"}


def access_token_in(data: bytes, *, is_json: bool) -> str | None:
    """The access token that a file holds, None when it holds none."""
    text: Any = data.decode("utf-8-sig", "replace")
    if is_json:
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            return None
        text = content.get("access_token") if isinstance(content, dict) else None
    token = text.strip() if isinstance(text, str) else ""
    return token if _TOKEN.fullmatch(token) else None


def fingerprint(token: str) -> str:
    """Tells one token from another without holding it."""
    return hashlib.sha256(token.encode()).hexdigest()[:16]


def may_be_sent_a_token(address: object, own_base: str, plain_http: bool) -> bool:
    """Whether ``address`` is one of Copilot's hosts, or the one that the user set, over https.

    ``plain_http`` lets http through as well.
    """
    try:
        parts, own = urlsplit(str(address)), urlsplit(own_base)
        host, place, own_place = parts.hostname or "", (parts.hostname, parts.port), (own.hostname, own.port)
    except ValueError:
        return False
    # Only what every parser takes for the same host: some end it at a backslash, urlsplit does not.
    if not re.fullmatch(r"[a-z0-9.-]+", host) or "@" in parts.netloc:
        return False
    known = place == own_place or f".{host}".endswith(TRUSTED_SUFFIXES)
    return known and (parts.scheme == "https" or (parts.scheme == "http" and plain_http))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that GitHub asks to wait, None when it does not. ``headers`` in lower case, ``now`` in Unix time."""
    text = headers.get("retry-after", "").strip()
    seconds: float | None = None
    if text.isascii() and text.isdigit() and len(text) < 10:
        seconds = float(text)
    elif text:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, OverflowError, TypeError):
            seconds = None
    reset = headers.get("x-ratelimit-reset", "")
    if seconds is None and headers.get("x-ratelimit-remaining") == "0" and reset.isdigit() and len(reset) < 13:
        seconds = float(reset) - now
    return None if seconds is None else min(max(seconds, 0.0), _MAX_ASKED_WAIT)


def meaning(
    status: int, headers: Mapping[str, str], body: Mapping[str, Any], failures: int, now: float
) -> tuple[str, float]:
    """What an answer without a token means, and the seconds until the next attempt.

    ``failures`` counts the ones in a row before this one.
    """
    asked = retry_after(headers, now)
    limited = "rate limit" in str(body.get("message", "")).lower()
    if status == 429 or (status == 403 and (limited or asked is not None)):
        return f"GitHub limits the rate of requests (HTTP {status})", 60.0 if asked is None else asked
    if status == 401:
        return f"GitHub refused the access token (401): {LOGIN}", 900.0
    if status == 403:
        return "GitHub refuses Copilot to this account (403): see https://github.com/settings/copilot", 900.0
    if status == 404:
        return f"the access token is not a Copilot login (404): {LOGIN}", 900.0
    growing = min(5.0 * 2 ** min(failures, 5), 60.0)
    return f"GitHub failed (HTTP {status})", growing if asked is None else max(asked, growing)


@dataclass(frozen=True)
class Lifetime:
    """Seconds from now until a Copilot token ends, and until it should be renewed."""

    ends_in: float
    renew_in: float


def lifetime(body: Mapping[str, Any], date: str, now: float) -> Lifetime:
    """The lifetime of a token by GitHub's own clock (``date``, its Date header), so that ours may be wrong.

    It ends SAFETY seconds early for us: GitHub tells whole seconds, and a token that Copilot takes for expired before
    we do would be refused. Odd values count as missing: half an hour is usual, and five minutes before its end is early
    enough.
    """
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        theirs = now
    expires_at, refresh_in = body.get("expires_at"), body.get("refresh_in")
    ends_in = expires_at - theirs if isinstance(expires_at, (int, float)) else 0
    if not 0 < ends_in <= 86_400:  # also when it is no number at all
        ends_in = 1500.0
    ends_in = max(ends_in - SAFETY, ends_in / 2)
    latest = max(ends_in - 300, ends_in / 2)
    asked = refresh_in if isinstance(refresh_in, (int, float)) and refresh_in > 0 else latest
    return Lifetime(ends_in, min(max(asked, 30.0), latest))


def renewal_pause(refusals: int) -> float:
    """Seconds that a token must have lived before Copilot's refusal of it is a reason for another exchange.

    ``refusals`` counts the renewals in a row that were made for this reason: none, then 10 s, then growing, because
    a Copilot that refuses every token is not cured by asking GitHub for more of them.
    """
    return float(10.0 * 2 ** min(refusals - 1, 5)) if refusals else 0.0
