"""Secrets show no more of themselves than people need to tell them apart."""

from __future__ import annotations

import pytest

from sidecar.secret import Secret


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
