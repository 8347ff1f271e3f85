"""The real service, the real hook and the real commands on one stage, with a fault put on and taken away."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sidecar import cli, http_client
from sidecar.errors import SidecarError, Stopped, Unreachable
from sidecar.github import api
from sidecar.litellm_hot_reload import exchange_client, keeper
from sidecar.litellm_hot_reload.bounded import read_bounded
from sidecar.litellm_hot_reload.connection import Connection
from sidecar.service import loop
from sidecar.status.routes import Request, respond
from sidecar.status.state import Status
from tests.fakes.github import GitHub
from tests.support.bench import Bench
from tests.support.files import files_under

from .clock import Clock, Shrunk, Turned

HOUR = 3600.0
HELD = 15.0
"""Seconds that a fault lasts where its recovery is measured."""
HOOK_TIMEOUT = exchange_client.REQUEST_TIMEOUT


@dataclass(frozen=True)
class Fault:
    """One way to break something: ``on`` breaks it and returns what mends it again.

    ``side`` says whom it meets: "both", "sidecar" or "hook". ``exit`` is what a sync exits with meanwhile. ``hangs``
    names the time limit of ``http_client`` that ends a request to ``path``. ``waits`` is how many seconds the service
    and the hook are told to stay away, or do because they are refused. ``changes`` is where the files change rightly.
    ``patches`` is where the fault is this process's own. ``lasts`` is how many seconds stand for an hour.
    """

    group: str
    name: str
    on: Callable[[Stage], Callable[[], None]]
    exit: int = 4
    side: str = "both"
    path: str = ""
    hangs: str = ""
    waits: float = 0.0
    changes: bool = False
    tls: bool = False
    patches: bool = False
    lasts: float = HOUR

    @property
    def title(self) -> str:
        return f"{self.group}: {self.name}"


@dataclass
class Seen:
    """What was seen of the service or the hook while a fault was on, and after; times count from its beginning."""

    before: str = ""
    after: str = ""
    asked: list[float] = field(default_factory=list)
    message: str = ""
    hint: str = ""
    exit: int = 0
    health: str = ""
    published: dict[str, bytes] = field(default_factory=dict)
    recovered: float | None = None

    def within(self, seconds: float) -> int:
        """How many requests were made in the first ``seconds``."""
        return sum(moment < seconds for moment in self.asked)


class Stage(Bench):
    """An account that is logged in, a stand-in that serves a good catalog, and the clock."""

    def __init__(self, gh: GitHub, directory: Path, clock: Clock, patch: pytest.MonkeyPatch, **environ: str) -> None:
        super().__init__(gh, directory)
        self.clock, self.directory, self.patch = clock, directory, patch
        self.environ |= environ
        self.environ["COPILOT_MODEL_SYNC_INTERVAL"] = "3600"
        self.token = self.log_in()
        self.fault: Fault | None = None
        self.asked: list[float] = []
        self.mend: Callable[[], None] = lambda: None
        clock.rule(patch)
        self.api: Any = None
        self.limits(api)
        self.gate = threading.Event()
        client_class = exchange_client.ExchangeClient
        opened, ask, request = Connection.opened, client_class.ask, client_class._request

        def counted(connection: Connection, new: Any) -> None:
            self.asked.append(clock.now)
            opened(connection, new)

        def held(*arguments: Any) -> Any:
            """However busy the machine is, what hangs is not over before it has been given up."""
            try:
                return request(*arguments)
            finally:
                if self.fault is not None and self.fault.hangs:
                    self.gate.wait(60)

        def asked(client: exchange_client.ExchangeClient, *arguments: str) -> Any:
            self.gate.clear()
            answer = ask(client, *arguments)
            self.gate.set()
            self.wait_for_requests()
            if answer is None or isinstance(answer.error, TimeoutError):
                clock.advance(HOOK_TIMEOUT)
            return answer

        patch.setattr(Connection, "opened", counted)
        patch.setattr(client_class, "ask", asked)
        patch.setattr(client_class, "_request", held)

    def wait_for_requests(self) -> None:
        """Those of the hook that nobody waits for any more have ended by now, by the clock that counts."""
        for thread in threading.enumerate():
            if thread.name == "copilot-exchange":
                thread.join(60)

    def limits(self, module: Any) -> None:
        """Let the requests that ``module`` sends, if they hang, end soon, and turn the clock instead."""
        send = module.send
        self.patch.setattr(module, "send", lambda method, url, **more: self._sent(send, method, url, more))

    def said(self, text: str) -> tuple[str, str]:
        """The error and the hint in what a command says; each is one line."""
        if not text:
            return "", ""
        message, hint = text.splitlines()[-2:]
        return message.partition(": ")[2], hint.strip()

    def _sent(self, send: Callable[..., Any], method: str, url: str, more: Mapping[str, Any]) -> Any:
        """Send, and turn the clock by what a time limit stands for."""
        fault = self.fault
        if fault is None or not fault.hangs or not url.endswith(fault.path):
            return send(method, url, **more)
        nominal = float(getattr(http_client, fault.hangs))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(http_client, fault.hangs, Shrunk(nominal))
            try:
                return send(method, url, **more)
            except Unreachable:
                self.clock.advance(nominal)
                raise

    def put_on(self, fault: Fault) -> None:
        self.fault, self.asked = fault, []
        self.mend = fault.on(self)

    def take_off(self) -> None:
        self.fault = None
        self.mend()

    def shown(self, text: str) -> str:
        """A text of the program without what is different in each run."""
        text = text.replace(str(self.directory), "").replace(str(self.gh.port), "PORT")
        return re.sub(r"\b[0-9a-f]{12}\b", "…", text)

    # The service

    def serve(self, fault: Fault, hold: float, *, until_recovered: bool) -> Seen:
        """Run the service: a good sync, then ``fault`` for ``hold`` seconds from the beginning of the next."""
        stop, status, seen, said = Turned(self.clock), Status(), Seen(), Warnings()
        syncs, off, began = 0, False, 0.0
        last: SidecarError | None = None
        run_once = loop.run_once

        def over() -> None:
            nonlocal off
            off = True
            assert Status.alive(status), "liveness failed"
            seen.asked = [moment - began for moment in self.asked]
            if not until_recovered:
                stop.set()
                return
            self.take_off()
            if last is None:
                seen.recovered = 0.0
                stop.set()

        def watched(*arguments: Any, **more: Any) -> Any:
            nonlocal syncs, last, began
            syncs += 1
            if syncs == 2:
                seen.before, began, seen.published = self.served(), self.clock.now, snapshot(self)
                self.put_on(fault)
                self.clock.after(hold, over)
                patch.setattr(loop, "POLL_INTERVAL", 1.0)
                self.clock.after(60, lambda: patch.setattr(loop, "POLL_INTERVAL", 30.0))
            try:
                result = run_once(*arguments, **more)
            except Stopped:
                raise
            except SidecarError as error:
                last = error
                raise
            except Exception as error:
                last = SidecarError(type(error).__name__)
                raise
            last = None
            if off and seen.recovered is None:
                seen.recovered = self.clock.now - began - hold
                stop.set()
            return result

        with pytest.MonkeyPatch.context() as patch, said:
            patch.setattr(loop, "run_once", watched)
            patch.setattr(loop, "POLL_INTERVAL", 60.0)  # only where something happens it matters how often it looks
            loop.run(self.settings(), stop, status)
        assert syncs >= 2, "the first sync failed"
        seen.health = f"{_health(status, 'livez')} / {_health(status, 'readyz')}"
        if last is not None:
            seen.message, seen.hint = self.shown(str(last)), self.shown(last.hint)
        elif said.records and not until_recovered:
            record = said.records[0]
            seen.message, seen.hint = self.shown(record.getMessage()), getattr(record, "hint", "")
        return seen

    def served(self) -> str:
        """What LiteLLM has: the number of models."""
        try:
            data = read_bounded(self.models_file, 2**20)
        except FileNotFoundError:
            return "no file"
        except OSError:
            return "no models file"
        return f"{data.count(b'model_name:')} models"

    def one_shot(self, command: str = "sync") -> tuple[int, str]:
        """The exit code of a command, and what it says of an error."""
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            patch.setattr(cli, "run_until_signalled", lambda work: work(Turned(self.clock)) or 0)
            patch.setattr(cli, "configure", lambda *_, **__: None)
            code = cli.main([command], self.environ)
        return code, self.shown(err.getvalue())

    # The hook

    def hook(self) -> Hook:
        return Hook(self)


class Warnings(logging.Handler):
    """What the service warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def __enter__(self) -> None:
        logging.getLogger("sidecar").addHandler(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("sidecar").removeHandler(self)


class Hook:
    """A worker's keeper of the Copilot token."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.clock = stage, stage.clock
        self.keeper = keeper.Keeper(stage.environ)

    def hold(self, fault: Fault, hold: float, *, until_recovered: bool) -> Seen:
        """Let the token be due when ``fault`` begins, and look every second, later every thirty."""
        seen = Seen()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exchange_client, "REQUEST_TIMEOUT", 60.0)
            while self.keeper.current() is None:
                self.keeper.turn()
                self.clock.advance(1)
            record = self.keeper.shared.read()
            assert record is not None
            self.keeper.shared.write(
                dataclasses.replace(record, renew_at=self.clock.time(), expires_at=int(self.clock.time() + 300))
            )
            seen.before = self.token()
            self.stage.put_on(fault)
            began = self.clock.now
            with self._limits(fault):
                while self.clock.now - began < hold:
                    self.keeper.turn()
                    self.clock.advance(1.0 if self.clock.now - began < 60 else 30.0)
            self.stage.wait_for_requests()
            seen.asked = [moment - began for moment in self.stage.asked]
            seen.after, seen.message = self.token(), self.stage.shown(self.keeper.problem)
            if self.renewed(record):
                seen.message, seen.recovered = "", 0.0
            if not until_recovered:
                return seen
            self.stage.take_off()
            while not self.renewed(record):
                assert self.clock.now - began < hold + fault.waits * 1.1 + HOUR, "the hook does not recover"
                self.keeper.turn()
                if self.renewed(record):
                    seen.recovered = self.clock.now - began - hold
                self.clock.advance(1 if fault.waits < HOUR else 30)
        return seen

    def renewed(self, record: Any) -> bool:
        now = self.keeper.shared.read()
        return now is not None and now.token != record.token

    def token(self) -> str:
        return "a token" if self.keeper.current() else "no token"

    @contextlib.contextmanager
    def _limits(self, fault: Fault) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            if fault.hangs:
                patch.setattr(exchange_client, "REQUEST_TIMEOUT", 0.05)
                patch.setattr(exchange_client, "DEADLINE", 0.06)
                timeout = exchange_client.httpx.Timeout
                patch.setattr(exchange_client.httpx, "Timeout", lambda *_, **__: timeout(0.05))
            yield


def _health(status: Status, probe: str) -> str:
    return str(respond(Request("GET", f"/{probe}"), status).status.value)


def snapshot(stage: Bench) -> dict[str, bytes]:
    """What is published: the models file and the hook, without what the sidecar notes for itself."""
    found = files_under(stage.shared).items()
    return {name: data for name, data in found if not name.startswith(".") and name != "changes.jsonl"}
