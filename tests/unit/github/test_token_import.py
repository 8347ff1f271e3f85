"""Importing a token, where the scripts' tests do not reach."""

from __future__ import annotations

import io
import pwd
import threading

import pytest

from sidecar.errors import LoginNeeded
from sidecar.github.token_import import import_token


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
