"""Log output: one JSON object a line for the service, one harmless line for commands."""

from __future__ import annotations

import json
import logging

import pytest

from sidecar.logs import configure
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


def test_level_and_handlers(capsys):
    """The level holds for all; set up twice, a line still comes once; urllib3's chatter stays out."""
    configure("DEBUG", as_json=False)
    configure("DEBUG", as_json=False)
    logging.getLogger("sidecar.x").debug("fine")
    logging.getLogger("urllib3.connectionpool").debug("chatter")
    assert capsys.readouterr().err == "debug: fine\n"
