"""Whoever is sent a secret may say it back, in any place and form: nothing of it is shown, logged or written."""

from __future__ import annotations

import base64
import io
import json
import logging
import time
from urllib.parse import quote

import pytest

from sidecar import http_client
from sidecar.cli import main
from sidecar.github.login import log_in
from sidecar.litellm_hot_reload.keeper import Keeper
from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX
from sidecar.litellm_hot_reload.startup import OneLine
from sidecar.litellm_hot_reload.text import PART
from sidecar.service.doctor import diagnose
from sidecar.settings import Settings
from sidecar.text import printable
from tests.fakes.catalog import model
from tests.support import canary
from tests.support.files import put_secret
from tests.support.github_paths import EXCHANGE as EXCHANGE_PATH
from tests.support.http_server import HttpServer
from tests.support.raw_server import RawServer
from tests.support.waiting import Quick

FORMS = {
    "plain": str,
    "upper case": str.upper,
    "URL": lambda secret: "".join(f"%{ord(char):02x}" for char in secret),
    "base64": lambda secret: base64.b64encode(f"token {secret}".encode()).decode(),
    "hexadecimal": lambda secret: secret.encode().hex(),
    "JSON twice": lambda secret: "".join(f"\\u{ord(char):04x}" for char in secret),
    "a part": lambda secret: secret[4:16],
    "at the cut": lambda secret: "x" * 190 + secret,
}


def refused(status, text):
    return status, {}, {"message": text, "error_details": {"title": text, "message": text, "url": f"https://x/{text}"}}


EVERYWHERE = {
    **{f"403 in {form}": lambda secret, spell=spell: refused(403, spell(secret)) for form, spell in FORMS.items()},
    "401": lambda secret: refused(401, secret),
    "404": lambda secret: refused(404, secret),
    "429": lambda secret: (429, {"Retry-After": secret, "x-ratelimit-reset": secret}, secret.encode()),
    "500": lambda secret: (500, {"Date": secret}, secret.encode()),
    "redirect": lambda secret: (302, {"Location": f"https://{secret}.example/{secret}?{secret}"}, b""),
    "cookie": lambda secret: (200, {"Set-Cookie": f"a={secret}"}, b"{}"),
    "encoding": lambda secret: (200, {"Content-Encoding": secret}, b"{}"),
    "bad gzip": lambda secret: (200, {"Content-Encoding": "gzip"}, secret.encode()),
    "not JSON": lambda secret: (200, {}, secret.encode()),
    "a key": lambda secret: (200, {}, {secret: secret}),
    "no answer": lambda secret: None,
}
EXCHANGE = {
    "a host": lambda secret: {"endpoints": {"api": f"https://{secret}.evil.example"}},
    "a path": lambda secret: {"endpoints": {"api": f"https://evil.example/{secret}"}},
    "an address in base64": lambda secret: {"endpoints": {"api": f"https://evil/{FORMS['base64'](secret)}"}},
    "a query": lambda secret: {"endpoints": {"api": f"https://api.githubcopilot.com.evil/?{secret}"}},
    "the plan": lambda secret: {"sku": secret},
    "the plan in URL": lambda secret: {"sku": FORMS["URL"](secret)},
    "the token": lambda secret: {"token": f"no token but {secret}"},
    "times": lambda secret: {"expires_at": secret, "refresh_in": secret},
}


def named(secret, **fields):
    """A catalog of three: one that is fine, one with the fields, one that is omitted."""
    return (
        200,
        {},
        {"data": [model("fine"), {**model("echo"), **fields}, {**model("omitted"), "policy": {"state": "disabled"}}]},
    )


CATALOG = {
    "an id": lambda secret: named(secret, id=secret),
    "a part of an id": lambda secret: named(secret, id=f"gpt-{secret}-mini"),
    "an id in upper case": lambda secret: named(secret, id=secret.upper()),
    "an id with a break": lambda secret: named(secret, id=f"{secret}\n"),
    "a long id": lambda secret: named(secret, id="x" * 30 + secret * 4),
    "names": lambda secret: named(secret, name=secret, vendor=secret, version=secret, model_picker_category=secret),
    "a long name": lambda secret: named(secret, name="x" * 100 + secret),
    "an unknown field": lambda secret: named(secret, **{secret: [{"x": secret}]}),
    "endpoints": lambda secret: named(secret, supported_endpoints=[secret, f"/{secret}"]),
    "a type": lambda secret: named(secret, capabilities={"type": secret, "family": secret}),
    "a warning": lambda secret: named(
        secret, warning_messages=[{"code": "model_deprecated", "message": secret}], policy={"terms": secret}
    ),
}
HOOK = {"litellm": "1", "follows": "x", "refusals_noticed": 1}


def served(name, key):
    return {"/model/info": {"data": [{"model_name": name, "model_info": {"id": MANAGED_PREFIX + key}}] * 2}}


LITELLM = {
    "names": lambda key: served(key, key),
    "names in upper case": lambda key: served(key.upper(), "x"),
    "the hook's notes": lambda key: {"/copilot_hook": {**HOOK, "litellm": key, "notes": [key]}},
    "what the hook follows": lambda key: {"/copilot_hook": {**HOOK, "follows": key, "guarded": [key, key.upper()]}},
    "a problem": lambda key: {"/copilot_hook": {**HOOK, "models_problem": "x" * 190 + key}},
}


class Echo:
    """All that the commands ask, in one server, which remembers what it is sent; ``replies`` are by path."""

    def __init__(self, directory):
        self.token, self.key, self.copilot = canary.new("a"), canary.new("k"), f"tid={canary.new('c', '')};exp=1:x"
        self.sent, self.replies = set(), {}
        self.server = HttpServer(self.answer)
        self.models_file, tokens = directory / "models.yaml", directory / "tokens"
        tokens.mkdir()
        put_secret(tokens / "access-token", self.token)
        self.environ = {
            "COPILOT_INSECURE_HTTP": "true", "COPILOT_LOG_LEVEL": "DEBUG", "COPILOT_MODELS_FILE": str(self.models_file),
            "GITHUB_COPILOT_TOKEN_DIR": str(tokens), "LITELLM_MASTER_KEY": self.key, "LITELLM_URL": self.server.url,
            **{
                f"GITHUB_COPILOT_{name}": f"{self.server.url}{path}"
                for name, path in {
                    "API_KEY_URL": "/token", "API_BASE": "", "DEVICE_CODE_URL": "/device", "ACCESS_TOKEN_URL": "/access"
                }.items()
            },
        }  # fmt: skip

    def answer(self, request):
        secret = request.headers.get("authorization", " ").split(" ", 1)[1]
        if request.path == "/access":
            secret = json.loads(request.body)["device_code"]
        self.sent |= {secret} - {""}
        if request.path in self.replies:
            return self.replies[request.path](secret)
        usual = {
            "/token": {"token": self.copilot, "expires_at": time.time() + 1500, "refresh_in": 1000},
            "/models": {"data": [model("fine")]},
            "/device": {"device_code": self.key, "user_code": "A-B", "verification_uri": "https://x", "interval": 1},
        }
        return 200, {}, usual.get(request.path, {})

    def search(self, *texts):
        """Nothing of what was sent is in a text, or in a file beside the models file; canary looks for other forms."""
        texts += tuple(path.read_text() for path in self.models_file.parent.iterdir() if path.is_file())
        for secret in {self.token, self.key, *self.sent}:
            spelled = [secret, "".join(f"\\u{ord(char):04x}" for char in secret)]
            for form in spelled:
                size = PART * len(form) // len(secret)
                parts = {form[at : at + size].lower() for at in range(len(form) - size + 1)}
                for text in texts:
                    assert not [part for part in parts if part in text.lower()], (parts, text)


@pytest.fixture
def echo(tmp_path, monkeypatch):
    monkeypatch.setattr(http_client, "MAX_ATTEMPTS", 1)
    made = Echo(tmp_path)
    with made.server:
        yield made


def said(capsys, echo, *commands):
    """What the commands print and log."""
    for command in commands:
        if command == "doctor":  # its output is standard output as it was at the import
            diagnose(Settings.load(echo.environ), Quick(), out := io.StringIO())
            print(out.getvalue())
        else:
            main(command.split(), echo.environ)
    printed = capsys.readouterr()
    for text in printed:
        canary.search("the output", text)
    echo.search(*printed)
    return printed.out + printed.err


@pytest.mark.parametrize("hop", ["/token", "/models"])
@pytest.mark.parametrize("name", EVERYWHERE)
def test_a_refusal(echo, capsys, hop, name):
    """Neither what refuses the access token nor what refuses the Copilot token can have it shown."""
    echo.replies[hop] = EVERYWHERE[name]
    assert "sync: " in said(capsys, echo, "sync")
    assert len(echo.sent) == (1 if hop == "/token" else 2)
    if name.startswith("403"):
        assert "***" in said(capsys, echo, "doctor")


@pytest.mark.parametrize("name", EXCHANGE)
def test_an_exchange(echo, capsys, name):
    """What an exchange says besides the Copilot token may hold the access token."""
    usual = {"token": echo.copilot, "expires_at": time.time() + 1500}
    echo.replies["/token"] = lambda secret: (200, {}, {**usual, **EXCHANGE[name](secret)})
    said(capsys, echo, "sync", "doctor")


@pytest.mark.parametrize("name", CATALOG)
def test_a_catalog(echo, capsys, name):
    """Neither token gets from the catalog into a log, a list of models, the models file or the record of absences."""
    for secret in (echo.token, echo.copilot, echo.copilot.split(";")[0][4:]):
        echo.replies["/models"] = lambda _, secret=secret: CATALOG[name](secret)
        shown = said(capsys, echo, "sync", "sync --dry-run", "models --all", "models --all --json", "doctor")
        assert "fine" in shown and "Traceback" not in shown


@pytest.mark.parametrize("name", LITELLM)
def test_litellm(echo, capsys, name):
    """LiteLLM, or what answers in its place, cannot have its key shown by `doctor`."""
    main(["sync"], echo.environ)
    bodies = LITELLM[name](echo.key)
    for path, body in bodies.items():
        echo.replies[path] = lambda _, body=body: (200, {}, body)
    assert "***" in said(capsys, echo, "doctor") and echo.key in echo.sent


LOGINS = {
    "an error": lambda secret: {"error": secret, "error_description": secret},
    "an error in upper case": lambda secret: {"error": "x", "error_description": secret.upper()},
    "a long error": lambda secret: {"error": "x", "error_description": "x" * 110 + secret},
    "no token": lambda secret: {"access_token": f"no token: {secret}"},
    "nothing": lambda secret: {secret: secret},
}


@pytest.mark.parametrize("name", LOGINS)
def test_a_login(echo, tmp_path, name):
    """The device code, with which anyone could fetch the token, is not shown by what it is sent to."""
    echo.replies["/access"] = lambda secret: (200, {}, LOGINS[name](secret))
    out, stop = io.StringIO(), Quick(at=5, do=lambda: stop.set())
    with pytest.raises(Exception) as caught:
        log_in(Settings.load({**echo.environ, "GITHUB_COPILOT_TOKEN_DIR": str(tmp_path / "new")}), stop, out)
    assert echo.key in echo.sent
    echo.search(out.getvalue(), printable(caught.value, 2000))


RAW = {
    "a status line": b"HTTP/1.1 %b %b\r\n\r\n",
    "a reason": b"HTTP/1.1 403 %b\r\nContent-Length: 0\r\n\r\n",
    "a protocol": b"%b 200 OK\r\n\r\n",
    "a header": b"HTTP/1.1 200 OK\r\n%b\r\n%b: %b\r\n %b\r\nContent-Length: 2\r\n\r\n{}",
    "a length": b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n{}",
    "a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n{}",
    "a trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n%b\r\n\r\n",
}


@pytest.mark.parametrize("name", RAW)
def test_broken_http(echo, capsys, name):
    """Exceptions of the libraries quote what they do not understand."""

    def speak(connection, _):
        token = connection.recv(65536).split(b"token ")[1].split(b"\r\n")[0]
        echo.sent.add(token.decode())
        connection.sendall(RAW[name].replace(b"%b", token))

    with RawServer(speak) as server:
        echo.environ["GITHUB_COPILOT_API_KEY_URL"] = server.url
        assert "sync: " in said(capsys, echo, "sync")
        assert echo.sent == {echo.token}


def test_a_defect(echo, capsys, monkeypatch):
    """A bug's traceback, and whatever a log line carries, are searched once more."""

    def fail(*_, **__):
        logging.getLogger("sidecar.x").warning("%r", {"a": [echo.token]}, extra={"b": {echo.token: [echo.key.upper()]}})
        raise RuntimeError(f"{echo.token} and {quote(echo.token)} and {FORMS['base64'](echo.token)}")

    monkeypatch.setattr("sidecar.service.sync.catalog_items", fail)
    assert "RuntimeError: *** and" in said(capsys, echo, "sync")


def test_the_service(bench):
    """`run` logs JSON, on standard error and into a file, in which the same holds; each line stays JSON."""
    token = bench.log_in()
    for spell in (str.upper, FORMS["base64"], FORMS["JSON twice"]):
        bench.gh.fail(EXCHANGE_PATH, status=403, body=refused(403, spell(token))[2])
        process = bench.start("run", COPILOT_LOG_FILE=str(bench.shared / "log")).saw("GitHub refused")
        assert process.signal() == 0
        (record,) = [each for each in process.records if "GitHub refused" in each["message"]]
        assert "***" in record["message"] and token[:8].lower() not in process.stderr.lower()


@pytest.fixture
def hook_log(monkeypatch):
    """The hook's own handler; what it writes is its stream's."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(OneLine("%(message)s"))
    log = logging.getLogger("copilot_hook")
    for name, value in {"handlers": [handler], "propagate": False, "level": logging.INFO}.items():
        monkeypatch.setattr(log, name, value)
    return handler


@pytest.mark.parametrize("name", EVERYWHERE)
def test_the_hook(echo, name, hook_log):
    """The hook's keeper, and its formatter, with the same answers, and with what others would have it log."""
    echo.replies["/token"] = EVERYWHERE[name]
    keeper = Keeper({**echo.environ, "GITHUB_COPILOT_API_KEY_FILE": str(echo.models_file.with_name("api-key.json"))})
    keeper.turn()
    hook_log.emit(logging.makeLogRecord({"msg": FORMS["base64"](echo.token)}))
    assert echo.sent == {echo.token} and "***" in hook_log.stream.getvalue()
    canary.search("the hook's log", hook_log.stream.getvalue())
    echo.search(keeper.problem, hook_log.stream.getvalue())


@pytest.mark.parametrize("name", EXCHANGE)
def test_the_hook_s_exchange(echo, name, hook_log):
    """What an exchange says besides the Copilot token does not get into the hook's log either, nor the token itself."""
    usual = {"token": echo.copilot, "expires_at": time.time() + 1500}
    echo.replies["/token"] = lambda secret: (200, {}, {**usual, **EXCHANGE[name](secret)})
    place = echo.models_file.parent / "run"
    keeper = Keeper({**echo.environ, "GITHUB_COPILOT_API_KEY_FILE": str(place / "api-key.json")})
    keeper.turn()
    hook_log.emit(logging.makeLogRecord({"msg": f"{FORMS['base64'](echo.token)} {keeper.current()}"}))
    assert echo.sent == {echo.token}
    echo.search(keeper.problem, hook_log.stream.getvalue())
