"""Leaks of scripts, for test_canary.py: each test here whose name begins with test_leak has to fail, and no other."""

from __future__ import annotations

import base64
import os
import urllib.parse

import pytest

from tests.support import canary

FORMS = {
    "plain": lambda secret: secret,
    "base64": lambda secret: base64.b64encode(f"me:{secret}".encode()).decode(),
    "url": lambda secret: urllib.parse.quote(f"user:{secret}@host/", safe=""),
}
SCRIPTS = {
    "output": "echo '{}'",
    "errors": "echo '{}' >&2",
    "file": "echo '{}' > \"$HOME/log\"",
    "argument": "sleep 0.1; sh -c 'sleep 0.3' '{}'",
    "environment": "sleep 0.1; VARIABLE='{}' sleep 0.3",
}


@pytest.fixture
def runtime():
    """No packages are needed here."""
    return "/usr"


def run(clone, text):
    script = clone.root / "scripts" / "planted.sh"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    done = clone.run(script.name)
    os.unlink(script)
    assert done.returncode == 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", SCRIPTS)
def test_leak(clone, place, form):
    run(clone, SCRIPTS[place].format(FORMS[form](canary.new("a"))))


def test_leak_in_a_wide_token_file(clone):
    clone.log_in()
    run(clone, "chmod 0644 " + str(clone.tokens / "access-token"))


def test_fine(clone):
    clone.log_in()
    run(clone, "LITELLM_MASTER_KEY=" + canary.new("k") + " sleep 0.1")
