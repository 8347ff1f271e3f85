"""The search for tokens where none may be."""

from __future__ import annotations

from collections.abc import Iterable

from tests.fakes.github import GitHub


def used_secrets(gh: GitHub) -> set[str]:
    """Every access token, Copilot token and device code that anybody has sent to the stand-in."""
    secrets = set()
    for request in gh.requests:
        secrets.add(request.headers.get("authorization", "").partition(" ")[2])
        if isinstance(request.body, dict):
            secrets.add(str(request.body.get("device_code", "")))
    return {secret for secret in secrets if len(secret) >= 8}


def assert_no_secret(gh: GitHub, *texts: str, more: Iterable[str] = ()) -> None:
    """None of the secrets in use is in any of the texts."""
    for secret in used_secrets(gh) | set(more):
        for text in texts:
            assert secret not in text, "a secret got out"
