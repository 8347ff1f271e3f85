"""The messages that docs/troubleshooting.md quotes are real ones."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.support.paths import ROOT

FOREIGN = {
    "is not accessible via the /chat/completions endpoint": "Copilot's",
    "LiteLLM proxy refused to start: no master key is set": "LiteLLM's",
    "Authentication Error": "LiteLLM's",
    "No deployments available": "LiteLLM's",
    "No module named 'litellm_hot_reload'": "Python's",
    "Child process […] died": "uvicorn's",
    "Bind for 127.0.0.1:8080 failed: port is already allocated": "Docker's",
    "copilot-sync-1 is unhealthy": "Compose's",
    "login-1 exited (0)": "Compose's",
    "login-1 has no healthcheck configured": "Compose's",
}
"""Messages of other programs, and whose."""
SEEN = ("faults.md", "wrong-inputs.md")
"""Pages of what was really said, which other tests hold."""


def quoted() -> list[str]:
    """What stands between backquotes in the first column, but commands and names."""
    rows = re.findall(
        r"^\| (.*?) \| .* \| .* \|$", (ROOT / "docs" / "troubleshooting.md").read_text("utf-8"), re.MULTILINE
    )
    texts = dict.fromkeys(text for row in rows for text in re.findall(r"`([^`]+)`", row))
    return [text for text in texts if " " in text and not text.startswith("docker ") and text not in FOREIGN]


@cache
def known() -> str:
    """Every text in the code, and every message that was seen."""
    texts = [(ROOT / "docs" / page).read_text("utf-8") for page in SEEN]
    for path in (*ROOT.glob("sidecar/**/*.py"), *ROOT.glob("scripts/*.py")):
        nodes = ast.walk(ast.parse(path.read_text("utf-8")))
        texts += [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    texts += [path.read_text("utf-8") for path in ROOT.glob("scripts/*.sh")]
    return "\n".join(texts)


@pytest.mark.parametrize("text", quoted())
def test_a_quoted_message_is_said(text):
    """Each part, between ellipses and colons, is in the code, or was seen."""
    parts = [part.strip(" :,;") for part in re.split(r"…|: ", text)]
    assert [part for part in parts if part and part not in known()] == []


def test_there_are_messages():
    """The table is found and read, and so is what other programs say."""
    assert len(quoted()) > 40
    page = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    assert [text for text in FOREIGN if text not in page] == []
