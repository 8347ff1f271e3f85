"""A server, a proxy or an environment that means harm: one deadline for all, and no token where none belongs."""

from __future__ import annotations

import gzip
import os
import socket
import ssl
import subprocess
import threading
import tracemalloc

import pytest

from sidecar import http_client, transport
from sidecar.errors import StorageError, Unreachable, UsageError
from sidecar.http_client import send
from sidecar.litellm_hot_reload.exchange import CA_VARIABLES
from sidecar.logs import configure
from sidecar.secret import Secret
from sidecar.transport import is_loopback
from tests.support.http_server import HttpServer
from tests.support.ports import free_port
from tests.support.raw_server import RawServer, Tunnel, drip, say
from tests.support.tls import make_certificate, server_context
from tests.support.waiting import until

KEY = ("Bearer", Secret("sk-canary-0123456789"))
PLAIN = {"status": "ok"}


def answer(*_):
    return 200, {}, PLAIN


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def requests_under_way():
    return [thread for thread in threading.enumerate() if thread.name.startswith("request to ")]


@pytest.fixture
def nothing_left():
    """After the test no thread and no descriptor of a request is left."""
    before = descriptors()
    yield
    until(lambda: not requests_under_way(), what="the end of the threads")
    until(lambda: descriptors() <= before, what="the end of the connections")


OK = b"HTTP/1.1 200 OK\r\n"
ENDLESS = {
    "a byte of the status line": (b"HTTP/1.1 200 O", b"K", 0.02),
    "a byte of a header": (OK + b"x-slow: ", b"a", 0.02),
    "a header": (OK, b"x-slow: a\r\n", 0.02),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
    "100 Continue without a pause": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0),
    "100 Continue with a header": (b"HTTP/1.1 100 Continue\r\nx-slow: ", b"a", 0.02),
    "a byte of the body": (OK + b"Content-Length: 1000000\r\n\r\n", b" ", 0.02),
    "a byte of a chunk's size": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0", 0.02),
    "a trailer": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n", 0.02),
    "a trailer without a pause": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n" * 100, 0),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_answer_that_never_ends(nothing_left, monkeypatch, kind):
    """Whatever a server is slow with, the request ends at its deadline, and so do its thread and its connection."""
    monkeypatch.setattr(http_client, "TOTAL_TIMEOUT", 0.3)
    first, piece, every = ENDLESS[kind]
    with RawServer(drip(first, piece, every=every)) as server:
        guard = threading.Timer(60, server.over.set)
        guard.start()
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1 took longer than"):
            send("GET", server.url, headers={})
        guard.cancel()
        guard.join()
        assert not server.over.is_set(), "it was the server that gave up"
        until(lambda: not requests_under_way(), what="the end of the thread")


def slow_handshake(connection, over):
    drip(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc", b"\x03")(connection, over)


@pytest.mark.parametrize("proxied", [False, True])
def test_a_handshake_that_never_ends(nothing_left, monkeypatch, proxied):
    """The deadline holds for a TLS handshake and for a proxy's answer too, after which TLS is not begun."""
    monkeypatch.setattr(http_client, "TOTAL_TIMEOUT", 0.3)
    begun, wrap = [], ssl.SSLContext.wrap_socket
    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", lambda *args, **more: begun.append(1) or wrap(*args, **more))
    speak = drip(OK + b"x-slow: ", b"a") if proxied else slow_handshake
    with RawServer(speak) as server:
        if proxied:
            monkeypatch.setenv("HTTPS_PROXY", server.url)
        guard = threading.Timer(60, server.over.set)
        guard.start()
        url = "https://copilot.invalid/" if proxied else f"https://127.0.0.1:{server.port}/"
        with pytest.raises(Unreachable, match="took longer than"):
            send("GET", url, headers={})
        guard.cancel()
        guard.join()
        assert not server.over.is_set() and server.connections == 1
        until(lambda: not requests_under_way(), what="the end of the thread")
        assert len(begun) == (not proxied)


def test_a_name_that_is_looked_up_forever(nothing_left, monkeypatch):
    """The deadline holds for the resolver, which nothing can interrupt; what it finds too late is not used."""
    monkeypatch.setattr(http_client, "TOTAL_TIMEOUT", 0.1)
    found, look_up = threading.Event(), socket.getaddrinfo

    def slow(*arguments, **more):
        found.wait(60)
        return look_up(*arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with HttpServer(answer) as server:
        with pytest.raises(Unreachable, match="took longer than"):
            send("GET", server.url, headers={}, authorization=KEY)
        found.set()
        until(lambda: not requests_under_way(), what="the end of the thread")
        assert server.requests == []


@pytest.mark.parametrize("kind", ["a byte of a header", "100 Continue without a pause"])
@pytest.mark.parametrize("command", ["sync", "run"])
def test_a_signal_does_not_wait_for_such_an_answer(bench, kind, command):
    """SIGTERM ends a command and the service at once in the middle of it."""
    bench.log_in()
    first, piece, every = ENDLESS[kind]
    with RawServer(drip(first, piece, every=every)) as server:
        process = bench.start(command, GITHUB_COPILOT_API_KEY_URL=server.url)
        until(lambda: server.connections, what="the exchange")
        assert process.ends_at_once() == (143 if command == "sync" else 0)


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "gzip, gzip, gzip"])
def test_compressed_many_times(monkeypatch, encoding):
    """However often an answer is compressed, no more than the limit is unpacked, give or take a buffer."""
    monkeypatch.setattr(http_client, "MAX_BYTES", 1_000_000)
    bomb = b" " * 200_000_000
    for _ in encoding.split(","):
        bomb = gzip.compress(bomb)
    head = b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (encoding.encode(), len(bomb))
    with RawServer(say(OK + head + bomb)) as server:
        tracemalloc.start()
        with pytest.raises(http_client.BadAnswer, match="more than 1000000 bytes"):
            send("GET", server.url, headers={})
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_malformed_header_is_not_logged(capsys, level, as_json):
    """urllib3 warns of one with all the others in the warning; nothing of them is in the log."""
    configure(level, as_json=as_json)
    head = b"x-token: ghu_canary1\r\nContent-Length: 2\r\nno header: at all ghu_canary2\r\n x\r\nghu_canary3\r\n\r\n{}"
    with RawServer(say(OK + head)) as server:
        assert send("GET", server.url, headers={}).status == 200
    printed = capsys.readouterr()
    assert "canary" not in printed.err + printed.out


LOOPBACK = ["127.0.0.1", "127.9.9.9", "127.1", "0x7f.1", "2130706433", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"]
NAMES = ["localhost", "LOCALHOST", "localhost.", "a.localhost", "ip6-localhost"]
ELSEWHERE = [
    "litellm",
    "128.0.0.1",
    "10.0.0.1",
    "::2",
    "localhost.example.com",
    "127.0.0.1.example.com",
    "",
    "é",
    "1.2.3",
]


def test_what_is_this_machine():
    """Every spelling of this machine that a resolver knows, and nothing else."""
    assert [host for host in LOOPBACK + NAMES if not is_loopback(host)] == []
    assert [host for host in ELSEWHERE if is_loopback(host)] == []


def test_no_proxy_sees_a_request_to_this_machine(monkeypatch):
    """A request to this machine goes there, whatever the variables say; one elsewhere goes through the proxy."""
    with HttpServer(answer) as proxy, HttpServer(answer) as server:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for host in ("127.0.0.1", "127.1", "localhost", "2130706433"):
            assert send("GET", f"http://{host}:{server.port}/", headers={}, authorization=KEY).json == PLAIN
        with pytest.raises(Unreachable):
            send("GET", f"http://[::1]:{free_port()}/", headers={}, authorization=KEY)
        assert (len(server.requests), proxy.requests) == (4, [])
        send("GET", "http://copilot.invalid/", headers={})
        assert [request.path for request in proxy.requests] == ["http://copilot.invalid/"]


@pytest.fixture
def certificate(tmp_path):
    return make_certificate(tmp_path)


@pytest.fixture
def secure(certificate):
    with HttpServer(answer, server_context(certificate)) as server:
        server.url = f"https://127.0.0.1:{server.port}"
        yield server


@pytest.fixture(autouse=True)
def default_certificates(monkeypatch):
    for name in CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_the_default_certificates_do_not_include_everybodys(secure):
    """A CA of one's own is not trusted before a variable names it."""
    with pytest.raises(Unreachable, match="its TLS certificate is not trusted"):
        send("GET", secure.url, headers={}, authorization=KEY)
    assert secure.requests == []


@pytest.mark.parametrize("variable", CA_VARIABLES)
@pytest.mark.parametrize("proxied", [False, True])
def test_certificates_of_ones_own(secure, certificate, monkeypatch, variable, proxied):
    """Each of the variables names the CA to trust, also through a proxy."""
    if variable == "SSL_CERT_DIR":
        os.symlink("ca.crt", certificate / f"{subject_hash(certificate)}.0")
    monkeypatch.setenv(variable, str(certificate if variable == "SSL_CERT_DIR" else certificate / "ca.crt"))
    with Tunnel() as tunnel:
        if proxied:
            monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
            monkeypatch.setattr(transport, "is_loopback", lambda _: False)
        assert send("GET", secure.url, headers={}, authorization=KEY).json == PLAIN
        assert tunnel.connections == int(proxied)
        assert KEY[1].reveal().encode() not in b"".join(tunnel.heads)


def subject_hash(certificate):
    """The name by which OpenSSL looks for a CA in a directory."""
    words = ["openssl", "x509", "-hash", "-noout", "-in", str(certificate / "ca.crt")]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def test_the_first_of_the_variables_counts(secure, certificate, monkeypatch):
    """REQUESTS_CA_BUNDLE comes before SSL_CERT_FILE, as docs/reference.md says."""
    other = certificate / "other"
    other.mkdir()
    make_certificate(other)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "ca.crt"))
    monkeypatch.setenv("SSL_CERT_FILE", str(other / "ca.crt"))
    assert send("GET", secure.url, headers={}).status == 200
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other / "ca.crt"))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "ca.crt"))
    with pytest.raises(Unreachable, match="not trusted"):
        send("GET", secure.url, headers={})


@pytest.mark.parametrize("variable", CA_VARIABLES)
@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_certificates_that_are_none(secure, tmp_path, monkeypatch, variable, content):
    """What the variable names has to be there and to hold certificates; else it is named, and nothing is sent."""
    if content is not None:
        (tmp_path / "bundle").write_bytes(content)
    monkeypatch.setenv(variable, str(tmp_path / "bundle"))
    with pytest.raises(UsageError, match=f"{variable}=.*bundle cannot be read: ") as caught:
        send("GET", secure.url, headers={}, authorization=KEY)
    assert "PEM" in caught.value.hint and secure.requests == []
    with HttpServer(answer) as plain:
        assert send("GET", plain.url, headers={}).status == 200, "where no TLS is spoken, it does not matter"


def test_a_cluster_without_its_certificates(secure, tmp_path):
    """A CA file that is named by the caller is not a setting: it is a file that cannot be read."""
    with pytest.raises(StorageError, match=r"nowhere cannot be read: No such file"):
        send("GET", secure.url, headers={}, ca_file=str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "text", ["sk-canary\nx-evil: 1", "sk-canary\r\n", "sk-canary\0", " sk-canary", "sk-canarÿ", ""]
)
def test_a_key_that_is_no_header(text):
    """A key that cannot be sent is refused without being shown, and nothing is sent."""
    with HttpServer(answer) as server:
        with pytest.raises(UsageError, match="cannot be sent") as caught:
            send("GET", server.url, headers={}, authorization=("Bearer", Secret(text)))
        assert server.requests == [] and "canar" not in f"{caught.value!r} {caught.value.hint}"


@pytest.mark.parametrize(
    "proxy",
    [
        "http://u:canary@[::1",
        "http://u:canary@h:99999999",
        "canary://u:p@h",
        "http://",
        "\udcff",
        "http://u:can\nary@h:1",
    ],
)
def test_a_proxy_that_is_none(monkeypatch, proxy):
    """An invalid proxy address is no bug of ours, and nothing of it is shown."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(Unreachable) as caught:
        send("GET", "https://copilot.invalid/", headers={}, authorization=KEY)
    assert "canary" not in f"{caught.value!r} {caught.value.hint}" and caught.value.__cause__ is None
