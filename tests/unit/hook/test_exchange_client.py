"""One request for a Copilot token, to servers that are slow, send bombs, or have an authority of their own."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import socket
import socketserver
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.litellm_hot_reload import exchange_client as hook
from sidecar.litellm_hot_reload.exchange import CA_VARIABLES
from sidecar.litellm_hot_reload.keeper import Keeper
from tests.support.http_server import HttpServer
from tests.support.waiting import until

TOKEN = {"token": "tid=x", "expires_at": 4_000_000_000}


class Raw(socketserver.ThreadingTCPServer):
    """Reads a request, then does what ``answer`` does with the connection until the client is gone."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.gone = answer, 0
        self.requests: list[bytes] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/x"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(socketserver.BaseRequestHandler):
    server: Raw

    def read_request(self) -> None:
        data = b""
        while b"\r\n\r\n" not in data and (chunk := self.request.recv(4096)):
            data += chunk
        self.server.requests.append(data)

    def handle(self) -> None:
        self.read_request()
        try:
            self.server.answer(self.request)
        except OSError:
            self.server.gone += 1


def drip(data: bytes, pause: float = 0.05) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        for number in range(10**6):
            connection.sendall(data[number % len(data) :][:1])
            time.sleep(pause)

    return answer


def forever(data: bytes, first: bytes = b"") -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(data)
            time.sleep(0.01)

    return answer


SLOW: dict[str, Callable[[socket.socket], None]] = {
    "a header byte now and then": drip(b"HTTP/1.1 200 OK\r\n" + b"x-header: y\r\n" * 1000),
    "an endless header": drip(b"HTTP/1.1 200 OK\r\nx-header: " + b"y" * 10**5),
    "an endless 100 Continue": forever(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "an endless 103": forever(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"),
    "a body byte now and then": forever(b"x", b"HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\n"),
    "an endless chunked body": forever(b"1\r\nx\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
    "nothing": lambda connection: connection.settimeout(60) or (connection.recv(1) and None),
}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, an answer is waited for, except where a test is about the wait."""
    monkeypatch.setattr(hook, "REQUEST_TIMEOUT", 60.0)


def exchange_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "copilot-exchange"]


@pytest.mark.parametrize("how", SLOW)
def test_a_slow_answer_ends_at_the_deadline(how, monkeypatch):
    """Whatever trickles in, the caller waits for REQUEST_TIMEOUT, and the thread ends: its slot comes back."""
    monkeypatch.setattr(hook, "REQUEST_TIMEOUT", 0.1)
    monkeypatch.setattr(hook, "DEADLINE", 0.5)
    with Raw(SLOW[how]) as server:
        client = hook.ExchangeClient(server.url, {}, {})
        assert isinstance(client.ask("ghu_" + "x" * 36, "login").error, TimeoutError)
        assert client._unanswered == 1 and exchange_threads()
        until(lambda: not exchange_threads(), 20, "the end of the thread")
        answer = client.ask("ghu_" + "x" * 36, "login")
        assert client._unanswered <= 1
        assert answer.error is not None
        until(lambda: not exchange_threads(), 20, "the end of the thread")
        if how != "nothing":
            until(lambda: server.gone == 2, 20, "the end of both connections")


def test_a_wait_that_is_over_at_once_ends():
    """Python's SimpleQueue waits forever where the machine takes longer to look than the wait was to last."""
    ended = threading.Event()

    def wait_often() -> None:
        for _ in range(5000):
            hook.ExchangeClient("http://127.0.0.1:1", {}, {})._next(1e-6)
        ended.set()

    threading.Thread(target=wait_often, daemon=True).start()
    assert ended.wait(30)


def test_a_slow_answer_over_tls_ends_too(authority, monkeypatch):
    """TLS takes the connection's descriptor over; it is cut all the same."""
    monkeypatch.setattr(hook, "REQUEST_TIMEOUT", 0.1)
    monkeypatch.setattr(hook, "DEADLINE", 1.0)

    def inside(connection: socket.socket) -> None:
        with authority.server.wrap_socket(connection, server_side=True) as tls:
            tls.recv(4096)
            drip(b"HTTP/1.1 200 OK\r\n" + b"x-header: y\r\n" * 1000)(tls)

    with Raw(inside) as server:
        monkeypatch.setattr(_Handler, "read_request", lambda self: None)
        client = hook.ExchangeClient(
            server.url.replace("http://127.0.0.1", "https://localhost"), {}, {"SSL_CERT_FILE": str(authority.file)}
        )
        assert isinstance(client.ask("ghu_" + "x" * 36, "login").error, TimeoutError)
        until(lambda: server.gone == 1 and not exchange_threads(), 20, "the end of the connection and the thread")


def test_the_lock_of_all_workers_is_free_after_the_request_timeout(tmp_path, monkeypatch):
    """A server that drips its headers holds up one turn of one worker, and not the next worker's."""
    monkeypatch.setattr(hook, "REQUEST_TIMEOUT", 0.2)
    monkeypatch.setattr(hook, "DEADLINE", 1.0)
    (tmp_path / "access-token").write_text("ghu_" + "x" * 36)
    with Raw(SLOW["a header byte now and then"]) as server:
        environ = {
            "GITHUB_COPILOT_TOKEN_DIR": str(tmp_path),
            "GITHUB_COPILOT_API_KEY_URL": server.url,
            "COPILOT_INSECURE_HTTP": "true",
        }
        keepers = [Keeper(environ), Keeper(environ)]
        keepers[0].turn()
        assert exchange_threads() and "does not answer" in keepers[0].problem
        with keepers[1].shared.try_lock() as free:
            assert free
        until(lambda: not exchange_threads(), 20, "the end of the thread")


def bomb(size: int, layers: int = 3) -> bytes:
    data = b'{"token": "' + b"x" * size + b'"}'
    for _ in range(layers):
        data = gzip.compress(data, 9)
    return data


PEAK = """
    import re, sys
    sys.path.insert(0, {root!r})
    from sidecar.litellm_hot_reload import exchange_client
    exchange_client.REQUEST_TIMEOUT = 60.0
    answer = exchange_client.ExchangeClient(sys.argv[1], {{}}, {{}}).ask("ghu_" + "x" * 36, "login")
    print(answer.status, answer.token, re.search("VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


def peak_of(url: str) -> tuple[list[str], int]:
    """What a process of its own makes of the answer, and the memory that it took, in KiB.

    Not getrusage's figure, which a process inherits from the one that started it.
    """
    program = textwrap.dedent(PEAK.format(root=str(Path(__file__).parents[3])))
    done = subprocess.run([sys.executable, "-c", program, url], capture_output=True, text=True, check=True, timeout=60)
    *found, peak = done.stdout.split()
    return found, int(peak)


def test_a_bomb_is_not_expanded(record_property):
    """A few hundred bytes that are 200 MB after three layers of gzip take no more memory than a plain answer."""
    compressed = bomb(200 * 2**20)
    assert len(compressed) < 2000
    encodings = {"/bomb": "gzip, gzip, gzip", "/one": "gzip", "/deflate": "deflate", "/odd": "br;q=1, x"}

    def answer(connection: socket.socket) -> None:
        path = server.requests[-1].split(b" ")[1].decode()
        body = json.dumps(TOKEN).encode() if path == "/plain" else compressed
        encoding = f"content-encoding: {encodings[path]}\r\n" if path in encodings else ""
        connection.sendall(f"HTTP/1.1 200 OK\r\n{encoding}content-length: {len(body)}\r\n\r\n".encode() + body)

    with Raw(answer) as server:
        base = server.url.removesuffix("/x")
        plain, control = peak_of(base + "/plain")
        assert plain[:2] == ["200", "tid=x"]
        assert b"accept-encoding: identity" in server.requests[-1].lower()
        for path in encodings:
            found, peak = peak_of(base + path)
            record_property(path, peak - control)
            assert found[:2] == ["200", "None"]
            assert peak < control + 20 * 1024


def test_a_refusal_that_is_compressed_is_still_one():
    """The status counts; the body, which cannot be read, does not."""
    with HttpServer(lambda request: (401, {"content-encoding": "gzip"}, {"message": "x"})) as server:
        answer = hook.ExchangeClient(server.url, {}, {}).ask("ghu_" + "x" * 36, "login")
    assert (answer.status, answer.body, answer.error) == (401, {}, None)


def test_an_answer_that_is_too_large_is_not_read_whole():
    """A mebibyte is more than any token needs."""
    with HttpServer(lambda request: (200, {}, {**TOKEN, "x": "x" * hook.MAX_ANSWER})) as server:
        answer = hook.ExchangeClient(server.url, {}, {}).ask("ghu_" + "x" * 36, "login")
    assert answer.token is None and "too large" in str(answer.error)


class Authority:
    """A certificate authority nobody knows, and a server certificate of it for localhost."""

    def __init__(self, home: Path) -> None:
        self.directory, self.file = home / "authorities", home / "authority.pem"
        self.directory.mkdir()
        key, request, own, own_key = (home / name for name in ("ca.key", "own.csr", "own.pem", "own.key"))
        extensions = home / "extensions"
        extensions.write_text("subjectAltName=DNS:localhost\n")
        new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        sign = ["openssl", "x509", "-req", "-in", request, "-CA", self.file]
        for command in (
            [*new, "-x509", "-days", "2", "-subj", "/CN=nobody", "-keyout", key, "-out", self.file],
            [*new, "-subj", "/CN=localhost", "-keyout", own_key, "-out", request],
            [*sign, "-CAkey", key, "-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", own],
        ):
            subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=60)
        hashed = subprocess.run(
            ["openssl", "x509", "-hash", "-noout", "-in", str(self.file)], check=True, capture_output=True, text=True
        )
        (self.directory / f"{hashed.stdout.strip()}.0").write_bytes(self.file.read_bytes())
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(own, own_key)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls_server(authority: Authority) -> Iterator[HttpServer]:
    with HttpServer(lambda request: (200, {}, TOKEN), authority.server) as server:
        yield server


class Tunnel(Raw):
    """An HTTP proxy that knows CONNECT; ``requests`` are those that it was asked for."""

    def __init__(self) -> None:
        super().__init__(self._tunnel)

    def _tunnel(self, connection: socket.socket) -> None:
        port = int(self.requests[-1].split(b" ")[1].rpartition(b":")[2])
        with socket.create_connection(("127.0.0.1", port)) as there:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_copy, args=(there, connection), daemon=True)
            back.start()
            _copy(connection, there)
            back.join(5)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(2**16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "through a proxy"])
@pytest.mark.parametrize("variable", CA_VARIABLES)
def test_every_variable_for_the_authorities_is_obeyed(variable, proxied, authority, tls_server, monkeypatch):
    """Without it the certificate is refused; with it the token arrives, directly and through a proxy's tunnel."""
    url = f"https://localhost:{tls_server.port}/x"
    for name in ("NO_PROXY", "no_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", *CA_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    with Tunnel() as proxy:
        if proxied:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url.removesuffix("/x"))
        refused = ask(url, {})
        assert "CERTIFICATE_VERIFY_FAILED" in str(refused.error)
        place = authority.directory if variable.endswith("_DIR") else authority.file
        assert ask(url, {variable: str(place)}).token == "tid=x"
        assert len(proxy.requests) == (2 if proxied else 0)


def test_the_first_variable_that_is_set_counts(authority, tls_server):
    """In the documented order; an empty one does not count."""
    url, odd = f"https://localhost:{tls_server.port}/x", "/etc/hostname"
    for first, second in itertools.pairwise(CA_VARIABLES):
        answer = ask(url, {first: odd, second: str(authority.file)})
        assert isinstance(answer.error, hook.BadAuthorities) and f"{first} names {odd}" in str(answer.error)
    assert ask(url, {"REQUESTS_CA_BUNDLE": "", "SSL_CERT_FILE": str(authority.file)}).token == "tid=x"
    assert ask(url, {"REQUESTS_CA_BUNDLE": str(authority.directory)}).token == "tid=x"


def ask(url: str, environ: dict[str, str]) -> Any:
    return hook.ExchangeClient(url, {}, environ).ask("ghu_" + "x" * 36, "login")
