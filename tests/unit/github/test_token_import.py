"""Importing a token, where the scripts' tests do not reach."""

from __future__ import annotations

import io
import os
import pwd
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.errors import LoginNeeded, StorageError
from sidecar.github import token_import
from sidecar.github.token_import import import_token, tokens_in
from sidecar.litellm_hot_reload.exchange import is_token
from sidecar.settings import Settings
from tests.support import canary
from tests.support.files import PLACES, put_secret
from tests.support.hostile import json_bytes


def test_a_user_without_a_home_is_asked_to_log_in(bench, monkeypatch):
    """A container's uid has no home: the known places are then just not there."""

    def nobody(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.chdir(bench.shared)
    with pytest.raises(LoginNeeded, match="there is no access token in ~/") as caught:
        import_token(bench.settings(), None, threading.Event(), io.StringIO())
    assert "login" in caught.value.hint


@pytest.fixture
def found(bench, tmp_path_factory):
    """A file with a token that works."""
    path = tmp_path_factory.mktemp("found") / "apps.json"
    put_secret(path, bench.gh.new_access_token())
    yield canary.may_hold(path, "a", "an editor's file, as a test finds it")
    path.chmod(0o600)


def take(bench, path):
    import_token(bench.settings(), path, threading.Event(), io.StringIO())


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o644, 0o755])
def test_ones_own_file_is_believed(bench, found, mode):
    """A file of one's own that nobody else can write to is imported, by its name and by its directory's."""
    found.chmod(mode)
    take(bench, found)
    assert bench.token_file.read_text() == found.read_text()
    take(bench, found.parent)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o664])
def test_a_file_that_others_may_write_to_is_not_believed(bench, found, mode):
    """Whoever may write to it may have put his own token there; nothing is sent, and the cure is said."""
    found.chmod(mode)
    for given_path in (found, found.parent):
        with pytest.raises(LoginNeeded, match=r"is not believed: others may write to it; .*`chmod 600"):
            take(bench, given_path)
    assert bench.gh.requests == [] and not bench.token_file.exists()


def test_somebody_elses_file_is_not_believed(bench, found, monkeypatch):
    """A file of another user is not imported; one of root's is."""
    if os.getuid() == 0:
        os.chown(found, 12345, -1)
    else:
        monkeypatch.setattr(token_import.os, "getuid", lambda: 12345)
    with pytest.raises(LoginNeeded, match=r"is not believed: it belongs to uid \d+; run this as that user"):
        take(bench, found)
    assert bench.gh.requests == [] and not bench.token_file.exists()


@pytest.mark.parametrize("kind", ["a pipe", "a device without an end", "a socket"])
def test_what_is_no_file(bench, tmp_path, kind):
    """A named pipe, which would wait forever, a device, which never ends, or a socket is refused at once."""
    path = tmp_path / "x"
    PLACES[kind](path)
    with pytest.raises(StorageError, match="cannot be read: "):
        take(bench, path)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    json_bytes(
        "access_token", "github.com", "github.com:Iv1.b507a08c87ecfe98", "oauth_token", "token", "user", "\ud800"
    )
    | st.binary(max_size=80)
)
def test_any_file(data):
    """Whatever a file holds, what comes out of it are tokens that can be sent, or nothing."""
    tokens = tokens_in(data.decode("utf-8-sig", "replace"), Settings())
    assert all(is_token(token) for token in tokens)
