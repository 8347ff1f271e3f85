"""GitHub's real host names, answered by the stand-in: what LiteLLM asks by constants that nothing can change.

An HTTPS proxy on 127.0.0.1 with a certificate of its own; LiteLLM is pointed there by the usual environment
variables, and is otherwise as it is. Everything is handed to the stand-in. Copilot takes a user's access token as
Bearer here, as LiteLLM's per-user login sends it since 1.110; older ones exchange it first. Whose seat a request
to Copilot used is in ``calls``.
"""

from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.fakes.github import GitHub

HOSTS = ["api.github.com", "github.com", "api.business.githubcopilot.com"]
HOP = {"connection", "content-length", "transfer-encoding", "host", "accept-encoding"}


@dataclass(frozen=True)
class Call:
    """A request to Copilot: whose seat it used (None: nobody's who logged in here), where, and for what."""

    login: str | None
    host: str
    path: str


class RealNames:
    """The proxy; a context manager. ``env`` is what makes LiteLLM use it."""

    def __init__(self, home: Path, gh: GitHub) -> None:
        self.gh, self.calls = gh, list[Call]()
        self._owners: dict[str, str | None] = {}
        certificate, key = home / "names.pem", home / "names.key"
        names = ",".join(f"DNS:{host}" for host in HOSTS)
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=stand-in"]
        command += ["-addext", f"subjectAltName={names}", "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.names = self  # type: ignore[attr-defined]
        proxy = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.env = {
            "HTTPS_PROXY": proxy,
            "NO_PROXY": "127.0.0.1,localhost",
            # Both: the machine's own environment may name another bundle, and which counts is not the question here.
            "SSL_CERT_FILE": str(certificate),
            "REQUESTS_CA_BUNDLE": str(certificate),
            "AIOHTTP_TRUST_ENV": "True",
        }

    def __enter__(self) -> RealNames:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def forward(self, host: str, method: str, path: str, headers: dict[str, str], body: bytes) -> requests.Response:
        """Ask the stand-in instead of ``host``."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        if host.endswith(".githubcopilot.com"):
            login = self.gh.owner(token)
            self.calls.append(Call(login or self._owners.get(token), host, path))
            if login is not None:
                headers["authorization"] = f"{kind} {self.gh.new_copilot_token()[0]}"
        answer = requests.request(method, self.gh.url + path, headers=headers, data=body, timeout=30)
        if path == "/copilot_internal/v2/token" and answer.ok:
            self._owners[answer.json()["token"]] = self.gh.owner(token)
        return answer


class _Handler(http.server.BaseHTTPRequestHandler):
    """One connection: CONNECT first, then requests to that host inside TLS."""

    protocol_version = "HTTP/1.1"
    host = ""

    def do_CONNECT(self) -> None:  # the name is http.server's
        names: RealNames = self.server.names  # type: ignore[attr-defined]
        self.host = self.path.partition(":")[0]
        self.send_response(200)
        self.end_headers()
        try:
            inside: Any = names.context.wrap_socket(self.connection, server_side=True)
        except OSError:
            return  # a client that does not trust the certificate says so in its own error
        self.rfile.close()
        self.wfile.close()
        self.connection, self.rfile, self.wfile = inside, inside.makefile("rb"), inside.makefile("wb", 0)
        self.close_connection = False

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def _forward(self) -> None:
        names: RealNames = self.server.names  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items() if name.lower() not in HOP}
        answer = names.forward(self.host, self.command, self.path, headers, body)
        self.send_response(answer.status_code)
        self.send_header("content-type", answer.headers.get("content-type", "application/json"))
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = _forward  # the names are http.server's

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the stand-in keeps its own record."""
