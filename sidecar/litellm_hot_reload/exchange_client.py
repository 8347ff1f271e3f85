"""Asks GitHub for a Copilot token, without ever waiting longer than REQUEST_TIMEOUT for it.

Each request runs in its own thread: there is no other way to abandon a DNS lookup that hangs, and GitHub may have come
back while an older request is still hanging. A late answer is used all the same.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from .exchange import copilot_token_in

REQUEST_TIMEOUT = 2.5
"""Seconds after which GitHub counts as not responding and may be asked again."""
DEADLINE = 30.0
MAX_UNANSWERED = 5
MAX_ANSWER = 2**20


@dataclass(frozen=True)
class Answer:
    """The outcome of one request: an HTTP response with header names in lower case, or an error instead.

    ``login`` is the fingerprint of the access token that was sent; ``received_at`` is in Unix time.
    """

    login: str
    received_at: float
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    error: Exception | None = None

    @property
    def token(self) -> str | None:
        """The Copilot token in it, if it is a success."""
        return copilot_token_in(self.body) if self.status == 200 else None


class ExchangeClient:
    """``ask`` must be called from one thread only."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url, self._headers = url, headers
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._unanswered = 0

    def ask(self, access_token: str, login: str) -> Answer | None:
        """An answer for this login, to this request or an earlier one; None if there is none within REQUEST_TIMEOUT."""
        while (late := self._next(0.0)) is not None:
            if late.login == login and late.token:
                return late
        if self._unanswered < MAX_UNANSWERED:
            self._unanswered += 1
            threading.Thread(target=self._run, args=(access_token, login), name="copilot-exchange", daemon=True).start()
        deadline = time.monotonic() + REQUEST_TIMEOUT
        while (answer := self._next(deadline - time.monotonic())) is not None:
            if answer.login == login:
                return answer
        return None

    def _next(self, seconds: float) -> Answer | None:
        try:
            answer = self._answers.get(timeout=max(seconds, 0.001))
        except queue.Empty:
            return None
        self._unanswered -= 1
        return answer

    def _run(self, access_token: str, login: str) -> None:
        """Make one request; puts exactly one answer in the queue."""
        try:
            answer = self._request(access_token, login)
        except Exception as error:
            answer = Answer(login, time.time(), error=error)
        self._answers.put(answer)

    def _request(self, access_token: str, login: str) -> Answer:
        content, deadline = b"", time.monotonic() + DEADLINE
        with (
            httpx.Client(timeout=httpx.Timeout(10, connect=5), follow_redirects=False) as client,
            client.stream(
                "GET", self._url, headers={**self._headers, "authorization": f"token {access_token}"}
            ) as response,
        ):
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > MAX_ANSWER or time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the answer does not end")
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            body = None
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(login, time.time(), response.status_code, headers, body if isinstance(body, dict) else {})
