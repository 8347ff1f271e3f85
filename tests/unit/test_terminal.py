"""What a terminal is shown, and a pipe is not: colours, and that something is still going on."""

from __future__ import annotations

import contextlib
import os
import pty
import re

import pytest

from sidecar.cli import main, progress
from tests.fakes.catalog import model
from tests.support.github_paths import EXCHANGE

COLOUR = re.compile(r"\x1b\[\d+m")


class Terminal:
    """A terminal in place of a standard stream; ``text`` is what it has been shown."""

    def __init__(self, monkeypatch, name):
        self.main, end = pty.openpty()
        self.stream = os.fdopen(end, "w")
        monkeypatch.setattr(f"sys.{name}", self.stream)

    def text(self):
        self.stream.flush()
        os.set_blocking(self.main, False)
        text = b""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self.main, 65536):
                text += part
        return text.decode()

    def close(self):
        self.stream.close()
        os.close(self.main)


@pytest.fixture
def terminal(monkeypatch):
    opened = []

    def open_one(name):
        opened.append(Terminal(monkeypatch, name))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def published(bench):
    """Two models are published, and a third is in the catalog."""
    bench.log_in()
    assert main(["sync"], bench.environ) == 0
    bench.gh.set_catalog([*bench.gh.catalog, model("new"), model("old", endpoints=[])])
    return bench


COMMANDS = [["doctor"], ["models", "--all"], ["sync", "--dry-run"], ["status"]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_colours(published, terminal, capsys, command):
    """A terminal is shown the same in colours; a pipe, and whoever sets NO_COLOR, the text alone."""
    environ = {**published.environ, "LITELLM_URL": "http://127.0.0.1:9", "COLUMNS": "200"}
    capsys.readouterr()
    codes = {main(command, environ)}
    piped = capsys.readouterr().out
    screen = terminal("stdout")
    codes.add(main(command, {**environ, "NO_COLOR": "1"}))
    plain = screen.text()
    codes.add(main(command, environ))
    coloured = screen.text()
    assert len(codes) == 1 and not COLOUR.search(piped + plain) and len(COLOUR.findall(coloured)) >= 2
    assert COLOUR.sub("", coloured) == plain
    if command[0] in {"doctor", "status"}:
        assert plain.replace("\r\n", "\n").split() == piped.split()


def test_doctor_s_colours_tell_apart(published, terminal):
    """What passes is green, what fails is red."""
    screen = terminal("stdout")
    main(["doctor"], {**published.environ, "LITELLM_URL": "http://127.0.0.1:9"})
    text = screen.text()
    assert "\x1b[32mpass\x1b[0m  token" in text and "\x1b[31mfail\x1b[0m  LiteLLM" in text


def test_progress(bench, terminal, monkeypatch, capsys):
    """What takes long says on a terminal that it is still at work, and for whom it waits."""
    bench.log_in()
    monkeypatch.setattr(progress, "WAITS", (0.05, 0.05))
    screen = terminal("stderr")
    assert main(["changes"], bench.environ) == 0
    assert screen.text() == ""
    bench.gh.fail(EXCHANGE, delay=1, times=1)
    assert main(["sync"], bench.environ) == 0
    first, second = screen.text().splitlines()[:2]
    assert re.fullmatch(r"sync: still at work after 0 s, waiting for 127\.0\.0\.1", first) and second == first


def test_no_progress_in_a_pipe(bench, monkeypatch, capsys):
    """A log, or whatever reads standard error, has none of it."""
    bench.log_in()
    monkeypatch.setattr(progress, "WAITS", (0.05, 0.05))
    bench.gh.fail(EXCHANGE, delay=1, times=1)
    assert main(["sync"], bench.environ) == 0
    assert capsys.readouterr().err == ""
