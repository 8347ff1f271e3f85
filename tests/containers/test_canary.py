"""The search for secrets finds what containers leak."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import planted

pytestmark = pytest.mark.containers


def test_every_leak_of_a_container_is_found(image: str, tmp_path: Path) -> None:
    """In logs, variables, arguments, volumes and their modes, and on a tmpfs; and in what a test runs."""
    said = planted.outcomes("tests/containers/planted.py", tmp_path)
    assert len(said) == 2 and "the output of" in said["test_leak_of_a_command"]
    for place in (
        "the log of login: Copilot token",
        "the configuration of login: Copilot token",
        "the variable COPILOT_EDITOR_VERSION of the container copilot-sync",
        "the variable COPILOT_EDITOR_VERSION of a process of copilot-sync",
        "the processes of copilot-sync: key",
        "shared/base64.txt of the volumes: secret as base64",
        "github_auth/access-token of the volumes holds a secret, and its mode is 0644",
        "tmp/url.txt of copilot-sync: access token",
    ):
        assert place in said["test_leak_of_every_kind"], place
