"""Who may do what: access tokens, Copilot tokens, the subscription and the rate limit."""

from __future__ import annotations

import threading
import time

from .marked import marked


class Accounts:
    """The part of ``State`` that holds the tokens. ``clock_skew``, ``token_lifetime`` and
    ``refresh_in`` are in seconds."""

    lock: threading.RLock

    def __init__(self) -> None:
        self.login = "octocat"
        self.plan = "individual"
        self.clock_skew = 0.0
        self.token_lifetime = 1800
        self.refresh_in = 1500
        self._access_tokens: dict[str, str] = {}
        self._copilot_tokens: dict[str, float] = {}
        self._refused: set[str] = set()
        self._refuses_all = False
        self._no_subscription = False
        self._rate_limited: tuple[int, float] = (0, 0.0)

    def now(self) -> float:
        """The server's own clock, in seconds since the epoch."""
        return time.time() + self.clock_skew

    def new_access_token(self, login: str | None = None, kind: str = "ghu_", token: str | None = None) -> str:
        """A valid access token of ``login``; ``token`` registers a given text instead of a random one."""
        token = token or kind + marked("a")
        with self.lock:
            self._access_tokens[token] = login or self.login
        return token

    def revoke(self, token: str) -> None:
        """GitHub forgets an access token. Copilot tokens got with it live on, as they do at GitHub."""
        with self.lock:
            self._access_tokens.pop(token, None)

    def owner(self, token: str) -> str | None:
        """Whose access token it is, or ``None`` if it is not valid."""
        with self.lock:
            return self._access_tokens.get(token)

    def new_copilot_token(self) -> tuple[str, int]:
        """A Copilot token and its ``expires_at``."""
        expires_at = int(self.now() + self.token_lifetime)
        token = f"tid={marked('c')};exp={expires_at};sku=fake_{self.plan};chat=1:{marked('c')}"
        with self.lock:
            self._copilot_tokens[token] = expires_at
        return token, expires_at

    def expire_copilot_tokens(self) -> int:
        """All Copilot tokens issued so far run out now. Returns how many there are."""
        with self.lock:
            self._copilot_tokens = dict.fromkeys(self._copilot_tokens, self.now() - 1)
            return len(self._copilot_tokens)

    def refuse_copilot_tokens(self, later_too: bool = False) -> int:
        """Copilot takes none of the Copilot tokens issued so far any more, although they have not run out.

        Those issued later work, unless ``later_too``: then none works before ``accept_copilot_tokens``.
        Returns how many were issued so far.
        """
        with self.lock:
            self._refused = set(self._copilot_tokens)
            self._refuses_all = later_too
            return len(self._refused)

    def accept_copilot_tokens(self) -> None:
        """The end of ``refuse_copilot_tokens``: every token works again until it runs out."""
        with self.lock:
            self._refused.clear()
            self._refuses_all = False

    def copilot_token(self, token: str) -> str:
        """ "valid", "expired", "refused" or "unknown"."""
        with self.lock:
            expires_at = self._copilot_tokens.get(token)
            refused = self._refuses_all or token in self._refused
        if expires_at is None:
            return "unknown"
        if self.now() >= expires_at:
            return "expired"
        return "refused" if refused else "valid"

    def no_subscription(self, missing: bool = True) -> None:
        """The account has no Copilot (any more)."""
        self._no_subscription = missing

    @property
    def subscribed(self) -> bool:
        return not self._no_subscription

    def rate_limit(self, n: int = 1, retry_after: float = 60) -> None:
        """The next ``n`` requests to api.github.com are over the limit; wait ``retry_after`` seconds."""
        with self.lock:
            self._rate_limited = (n, retry_after)

    def take_rate_limit(self) -> float | None:
        """Seconds to wait if this request is over the limit; counts it."""
        with self.lock:
            left, retry_after = self._rate_limited
            self._rate_limited = (max(left - 1, 0), retry_after)
            return retry_after if left > 0 else None
