"""Faults that meet a command: the login's two hops, the ConfigMap's API server, whom a change is told to, LiteLLM."""

from __future__ import annotations

import io
import json
import re
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sidecar.github import login
from sidecar.litellm_proxy import notify, probe
from sidecar.service.doctor import diagnose
from sidecar.settings import Settings
from sidecar.targets import configmap, kubernetes
from tests.fakes.catalog import model
from tests.support.github_paths import DEVICE, POLL
from tests.support.http_server import HttpServer
from tests.support.raw_server import RawServer, drip, say
from tests.unit.targets.test_configmap import TOKEN, ApiServer

from .clock import Turned
from .stage import HELD, Fault, Seen, Stage
from .wire import JSON, Mend, answering, certificates, refused, resolving

CHUNKED = JSON + b"Transfer-Encoding: chunked\r\n\r\n"


# The login


def logins() -> Iterator[Fault]:
    def hop(name: str, path: str, *, code: int = 4, **how: Any) -> Fault:
        hangs = how.pop("hangs", "")
        where = "the code" if path == DEVICE else "the poll"
        return Fault("login", f"{name}, {where}", answering(path, **how), exit=code, path=path, hangs=hangs)

    yield Fault("login", "connection refused, the code", refused, path=DEVICE)
    yield Fault(
        "login", "name not found, the code", resolving(socket.gaierror(-2, "Name or service not known")), path=DEVICE
    )
    for path, ends in ((DEVICE, 4), (POLL, 3)):  # without a result the poll goes on until the codes have run out
        yield hop("reset", path, code=ends, how="reset")
        yield hop("silent", path, code=ends, how="hang", hangs="READ_TIMEOUT")
        yield hop("bad chunking", path, code=ends, raw=CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n")
        yield hop(
            "headers without an end", path, code=ends, raw=JSON, again=b"x: y\r\n", delay=0.005, hangs="TOTAL_TIMEOUT"
        )
        yield hop("not JSON", path, code=ends, how="garbage")
        yield hop("a redirect", path, code=ends, how="redirect", location="https://copilot.invalid/")
        yield hop("429", path, code=ends, status=429, headers={"Retry-After": "30"})
        yield hop("500", path, code=ends, status=500)
        yield hop("nested 100,000 times", path, code=ends, status=200, body="[" * 100_000)
    yield hop("interval NaN", DEVICE, code=3, status=200, body=CODE.replace(": 5", ": NaN"))
    yield hop("a code of control characters", DEVICE, code=3, status=200, body=CODE.replace("WDJB", "\\u001b[2J"))
    yield hop("without a user code", DEVICE, code=4, status=200, body='{"device_code": "abcdefgh"}')
    yield hop("the app disabled", DEVICE, code=2, status=200, body={"error": "device_flow_disabled"})
    yield hop("declined", POLL, code=3, status=200, body={"error": "access_denied"})
    yield hop("an error nobody knows", POLL, code=3, status=200, body={"error": "\x1b[31mred"})
    yield hop("slow_down without an end", POLL, code=3, status=200, body={"error": "slow_down", "interval": 10**9})
    yield hop("a token of control characters", POLL, code=4, status=200, body={"access_token": "gh\x1b[2J" * 5})


CODE = json.dumps(
    {
        "device_code": "abcdefgh",
        "user_code": "WDJB-MJHT",
        "verification_uri": "https://github.com/login/device",
        "expires_in": 900,
        "interval": 5,
    }
)


def log_in(stage: Stage, fault: Fault) -> tuple[Seen, Seen]:
    """Somebody agrees at once. The fault lasts a quarter of a minute, and in a second login as long as that takes."""
    stage.limits(login)
    stage.gh.device_flow(mode="approve")
    held, whole = Seen(before="nobody", after="nobody"), Seen(before="nobody")
    stage.token_file.unlink()
    began = stage.clock.now
    stage.put_on(fault)
    stage.clock.after(HELD, stage.take_off)
    held.exit, _ = stage.one_shot("login")
    if held.exit == 0:
        held.recovered = max(0.0, stage.clock.now - began - HELD)
    stage.clock.advance(HELD)
    stage.token_file.unlink(missing_ok=True)
    began = stage.clock.now
    stage.put_on(fault)
    whole.exit, said = stage.one_shot("login")
    stage.take_off()
    whole.message, whole.hint = stage.said(said)
    whole.asked = [moment - began for moment in stage.asked]
    whole.after = "logged in" if stage.token_file.exists() else "nobody"
    return held, whole


# The ConfigMap's API server


class Api(ApiServer):
    """The unit tests' API server, of which a fault can take the place."""

    def __init__(self, directory: Path) -> None:
        self.fault: Any = None
        super().__init__(directory)

    def answer(self, request: Any) -> Any:
        if self.fault is None:
            return super().answer(request)
        return self.fault(self, request)


def api_servers() -> Iterator[Fault]:
    def row(name: str, fault: Callable[[Api, Any], Any], code: int = 4, *, changes: bool = False) -> Fault:
        def on(stage: Stage) -> Mend:
            stage.api.fault = fault
            return lambda: setattr(stage.api, "fault", None)

        return Fault("ConfigMap", name, on, exit=code, changes=changes)

    def status(number: int, **headers: str) -> Callable[[Api, Any], Any]:
        return lambda *_: (number, {key.replace("_", "-"): text for key, text in headers.items()}, {"kind": "Status"})

    for number, code in (
        (401, 4),
        (403, 5),
        (404, 5),
        (409, 4),
        (413, 5),
        (422, 5),
        (429, 4),
        (500, 4),
        (503, 4),
        (504, 4),
    ):
        yield row(str(number), status(number), code)
    yield row("429, Retry-After: 5", status(429, retry_after="5"))
    yield row("429, Retry-After: ²", status(429, retry_after="²"))
    yield row("a redirect", status(302, location="https://copilot.invalid/"), 5)
    yield row("closed without an answer", lambda *_: None)
    yield row("not JSON", lambda *_: (200, {}, b"<html>"))
    yield row("a list", lambda *_: (200, {}, []))
    yield row("numbers for text", lambda *_: (200, {}, {"metadata": {"resourceVersion": "1"}, "data": {"x": 1}}))
    yield row("17 MB", lambda *_: (200, {}, b" " * (17 * 2**20)), 5)
    yield row("the patch applied, its answer lost", lambda api, request: _lost(api, request), 0, changes=True)
    yield row("a conflict each time", _conflict)
    yield Fault("ConfigMap", "connection refused", api_down, exit=4)
    yield Fault("ConfigMap", "certificate not trusted", api_stranger, exit=4)
    yield Fault("ConfigMap", "the pod's token gone", account("token", None), exit=5)
    yield Fault("ConfigMap", "the pod's token binary", account("token", b"\xff\n\0"), exit=5)
    yield Fault("ConfigMap", "the pod's certificates broken", account("ca.crt", b"none"), exit=5)


def _lost(api: Api, request: Any) -> Any:
    answer = ApiServer.answer(api, request)
    return None if request.method == "PATCH" else answer


def _conflict(api: Api, request: Any) -> Any:
    if request.method == "PATCH":
        api.write(data={"other": str(len(api.requests))})
    return ApiServer.answer(api, request)


def api_down(stage: Stage) -> Mend:
    used = stage.environ["KUBERNETES_SERVICE_PORT"]
    stage.environ["KUBERNETES_SERVICE_PORT"] = "1"
    return lambda: stage.environ.update(KUBERNETES_SERVICE_PORT=used)


def api_stranger(stage: Stage) -> Mend:
    return account("ca.crt", (certificates()["stranger"] / "ca.crt").read_bytes())(stage)


def account(name: str, content: bytes | None) -> Callable[[Stage], Mend]:
    def on(stage: Stage) -> Mend:
        path = stage.directory / "account" / name
        good = path.read_bytes()
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        return lambda: path.write_bytes(good) and None

    return on


def patch_configmap(stage: Stage, fault: Fault) -> tuple[Seen, Seen]:
    """`sync` with the fault for a quarter of a minute, and with the fault for longer than it tries; a change is due."""
    directory = stage.directory / "account"
    directory.mkdir()
    (directory / "token").write_text(TOKEN)
    (directory / "namespace").write_text("llm")
    (directory / "ca.crt").write_bytes((certificates()["good"] / "ca.crt").read_bytes())
    stage.patch.setattr(configmap.ConfigMapTarget.__init__, "__defaults__", (directory,))
    stage.limits(kubernetes)
    held, whole = Seen(), Seen()
    with Api(certificates()["good"]) as stage.api:
        stage.environ |= {
            "COPILOT_CONFIGMAP": "copilot-models",
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(stage.api.port),
        }
        assert stage.one_shot()[0] == 0
        good = json.dumps(stage.api.object.get("data", {}).get(configmap.KEY))
        whole.before = f"{good.count('model_name')} models"
        stage.gh.set_catalog([*stage.gh.catalog, model("model-new")])
        stage.put_on(fault)
        whole.exit, said = stage.one_shot()
        began = stage.asked[0] if stage.asked else 0.0
        whole.message, whole.hint = stage.said(said.replace(str(stage.api.port), "PORT"))
        whole.asked = [moment - began for moment in stage.asked]
        now = json.dumps(stage.api.object.get("data", {}).get(configmap.KEY))
        assert (now == good) is not fault.changes
        whole.after = f"{now.count('model_name')} models"
        stage.take_off()
        stage.gh.set_catalog([*stage.gh.catalog, model("model-newer")])
        began = stage.clock.now
        stage.put_on(fault)
        stage.clock.after(HELD, stage.take_off)
        held.exit, _ = stage.one_shot()
        if held.exit == 0:
            held.recovered = max(0.0, stage.clock.now - began - HELD)
    return held, whole


# Addresses of the user's, where anything may be


class Nobody:
    url = "http://127.0.0.1:1"

    def __exit__(self, *_: object) -> None: ...


def addresses(group: str, variable: str, code: int) -> Iterator[Fault]:
    """What can answer at the address in an environment variable."""

    def row(name: str, serve: Callable[[], Any], **more: Any) -> Fault:
        def on(stage: Stage) -> Mend:
            server = serve()
            stage.environ[variable] = server.url
            return lambda: server.__exit__(None, None, None)

        return Fault(group, f"address {name}", on, exit=code, **more)

    def raw(speak: Any) -> Callable[[], RawServer]:
        return lambda: RawServer(speak)

    yield row("refuses connections", Nobody)
    for status in (302, 400, 404, 429, 500):
        yield row(f"says {status}", lambda status=status: HttpServer(lambda _: (status, {}, {})))  # type: ignore[misc]
    yield row("closes without an answer", raw(say(b"")))
    yield row("has bad chunking", raw(say(CHUNKED + b"zz\r\n")))
    yield row("is silent", raw(lambda _, over: over.wait()), hangs="READ_TIMEOUT")
    yield row("sends headers without an end", raw(drip(JSON, b"x: y\r\n", every=0.005)), hangs="TOTAL_TIMEOUT")
    yield row("sends 17 MB", lambda: HttpServer(lambda _: (200, {}, b" " * (17 * 2**20))))


# Whom a change is told to


def notifications() -> Iterator[Fault]:
    def command(name: str, words: str) -> Fault:
        def on(stage: Stage) -> Mend:
            stage.environ["COPILOT_ON_CHANGE"] = words
            return lambda: None

        return Fault("on change", name, on, exit=6)

    yield from addresses("on change", "COPILOT_ON_CHANGE_URL", 6)
    yield command("command is missing", "/nowhere/command")
    yield command("command fails", "false")
    yield command("command kills itself", f"{sys.executable} -c 'import os; os.kill(os.getpid(), 9)'")
    yield command("command is a directory", "/tmp")


def tell(stage: Stage, fault: Fault) -> tuple[Seen, Seen]:
    """A change that cannot be told is kept, and told with the next sync."""
    stage.limits(notify)
    stage.one_shot()
    whole, held = Seen(before=stage.served()), Seen()
    stage.gh.set_catalog([*stage.gh.catalog, model("model-new")])
    stage.put_on(fault)
    began = stage.clock.now
    whole.exit, said = stage.one_shot()
    whole.message, whole.hint = stage.said(said)
    whole.asked = [moment - began for moment in stage.asked]
    whole.after = stage.served()
    stage.take_off()
    stage.environ.pop("COPILOT_ON_CHANGE", None)
    with HttpServer(lambda _: (200, {}, {})) as server:
        stage.environ["COPILOT_ON_CHANGE_URL"] = server.url
        assert stage.one_shot()[0] == 0
        told = [json.loads(request.body)["added"] for request in server.requests]
    assert told == [["github_copilot/model-new"]]
    return held, whole


# LiteLLM, of which `doctor` asks whether it serves what was published


def litellms() -> Iterator[Fault]:
    yield from addresses("LiteLLM", "LITELLM_URL", 6)


def diagnosed(stage: Stage, fault: Fault) -> tuple[Seen, Seen]:
    """`doctor` says what is wrong with LiteLLM, and asks it once."""
    stage.limits(probe)
    stage.one_shot()
    whole, held = Seen(before=stage.served()), Seen()
    stage.put_on(fault)
    began = stage.clock.now
    whole.exit, whole.message, whole.hint = _said_of_litellm(stage)
    whole.asked = [moment - began for moment in stage.asked]
    stage.take_off()
    whole.after = stage.served()
    with HttpServer(lambda _: (200, {}, {"data": []})) as server:
        stage.environ["LITELLM_URL"] = server.url
        assert _said_of_litellm(stage)[1] == ""
    return held, whole


def _said_of_litellm(stage: Stage) -> tuple[int, str, str]:
    """Exit code, failure and fix."""
    out = io.StringIO()
    code = diagnose(Settings.load(stage.environ), Turned(stage.clock), out)
    found = re.search(
        r"^fail +LiteLLM +(.*)\n +fix: (.*)$", re.sub(r"(127\.0\.0\.1):\d+", r"\1", out.getvalue()), re.MULTILINE
    )
    return code, *(found.groups() if found else ("", ""))
