"""Steering the stand-in over HTTP: the endpoint, and a client for tests in other processes.

``POST /_control/<method>`` with keyword arguments as JSON (or nothing) calls the method of the same
name on the state. So ``curl -X POST http://…/_control/approve`` is the person who agrees to a login.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from .state import Recorded, State
from .wire import Reply, Request, json_reply

METHODS = frozenset(
    {
        "accept_copilot_tokens",
        "approve",
        "clear",
        "deny",
        "device_flow",
        "down",
        "expire_copilot_tokens",
        "expire_device_code",
        "fail",
        "heal",
        "new_access_token",
        "no_subscription",
        "rate_limit",
        "refuse_copilot_tokens",
        "revoke",
        "set",
        "set_catalog",
    }
)


def handle(state: State, request: Request) -> Reply:
    """Answer one request to ``/_control/``."""
    name = request.path.removeprefix("/_control/")
    if request.method == "POST" and name in METHODS:
        return _call(state, name, request)
    match request.method, name:
        case "GET", "health":
            return json_reply({"status": "ok"})
        case "GET", "state":
            return json_reply(state.snapshot())
        case "GET", "requests":
            return Reply(body=state.recorded_json().encode(), headers={"Content-Type": "application/json"})
        case "DELETE", "requests":
            state.clear()
            return json_reply({"result": None})
    return json_reply({"error": f"no such control: {request.method} {name}"}, 404)


def _call(state: State, name: str, request: Request) -> Reply:
    try:
        # Not request.body: curl -d sends JSON under the name of a form.
        arguments = json.loads(request.raw or b"{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        return json_reply({"error": "send keyword arguments as a JSON object"}, 400)
    if name == "down" and not arguments.get("seconds"):
        return json_reply({"error": "down needs seconds: nobody could reach it to end it"}, 400)
    try:
        return json_reply({"result": getattr(state, name)(**arguments)})
    except (TypeError, ValueError) as error:
        return json_reply({"error": str(error)}, 400)


class ControlError(Exception):
    """The stand-in did not understand."""


class Control:
    """The methods of ``GitHub``, over HTTP: ``Control("http://127.0.0.1:8000").approve()``."""

    def __init__(self, url: str, timeout: float = 10) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout

    def __getattr__(self, name: str) -> Any:
        if name not in METHODS:
            raise AttributeError(name)
        return lambda **arguments: self._send("POST", name, arguments)["result"]

    def state(self) -> dict[str, Any]:
        """Settings, catalog, codes, counts and refusals."""
        return dict(self._send("GET", "state"))

    @property
    def catalog(self) -> list[dict[str, Any]]:
        return list(self.state()["catalog"])

    @property
    def refusals(self) -> list[tuple[str, str]]:
        return [(path, reason) for path, reason in self.state()["refusals"]]

    @property
    def requests(self) -> list[Recorded]:
        return [
            Recorded(**{**fields, "raw_headers": [(name, value) for name, value in fields["raw_headers"]]})
            for fields in self._send("GET", "requests")
        ]

    def requests_to(self, path: str) -> list[Recorded]:
        return [r for r in self.requests if r.path == path]

    def count(self, path: str) -> int:
        return int(self.state()["counts"].get(path, 0))

    def healthy(self) -> bool:
        """Whether it can be reached."""
        try:
            return bool(self._send("GET", "health") == {"status": "ok"})
        except OSError:
            return False

    def _send(self, method: str, name: str, arguments: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}/_control/{name}",
            data=None if arguments is None else json.dumps(arguments).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise ControlError(error.read().decode()) from None
