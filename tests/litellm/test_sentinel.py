"""The sentinel sees: whatever blocks the event loop of a LiteLLM is noted, and what does not is not."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import textwrap

import pytest

from sidecar.models.entries import PROVIDER
from tests.support.waiting import until

from .proxy import Proxy
from .sentinel import LOOKUP, Sentinel

pytestmark = pytest.mark.long

P = PROVIDER
OTHER = {"model_name": "other", "litellm_params": {"model": "openai/x", "api_key": "x", "mock_response": "hello"}}

# A hook as it must not be. Each act is done once, on the event loop; what is good comes first.
BAD = """
    import asyncio, contextlib, os, socket, ssl, threading, time
    from pathlib import Path

    HOST, PORT = "127.0.0.1", int(os.environ["BAD_PORT"])
    TASKS = []

    async def start():
        TASKS.append(asyncio.get_running_loop().create_task(acts()))

    async def acts():
        try:
            await good()
            bad()
            Path(__file__).with_name("bad").touch()
        finally:
            Path(__file__).with_name("done").touch()

    async def good():
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection(HOST, PORT)
        writer.write(b"GET /user HTTP/1.0\\r\\n\\r\\n")
        await reader.read()
        writer.close()
        sock = socket.socket()
        sock.setblocking(False)
        await loop.sock_connect(sock, (HOST, PORT))
        sock.close()
        await asyncio.sleep(0.01)
        await asyncio.to_thread(time.sleep, 0.01)
        with contextlib.suppress(OSError):
            await asyncio.to_thread(socket.getaddrinfo, "github.com", 443)
        with contextlib.suppress(OSError):
            await loop.getaddrinfo("localhost", 80)

    def bad():
        import httpx, requests, urllib.request
        time.sleep(0.0123)
        socket.getaddrinfo("github.com", 443)
        with contextlib.suppress(OSError):
            socket.gethostbyname("gethostbyname.invalid")
        with socket.create_connection((HOST, PORT)) as sock:
            sock.sendall(b"GET /user HTTP/1.0\\r\\n\\r\\n")
            sock.recv(100)
        with socket.socket() as sock:
            sock.connect_ex((HOST, PORT))
        with socket.create_connection(("api.github.com", 443)) as sock, contextlib.suppress(OSError):
            sock.settimeout(0.1)
            ssl.create_default_context().wrap_socket(sock, server_hostname="api.github.com")
        for get in (urllib.request.urlopen, requests.get, httpx.get):
            with contextlib.suppress(Exception):
                get("http://%s/user" % get.__module__.replace(".", "-"))
        ready = threading.Event()
        threading.Timer(0.05, ready.set).start()
        ready.wait(5)
"""


SEEN = {
    ("sleep", "0.0123 s"),
    ("resolve", "github.com"),
    ("resolve", "gethostbyname.invalid"),
    ("connect", "STANDIN"),
    ("sendall", "STANDIN"),
    ("recv", "STANDIN"),
    ("connect_ex", "STANDIN"),
    ("resolve", "api.github.com"),
    ("connect", "SILENT"),
    ("do_handshake", "SILENT"),
    ("resolve", "urllib-request"),
    ("resolve", "requests-api"),
    ("resolve", "httpx"),
    ("recv_into", "STANDIN"),
    ("wait", "litellm_hot_reload_bad.py"),
}


def test_it_sees_a_bad_hook(fresh_gh, start):
    """Every way to block is noted, with the line that did it; an event loop's own ways are not."""
    stand_in = fresh_gh.url.removeprefix("http://")
    place = ("127.0.0.1", int(stand_in.rpartition(":")[2]))
    env = {"LITELLM_WORKER_STARTUP_HOOKS": "litellm_hot_reload_bad:start", "BAD_PORT": str(place[1])}
    proxy: Proxy = start(fresh_gh, hook=False, config={"model_list": [OTHER]}, env=env)
    (proxy.home / "litellm_hot_reload_bad.py").write_text(textwrap.dedent(BAD))
    clients = dict.fromkeys(("urllib-request", "requests-api", "httpx"), place)
    with Sentinel(proxy.home) as sentinel:
        sentinel.names(**{"github.com": "silent", "api.github.com": "silent"}, **clients)
        silent = "{}:{}".format(*sentinel.places["silent"])
        proxy.start(wait=False)
        until((proxy.home / "done").exists, 60, "all acts")
        assert (proxy.home / "bad").exists()
        lines = (proxy.home / "litellm_hot_reload_bad.py").read_text().splitlines()
        first_bad = next(number for number, line in enumerate(lines, 1) if line.startswith("def bad"))
        seen = set()
        for item in sentinel.found():
            what = item["what"].replace(stand_in, "STANDIN").replace(silent, "SILENT")
            places = [line for line in item["stack"] if "litellm_hot_reload_bad.py" in line]
            if places:
                assert int(places[0].rpartition(":")[2].split()[0]) > first_bad, item
                seen.add((item["kind"], what if item["kind"] != "wait" else "litellm_hot_reload_bad.py"))
        assert SEEN - seen == set()


def test_it_sees_what_a_stock_litellm_does(fresh_gh, start):
    """Without the hook every version talks to GitHub on the event loop, at start if not with each request."""
    gh = fresh_gh
    entry = {"model_name": "mine", "litellm_params": {"model": P + "gpt-4o"}}
    url = "http://api.github.com/copilot_internal/v2/token"
    proxy: Proxy = start(gh, hook=False, config={"model_list": [OTHER, entry]}, env={"GITHUB_COPILOT_API_KEY_URL": url})
    proxy.login(gh.new_access_token())
    with Sentinel(proxy.home) as sentinel:
        sentinel.github(("127.0.0.1", int(gh.url.rpartition(":")[2])))
        proxy.start()
        assert proxy.chat("other").status_code == 200
        proxy.api_key_file.unlink(missing_ok=True)
        proxy.chat("mine")
        found = sentinel.found()
        assert ("resolve", "api.github.com") in {(item["kind"], item["what"]) for item in found}
        assert all("github_copilot/authenticator.py" in str(item["stack"]) for item in found)


RESOLVER = """
    import contextlib, json, socket, sys, threading, time
    import sentinel
    from pathlib import Path

    def attempt():
        began = time.monotonic()
        try:
            with socket.create_connection(("github.com", 80), timeout=0.2) as sock:
                sock.recv(1)
            result = "answered"
        except OSError as error:
            result = type(error).__name__
        return result, time.monotonic() - began

    for line in sys.stdin:
        print(json.dumps(attempt()), flush=True)
"""


def test_names_misbehave_as_told(tmp_path):
    """The address that was given, nobody there, silence, no way there, and a lookup that hangs, then fails."""
    (tmp_path / "resolver.py").write_text(textwrap.dedent(RESOLVER))
    command, env = [sys.executable, "resolver.py"], {**os.environ, "PYTHONPATH": str(tmp_path)}
    with (
        Sentinel(tmp_path) as sentinel,
        socket.create_server(("127.0.0.1", 0)) as place,
        subprocess.Popen(command, env=env, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program,
    ):

        def attempt(how):
            sentinel.names(**{"github.com": how})
            program.stdin.write(b"\n")
            program.stdin.flush()

        def outcome():
            return json.loads(program.stdout.readline())

        attempt(place.getsockname())
        place.accept()[0].close()
        assert outcome()[0] == "answered"
        for how, expected in (("refuse", "ConnectionRefusedError"), ("silent", "TimeoutError")):
            attempt(how)
            assert outcome()[0] == expected
        attempt("blackhole")
        result, took = outcome()
        assert result == "TimeoutError" and took >= 0.2
        attempt("dns")
        result, took = outcome()
        assert result == "gaierror" and took >= LOOKUP
        attempt("dns")
        assert not select.select([program.stdout], [], [], 0.2)[0]
        sentinel.github("refuse")
        result, took = outcome()
        assert result == "ConnectionRefusedError" and took < LOOKUP
        assert sentinel.found() == [] and sentinel.armed() == {str(program.pid)}
        program.stdin.close()
