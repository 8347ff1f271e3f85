"""Leaks of every kind, for test_canary.py: each test here whose name begins with test_leak has to fail, no other."""

from __future__ import annotations

import base64
import http.client
import http.server
import json
import logging
import subprocess
import sys
import threading
import urllib.parse

import pytest
import requests

from tests.support import canary
from tests.support.files import put_secret

FORMS = {
    "plain": lambda secret: secret,
    "upper": str.upper,
    "basic": lambda secret: base64.b64encode(f"octocat:{secret}".encode()).decode(),
    "base64 1": lambda secret: base64.b64encode(f"x{secret}".encode()).decode(),
    "base64 2": lambda secret: base64.urlsafe_b64encode(f"xx{secret}".encode()).decode(),
    "lines": lambda secret: base64.encodebytes(b"x" * 50 + secret.encode()).decode(),
    "query": lambda secret: urllib.parse.urlencode({"token": f"{secret}&"}),
    "percent": lambda secret: "".join(f"%{byte:02X}" for byte in secret.encode()),
    "hex": lambda secret: secret.encode().hex(),
    "JSON": lambda secret: json.dumps({"é": secret}),
    "UTF-16": lambda secret: secret.encode("utf-16-le").decode("latin-1"),
    "first half": lambda secret: secret[: len(secret) // 2] + "…",
    "last half": lambda secret: "…" + secret[len(secret) // 2 :],
    "last eight": lambda secret: "…" + secret[-8:],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["a", "c", "d", "k", "o"])
def test_leak_in_a_form(kind, form, tmp_path):
    (tmp_path / "f").write_text(FORMS[form](canary.new(kind)), encoding="latin-1" if form == "UTF-16" else "utf-8")


def test_leak_of_the_stand_ins(gh, tmp_path):
    (tmp_path / "f").write_text(gh.new_copilot_token()[0][:20])


def test_leak_in_a_log():
    logging.getLogger("x").warning("token %s", canary.new("a"))


def test_leak_in_a_field_of_a_log():
    logging.getLogger("x").warning("token", extra={"token": canary.new("a")})


def test_leak_in_a_traceback():
    try:
        raise ValueError(canary.new("a"))
    except ValueError:
        logging.getLogger("x").exception("oh")


def test_leak_in_output():
    print(canary.new("a"))


def test_leak_in_errors(capsys):
    sys.stderr.write(canary.new("a"))
    assert capsys.readouterr().err


def test_leak_in_errors_that_nobody_reads(capsys):
    sys.stderr.write(canary.new("a"))


def test_leak_in_a_wide_file(tmp_path):
    (tmp_path / "access-token").write_text(canary.new("a"))


def test_leak_in_another_file(tmp_path):
    put_secret(tmp_path / "models.yaml", canary.new("a"))


def test_leak_of_another_kind(tmp_path):
    put_secret(tmp_path / "access-token", canary.new("c"))


def test_leak_in_the_name_of_a_file(tmp_path):
    (tmp_path / canary.new("a")).touch()


def test_leak_in_another_directory(tmp_path_factory):
    (tmp_path_factory.mktemp("other") / "f").write_text(canary.new("a"))


def test_leak_in_the_output_of_a_process(bench):
    assert bench.run("sync", "--no-such-option-" + canary.new("a")).code == 2


def test_leak_in_the_arguments_of_a_process(bench):
    bench.log_in()
    process = bench.start("run", "--models-file", str(bench.shared / "m.yaml"), "--include", canary.new("k"))
    process.saw("models")
    process.signal()


def test_leak_in_the_environment_of_a_process(bench):
    bench.log_in()
    process = bench.start("run", NO_SUCH_VARIABLE=canary.new("a"))
    process.saw("models")
    process.signal()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        text = b"{}" if self.path == "/header" else canary.new("k").encode()
        self.send_response(200)
        if self.path == "/header":
            self.send_header("X-Key", canary.new("k"))
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            text = b"".join(b"1\r\n%c\r\n" % byte for byte in text) + b"0\r\n\r\n"
        else:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.HTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("path", ["body", "header", "chunked"])
@pytest.mark.parametrize("stream", [False, True])
def test_leak_in_an_answer(server, path, stream):
    with requests.get(f"http://{server}/{path}", stream=stream, timeout=10) as answer:
        assert b"".join(answer.iter_content(1))


@pytest.mark.parametrize("path", ["body", "header", "chunked"])
def test_leak_in_an_answer_read_by_hand(server, path):
    connection = http.client.HTTPConnection(server)
    connection.request("GET", "/" + path)
    assert connection.getresponse().read()
    connection.close()


def test_fine_in_its_places(bench):
    bench.log_in()
    put_secret(bench.tokens / "api-key.json", bench.gh.new_copilot_token()[0])
    config = canary.may_hold(bench.shared / "config.yaml", "o", "the user's own")
    put_secret(config, canary.new("o"))
    assert bench.run("sync", GITHUB_TOKEN=canary.new("a")).code == 0


def test_fine_to_mask(tmp_path):
    secret = canary.new("a")
    (tmp_path / "f").write_text(f"{secret[:4]}…{secret[-4:]}")


def test_fine_from_the_stand_in(bench):
    headers = {"authorization": f"token {bench.gh.new_access_token()}"}
    assert requests.get(bench.gh.url + "/copilot_internal/v2/token", headers=headers, timeout=10).json()["token"]


def test_fine_where_it_is_said(server):
    with canary.may_see("k", "this test"):
        assert requests.get(f"http://{server}/body", timeout=10).content


def test_leak_in_the_output_of_a_command():
    subprocess.run(["sh", "-c", "echo $SECRET"], env={"SECRET": canary.new("a")}, capture_output=True, check=True)


def test_leak_in_a_command():
    subprocess.run(["true", canary.new("a")], check=True, capture_output=True)
