"""Secrets as the stand-in and the tests make them: unique, of GitHub's shape, and recognized wherever they turn up.

A body of 36 characters has a mark at its beginning, in its middle and one character before its end, each followed by
a letter for what kind of secret it is. So what shows the first six or the last eight characters of one shows a mark,
and the mark is the same after URL-encoding or in JSON.
"""

from __future__ import annotations

import secrets

# In two halves, so that no copy of this file is taken for a secret.
MARK = "c7" "nqy4"  # fmt: skip
KINDS = {
    "a": "access token",
    "c": "Copilot token",
    "d": "device code",
    "k": "key of LiteLLM",
    "o": "other secret",
}
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def marked(kind: str) -> str:
    """A new secret body; ``kind`` is a letter of KINDS."""
    assert kind in KINDS
    rest = "".join(secrets.choice(_LETTERS) for _ in range(15))
    return f"{MARK}{kind}{rest[:7]}{MARK}{kind}{rest[7:14]}{MARK}{kind}{rest[14]}"
