"""The errors of the package: each says what to do about it."""

from __future__ import annotations

import pytest

from sidecar import errors

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SidecarError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_says_what_to_do(kind):
    """An error that is raised without a hint of its own has that of its class."""
    assert len(kind("x").hint.split()) >= 3
