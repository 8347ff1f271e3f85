"""Secrets show no more of themselves than people need to tell them apart."""

from __future__ import annotations

import pytest

from sidecar.secret import Secret, without_secrets, without_tokens


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        ("ghu_0123456789abcdefWXYZ", "ghu_…WXYZ"),
        ("gho_0123456789abcdefWXYZ", "gho_…WXYZ"),
        ("github_pat_0123456789abWXYZ", "github_pat_…WXYZ"),
        ("0123456789_abcdefghijklm", "…jklm"),
        ("ghu_short", "…"),
        ("", "…"),
    ],
)
def test_masked(token, shown):
    """No more of a token is shown than its kind and four characters, and of a short one nothing."""
    assert Secret(token).masked() == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://host:1/path", "https://host:1/path"),
        ("https://user:canary@host/x", "https://***@host/x"),
        ("https://canary@host/x", "https://***@host/x"),
        ("https://u:can@ary@host", "https://***@host"),
        ("https://u:canary#?/@host", "https://***@host"),
        ("https://u:can ary\n@host", "https://***@host"),
        ("https//u:canary@host", "***@host"),
        ("u:canary@host", "***@host"),
        ("https://host/x?key=canary", "https://host/x?***"),
        ("https://host/x#canary", "https://host/x?***"),
        ("unrecognized arguments: --url http://u:canary@host", "unrecognized arguments: --url http://***@host"),
        ("what?", "what?"),
        ("ghu_canary0123456789", "ghu_***"),
        ("x sk-canary0123456789 y", "x sk-*** y"),
        ("tid=canary;exp=1:canary; y", "tid=*** y"),
        ("", ""),
    ],
)
def test_without_secrets(text, shown):
    """Of an address no password, no query and no fragment is shown, and of a token nothing but its kind."""
    assert without_secrets(text) == shown and "canary" not in shown


def test_without_tokens():
    """What is masked already, and what only looks a little like a token, stays as it is."""
    text = "ghu_…WXYZ from x@y?z, a github_pat_… token, ask-me-anything-else, task-force-one"
    assert without_tokens(text) == text
