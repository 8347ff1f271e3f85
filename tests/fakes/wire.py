"""The two values that flow through the stand-in: a request that came in and the reply to give.

No sockets here: ``server`` reads the one and writes the other.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

# A business or enterprise plan has a host of its own; here it is the same host under this prefix.
PLAN_PREFIX = "/plan-business"
# Headers with one value that has no comma: with one in it, a client has sent two.
SINGLE = {
    "authorization",
    "copilot-integration-id",
    "copilot-vision-request",
    "editor-plugin-version",
    "editor-version",
    "user-agent",
    "x-github-api-version",
}
COMMENT = re.compile(r"\([^()]*\)")  # of a User-Agent, as in "(KHTML, like Gecko)"


@dataclass
class Request:
    """One HTTP request. ``path`` has neither query nor plan prefix; header names are lower case.

    ``headers`` joins what came under one name by commas; ``raw_headers`` has it as it came.
    """

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes = b""
    on_plan_host: bool = False
    raw_headers: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def parse(cls, method: str, target: str, raw_headers: Iterable[tuple[str, str]], raw: bytes) -> Request:
        raw_headers = list(raw_headers)
        headers: dict[str, str] = {}
        for name, value in raw_headers:
            headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
        path = urlsplit(target).path
        on_plan_host = path.startswith(PLAN_PREFIX + "/")
        if on_plan_host:
            path = path[len(PLAN_PREFIX) :]
        return cls(method, path, headers, raw, on_plan_host, raw_headers)

    @property
    def body(self) -> Any:
        """The JSON body, or the fields of a form; ``None`` if it is neither."""
        if "x-www-form-urlencoded" in self.headers.get("content-type", ""):
            return dict(parse_qsl(self.raw.decode("utf-8", "replace")))
        try:
            return json.loads(self.raw)
        except ValueError:
            return None

    @property
    def doubled(self) -> str | None:
        """A header that was sent twice: under two names, or as two values in one."""
        times = Counter(name.lower() for name, _ in self.raw_headers)
        for name, value in self.headers.items():
            if times[name] > 1 or (name in SINGLE and "," in COMMENT.sub("", value)):
                return name
        return None

    @property
    def base_url(self) -> str:
        """The address by which the client knows this server."""
        return "http://" + self.headers.get("host", "127.0.0.1")


@dataclass
class Reply:
    """An answer: either one ``body``, or server-sent ``events`` written ``gap`` seconds apart."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    events: list[bytes] | None = None
    gap: float = 0.0
    delay: float = 0.0


def json_reply(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """A JSON answer."""
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return Reply(status, json.dumps(body).encode(), {**kind, **(headers or {})})


def text_reply(body: str, status: int) -> Reply:
    """A plain text answer; Copilot words its refusals of a credential like that."""
    return Reply(status, body.encode() + b"\n", {"Content-Type": "text/plain; charset=utf-8"})
