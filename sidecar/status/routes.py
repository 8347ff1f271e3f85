"""Which address answers what. Pure but for what ``Status`` holds.

``/livez`` fails when the loop has not sent a heartbeat for longer than its current step may take. ``/readyz`` succeeds
once a models file is published; a GitHub outage never makes it fail, because a healthy LiteLLM must not be taken out of
service for that.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple

from sidecar.litellm_hot_reload.reported import PATH
from sidecar.status import document
from sidecar.status.metrics import CONTENT_TYPE, metrics
from sidecar.status.state import Status

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
TRIGGER_HEADER = "copilot-sync"
"""A header that no page of another origin can send: a browser would ask first, and is not answered."""


@dataclass(frozen=True)
class Request:
    """A request; the names in ``headers`` are in lower case."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Response(NamedTuple):
    status: HTTPStatus
    body: bytes
    headers: dict[str, str]


def respond(request: Request, status: Status) -> Response:
    """The answer to a request."""
    path = request.path.partition("?")[0]
    known = {route.path: route for route in ROUTES}
    if (route := known.get(path)) is None:
        return _text(HTTPStatus.NOT_FOUND, f"not found; there is {', '.join(known)}\n")
    if request.method not in route.methods:
        allowed = ", ".join(route.methods)
        return _text(HTTPStatus.METHOD_NOT_ALLOWED, f"only {allowed}\n", {"Allow": allowed})
    if route.shown:
        if not status.settings.status_port:
            return _text(HTTPStatus.NOT_FOUND, "the status page is off: COPILOT_STATUS_PORT is 0\n")
        if not _is_direct(request.headers.get("host", "")):
            return _text(HTTPStatus.MISDIRECTED_REQUEST, "open this page by localhost or an address, not by a name\n")
    return route.answer(request, status)


def _is_direct(host: str) -> bool:
    """Whether a Host header is an address, or a name without a dot, as those of this machine and of containers are.

    Any other one may be a stranger's, who has pointed it here so that a browser shows them this page.
    """
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.strip("[]")
    if "." not in name and ":" not in name:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Route(NamedTuple):
    """An address. What is ``shown`` to people is off with COPILOT_STATUS_PORT=0."""

    path: str
    answer: Callable[[Request, Status], Response]
    methods: tuple[str, ...] = ("GET", "HEAD")
    shown: bool = False


def _text(code: HTTPStatus, text: str, headers: dict[str, str] | None = None) -> Response:
    return Response(code, text.encode(), {"Content-Type": TEXT, **(headers or {})})


def _either(good: bool, yes: str, no: str) -> Response:
    return _text(HTTPStatus.OK, yes) if good else _text(HTTPStatus.SERVICE_UNAVAILABLE, no)


def _live(_: Request, status: Status) -> Response:
    return _either(status.alive(), "alive\n", "the loop is stuck\n")


def _ready(_: Request, status: Status) -> Response:
    return _either(status.ready, "ready\n", "nothing published yet\n")


def _metrics(_: Request, status: Status) -> Response:
    return Response(HTTPStatus.OK, metrics(status).encode(), {"Content-Type": CONTENT_TYPE})


def _page(_: Request, status: Status) -> Response:
    from sidecar.status.page import HEADERS, page  # which takes a megabyte, and where nobody looks is not needed

    return Response(HTTPStatus.OK, page(status).encode(), HEADERS)


def _json(make: Callable[[Status], Any]) -> Callable[[Request, Status], Response]:
    def answer(_: Request, status: Status) -> Response:
        body = json.dumps(make(status), indent=1).encode("ascii") + b"\n"
        return Response(HTTPStatus.OK, body, {"Content-Type": JSON, "Cache-Control": "no-store"})

    return answer


def _sync(request: Request, status: Status) -> Response:
    if not status.settings.status_trigger:
        return _text(HTTPStatus.FORBIDDEN, "COPILOT_STATUS_TRIGGER is not true\n")
    if TRIGGER_HEADER not in request.headers:
        return _text(HTTPStatus.FORBIDDEN, f"the header {TRIGGER_HEADER} is missing\n")
    if not status.trigger():
        return _text(HTTPStatus.TOO_MANY_REQUESTS, "not more than once a minute\n")
    return _text(HTTPStatus.ACCEPTED, "a sync begins\n")


def _report(request: Request, status: Status) -> Response:
    if request.headers.get("content-type") != JSON:  # any page could have a browser send a form, or text
        return _text(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"only {JSON}\n")
    problem = status.receive(request.body)
    return _text(HTTPStatus.BAD_REQUEST, f"{problem}\n") if problem else _text(HTTPStatus.OK, "taken\n")


ROUTES = (
    Route("/", _page, shown=True),
    Route("/livez", _live),
    Route("/readyz", _ready),
    Route("/metrics", _metrics),
    Route(PATH, _report, ("POST",)),
    Route("/sync", _sync, ("POST",), shown=True),
    Route("/api/status", _json(document.status_document), shown=True),
    Route("/api/models", _json(document.models_document), shown=True),
    Route("/api/changes", _json(document.changes_document), shown=True),
)
