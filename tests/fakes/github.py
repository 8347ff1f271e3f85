"""One stand-in for github.com, api.github.com and the Copilot API.

In a test: ``with GitHub() as gh:`` listens on a free port of 127.0.0.1, from threads of this process.
As a program: ``python -m tests.fakes.github --port 8000``. Either way it misbehaves on demand; see
``State`` for all that can be asked of it, and ``control`` for asking it over HTTP.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from typing import Any

from .server import Server
from .state import State

POLL_SECONDS = 0.02


class GitHub(State):
    """The stand-in itself: a state with a server that shows it."""

    def __init__(
        self, catalog: list[dict[str, Any]] | None = None, *, host: str = "127.0.0.1", port: int = 0, **settings: Any
    ) -> None:
        super().__init__(catalog)
        self.set(**settings)
        self._address = (host, port)
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self._comeback: threading.Timer | None = None

    def __enter__(self) -> GitHub:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens, or listened before ``down``."""
        host, port = self._address
        return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"

    @property
    def port(self) -> int:
        """The port of ``url``."""
        return self._address[1]

    def env(self) -> dict[str, str]:
        """The environment that points LiteLLM and the sidecar here."""
        return {
            "GITHUB_COPILOT_DEVICE_CODE_URL": self.url + "/login/device/code",
            "GITHUB_COPILOT_ACCESS_TOKEN_URL": self.url + "/login/oauth/access_token",
            "GITHUB_COPILOT_API_KEY_URL": self.url + "/copilot_internal/v2/token",
            "GITHUB_COPILOT_API_BASE": self.url,
            "COPILOT_INSECURE_HTTP": "true",
        }

    def up(self) -> None:
        """Listen; after ``down`` on the same port as before."""
        with self.lock:
            if self._server:
                return
            self._server = Server(self._address, self)
            self._address = (self._address[0], self._server.server_address[1])
            self._thread = threading.Thread(
                target=self._server.serve_forever, args=(POLL_SECONDS,), name="github-fake", daemon=True
            )
            self._thread.start()

    def down(self, seconds: float | None = None) -> None:
        """Refuse connections and end those there are; for good, or for so many seconds."""
        with self.lock:
            server, thread = self._server, self._thread
            self._server = self._thread = None
        if server and thread:
            server.close()
            thread.join()
        if seconds is not None:
            self._comeback = threading.Timer(seconds, self.up)
            self._comeback.daemon = True
            self._comeback.start()

    def stop(self) -> None:
        """End everything, requests that hang included."""
        if self._comeback:
            self._comeback.cancel()
        self.heal()
        self.down()


def main(argv: list[str] | None = None) -> int:
    """The program: serves until SIGTERM or SIGINT, then ends with 0."""
    parser = argparse.ArgumentParser(prog="tests.fakes.github", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on; 0 is any free one")
    parser.add_argument("--approve-after", type=float, metavar="SECONDS", help="approve each login by itself")
    parser.add_argument("--plan-host", metavar="HOST", help="endpoints.api of the token exchange")
    parser.add_argument("--access-token", metavar="TOKEN", help="an access token that is valid from the start")
    options = parser.parse_args(argv)

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    github = GitHub(host=options.host, port=options.port)
    github.device_flow(approve_after=options.approve_after)
    if options.plan_host:
        github.plan_host = options.plan_host if "://" in options.plan_host else f"http://{options.plan_host}"
    if options.access_token:
        github.new_access_token(token=options.access_token)
    with github:
        print(f"ready on {github.url}", file=sys.stderr, flush=True)
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
