"""Log output: one JSON object a line for the service, one harmless line for commands."""

from __future__ import annotations

import json
import logging
import os
import stat
from pathlib import Path

import pytest

from sidecar import logs
from sidecar.logfile import MAX_OLD_FILES, Rotating
from sidecar.logs import MAX_REPEATS, REPEAT_INTERVAL, configure
from sidecar.secret import Secret
from tests.support import canary

HOSTILE = 'a\nb\x1b[31m"é\ud800'


def test_json(capsys):
    """Each record is one line of JSON with time, level, logger, message and what goes with it."""
    configure("INFO", as_json=True)
    logging.getLogger("sidecar.x").warning("hello %s", HOSTILE, extra={"models": 3, "added": ["a"]})
    logging.getLogger("sidecar.x").debug("not shown")
    (line,) = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert record["message"] == f"hello {HOSTILE}" and (record["models"], record["added"]) == (3, ["a"])
    assert (record["level"], record["logger"]) == ("WARNING", "sidecar.x") and "T" in record["time"]


def test_plain(capsys):
    """Each record is one printable line."""
    configure("INFO", as_json=False)
    logging.getLogger("sidecar.x").warning("hello %s", HOSTILE, extra={"file": "/x\ny"})
    captured = capsys.readouterr()
    assert captured.err == 'warning: hello a\\nb\\x1b[31m"é\\ud800 (file=/x\\ny)\n' and captured.out == ""


@pytest.mark.parametrize("as_json", [False, True])
def test_defect(capsys, as_json):
    """A defect comes with its traceback, so that it can be reported."""
    configure("INFO", as_json=as_json)
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        logging.getLogger("sidecar.x").exception("a defect")
    err = capsys.readouterr().err
    assert "RuntimeError: boom" in err and "test_logs.py" in err
    assert not as_json or len(err.splitlines()) == 1


@pytest.mark.parametrize("as_json", [False, True])
def test_secrets(capsys, as_json):
    """A secret in a record does not show."""
    configure("INFO", as_json=as_json)
    secret = Secret(canary.new("a"))
    logging.getLogger("sidecar.x").warning("token %s", secret, extra={"token": secret})
    err = capsys.readouterr().err
    assert "token" in err


@pytest.mark.parametrize("as_json", [False, True])
def test_tokens_in_a_defect(capsys, as_json):
    """What looks like a token does not show even where an exception quotes it, and JSON stays JSON."""
    configure("INFO", as_json=as_json)
    try:
        raise ValueError(b"Invalid header value b'Bearer sk-canary0123\n'", '"ghu_canary0123456789"', "x")
    except ValueError:
        logging.getLogger("sidecar.x").exception("tid=canary01;exp=2 and %s", "github_pat_canary0123")
    err = capsys.readouterr().err
    assert "canary" not in err and "github_pat_***" in err
    assert not as_json or json.loads(err)["exc_info"].count("***") == 2 * 2


def test_level_and_handlers(capsys):
    """The level holds for all; set up twice, a line still comes once; urllib3's chatter stays out."""
    configure("DEBUG", as_json=False)
    configure("DEBUG", as_json=False)
    logging.getLogger("sidecar.x").debug("fine")
    logging.getLogger("urllib3.connectionpool").debug("chatter")
    assert capsys.readouterr().err == "debug: fine\n"


@pytest.fixture
def clock(monkeypatch):
    """The filter's clock, which the test turns."""
    now = [0.0]
    monkeypatch.setattr(logs, "elapsed", lambda: now[0])
    return now


def fail(how, error=None):
    """Log a defect."""
    try:
        raise error or ValueError(how)
    except ValueError:
        logging.getLogger("sidecar.x").exception("a defect")


def test_the_same_warning_comes_once_a_minute(capsys, clock, tmp_path):
    """The next one says how many there were, in the file as well; information always comes."""
    configure("INFO", as_json=True, file=tmp_path / "log")
    for clock[0] in (0.0, 1.0, REPEAT_INTERVAL - 0.1, REPEAT_INTERVAL, REPEAT_INTERVAL + 1, 3 * REPEAT_INTERVAL):
        logging.getLogger("sidecar.x").warning("no %s", "sync", extra={"event": "sync.failed"})
        logging.getLogger("sidecar.x").info("up to date")
    written = capsys.readouterr().err
    assert (tmp_path / "log").read_text() == written
    lines = [json.loads(line) for line in written.splitlines()]
    warnings = [line for line in lines if line["level"] == "WARNING"]
    assert [line.get("suppressed") for line in warnings] == [None, 2, 1] and len(lines) == 3 + 6


def test_a_different_warning_always_comes(capsys, clock):
    """Whatever is different in it: text, field, level, logger, event, cause or place."""
    configure("INFO", as_json=False)
    one, other = logging.getLogger("sidecar.x"), logging.getLogger("sidecar.y")
    for _ in range(2):
        one.warning("%s", OSError(28, "full", "/a"))
        one.warning("%s", OSError(28, "full", "/b"))
        one.warning("x", extra={"hint": "a"})
        one.warning("x", extra={"hint": "b"})
        one.warning("x", extra={"event": "a"})
        one.warning("x", extra={"event": "b"})
        one.warning("x")
        one.error("x")
        other.warning("x")
        fail("a")
        fail("b")
        fail("", UnicodeError("a"))
    err = capsys.readouterr().err
    assert err.count("warning: ") == 8 and err.count("error: ") == 1 + 3


def test_many_different_warnings_take_no_memory(capsys, clock):
    """Only the latest are known; one that has been forgotten comes again."""
    configure("INFO", as_json=False)
    (handler,) = logging.getLogger().handlers
    for number in [*range(10 * MAX_REPEATS), 0]:
        logging.getLogger("sidecar.x").warning("%d", number)
    assert len(capsys.readouterr().err.splitlines()) == 10 * MAX_REPEATS + 1
    assert len(handler.filters[0]._passed) == MAX_REPEATS


def test_a_line_that_cannot_be_formatted_ends_nothing(capsys, clock, monkeypatch):
    """The filter leaves it to the handler, which raises nothing."""
    configure("INFO", as_json=False)
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logging.getLogger("sidecar.x").warning("%d", "x")
    assert capsys.readouterr().err == ""


def test_events_are_for_programs(capsys):
    """JSON has the event; text has what people read."""
    for as_json in (True, False):
        configure("INFO", as_json=as_json)
        logging.getLogger("sidecar.x").info("models published", extra={"event": "models.published", "models": 3})
    first, second = capsys.readouterr().err.splitlines()
    assert json.loads(first)["event"] == "models.published" and second == "info: models published (models=3)"


def modes(directory):
    """Name → permission bits of every file."""
    return {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in sorted(directory.iterdir())}


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_log_files_are_private(tmp_path, open_umask):
    """The log file is the owner's alone from its first byte, and so is each that a rotation makes."""
    handler = Rotating(tmp_path / "log", max_bytes=100)
    for _ in range(20):
        handler.emit(logging.makeLogRecord({"msg": "x" * 60}))
    handler.close()
    names = ["log", *(f"log.{number}" for number in range(1, MAX_OLD_FILES + 1))]
    assert modes(tmp_path) == dict.fromkeys(names, "0o600")


def test_log_files_of_before_are_narrowed(tmp_path, open_umask, capsys):
    """Log files that an earlier version left readable are so no longer; nothing else in the directory is touched."""
    for name in ("log", "log.1", "log.5", "log.6", "other"):
        (tmp_path / name).write_text("x")
    configure("INFO", as_json=False, file=tmp_path / "log")
    narrowed = dict.fromkeys(("log", "log.1", "log.5"), "0o600")
    assert modes(tmp_path) == {**narrowed, "log.6": "0o666", "other": "0o666"}
    assert capsys.readouterr().err == ""


def test_a_log_file_of_somebody_else_is_reported(tmp_path, open_umask, capsys, monkeypatch):
    """One that cannot be narrowed is named, with what to do."""
    (tmp_path / "log").write_text("x")

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "chmod", refuse)
    configure("INFO", as_json=False, file=tmp_path / "log")
    assert f"others may read the log file {tmp_path}/log: `chmod 600` it" in capsys.readouterr().err


def test_a_device_as_log_file_keeps_its_mode(capsys):
    """What is no regular file, such as /dev/null, is left as it is."""
    before = Path("/dev/null").stat().st_mode
    configure("INFO", as_json=False, file=Path("/dev/null"))
    assert Path("/dev/null").stat().st_mode == before and capsys.readouterr().err == ""
