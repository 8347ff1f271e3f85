"""The end of a login: what is removed, what is said, and what a directory that cannot be written means."""

from __future__ import annotations

import os
import shutil

import pytest

from sidecar.cli import main
from sidecar.locks import try_lock
from tests.support import canary
from tests.support.files import files_under, put_secret, unprivileged


def test_logout(bench, capsys):
    """All that logins and LiteLLM have stored goes, a stranger's file stays, and it is said where to revoke."""
    bench.log_in()
    put_secret(bench.tokens / "github_token.json", bench.token_file.read_bytes())
    put_secret(bench.tokens / "api-key.json", bench.gh.new_copilot_token()[0])
    put_secret(bench.tokens / f".access-token.{'0' * 12}.tmp", "left by a crash")
    (bench.tokens / "login-code.json").write_text("{}")
    (bench.tokens / "mine").write_text("mine")
    assert main(["logout"], bench.environ) == 0
    said = capsys.readouterr().out
    assert files_under(bench.tokens) == {"mine": b"mine"} and bench.gh.requests == []
    assert all(name in said for name in ("access-token", "github_token.json", "api-key.json", "login-code.json"))
    assert f"revoked: at {bench.gh.url}/settings/applications, under Authorized GitHub Apps" in said


def test_where_github_com_lists_it(bench, capsys):
    """With the usual addresses, it is github.com's page."""
    bench.log_in()
    environ = {**bench.environ, "GITHUB_COPILOT_ACCESS_TOKEN_URL": "", "COPILOT_INSECURE_HTTP": "true"}
    assert main(["logout"], environ) == 0
    assert "https://github.com/settings/applications" in capsys.readouterr().out


@pytest.mark.parametrize("gone", [False, True])
def test_nobody_is_logged_in(bench, capsys, gone):
    """Nothing to remove is no failure, and makes no directory."""
    if gone:
        shutil.rmtree(bench.tokens)
    assert main(["logout"], {**bench.environ, "GITHUB_TOKEN": canary.new("a")}) == 0
    said = capsys.readouterr().out
    assert "Nobody is logged in" in said and "GITHUB_TOKEN is still set" in said
    assert bench.tokens.exists() != gone


def test_read_only_directory(bench, outside, capsys):
    """Where nothing can be removed, it is said, with the cure, and all stays."""
    put_secret(outside / "access-token", bench.gh.new_access_token())
    outside.chmod(0o555)
    os.chmod(outside / "access-token", 0o600)
    with unprivileged():
        assert main(["logout"], {**bench.environ, "GITHUB_COPILOT_TOKEN_DIR": str(outside)}) == 5
    said = capsys.readouterr().err
    assert f"logout: the token directory {outside} cannot be written" in said and "`login` and `logout`" in said
    assert (outside / "access-token").exists()


def test_a_login_that_stores_its_token(bench, monkeypatch):
    """A logout waits for the lock under which a token is stored, and does not remove what is half written."""
    bench.log_in()
    monkeypatch.setattr("sidecar.locks._POLL_INTERVAL", 0.0)
    held = try_lock(bench.token_file, "lock")
    monkeypatch.setattr("sidecar.locks.time.sleep", lambda _: (bench.token_file.stat(), held.release()))
    assert main(["logout"], bench.environ) == 0 and os.listdir(bench.tokens) == []
