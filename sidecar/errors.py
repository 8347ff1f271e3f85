"""The package's exceptions, as one small tree.

Errors are raised where they happen and turned into a log line, a hint and an exit code in one place,
``sidecar.cli.main`` (one-shot commands), or counted and retried in ``sidecar.service.loop`` (the service).
A message names what is wrong; the hint, which every error has, says how to fix it. Neither may contain a secret or
the body of an upstream response.

    SidecarError           70  a bug in this program
    ├── UsageError          2  a flag, an environment variable or a user's file is invalid
    ├── LoginNeeded         3  there is no access token, or GitHub rejects it
    │   ├── LoginRefused    3  GitHub rejects the access token
    │   └── AccessRefused   3  GitHub accepts the login, but the account has no Copilot
    ├── UpstreamError       4  GitHub or the API server did not answer, or not properly; may work later
    │   ├── Unreachable     4  no HTTP response at all
    │   │   └── NoConnection   4  there was nothing to send a request to
    │   ├── RateLimited     4  GitHub wants fewer requests
    │   ├── BadAnswer       4  an unusable response (failed, empty, implausible)
    │   │   ├── TokenRejected  4  Copilot rejects the Copilot token
    │   │   ├── HeaderRejected  4  Copilot rejects an editor header
    │   │   └── UntrustedHost  4  GitHub names a Copilot host that must not be sent a token
    │   └── Conflict        4  another client keeps changing the object in the API server
    ├── StorageError        5  a file, a directory or an object in the API server cannot be read or written
    │   └── Forbidden       5  the pod's service account lacks the permission
    ├── LiteLLMError        6  LiteLLM does not answer, is not in sync, or could not be notified
    └── Stopped             0  SIGTERM or SIGINT interrupted a wait
"""

from __future__ import annotations

import math


class SidecarError(Exception):
    """Base class of all errors that the package raises deliberately.

    ``hint`` is a sentence or two on what to do; the class provides a default. ``exit_code`` is what a command
    exits with.
    """

    exit_code = 70
    default_hint = "Please report this, with the log lines around it."

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint or self.default_hint


class UsageError(SidecarError):
    """A flag, an environment variable or a user's file is invalid."""

    exit_code = 2
    default_hint = "Correct it; docs/reference.md lists the valid values of each setting."


class LoginNeeded(SidecarError):
    """There is no access token, or GitHub does not accept it: someone has to log in."""

    exit_code = 3
    default_hint = "Log in: `docker compose run --rm login`, or `python -m sidecar login` without containers."


class LoginRefused(LoginNeeded):
    """GitHub rejects the access token: it was revoked, or is of a kind that Copilot does not take."""


class AccessRefused(LoginNeeded):
    """GitHub accepts the login but denies this account access to Copilot."""

    default_hint = "Check the account's subscription at https://github.com/settings/copilot."


class UpstreamError(SidecarError):
    """GitHub or the API server failed, possibly temporarily. ``retry_after`` is the delay it asked for, in seconds."""

    exit_code = 4
    default_hint = (
        "The service retries by itself; run a command again later. https://www.githubstatus.com shows whether GitHub "
        "has an outage."
    )

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class Unreachable(UpstreamError):
    """No HTTP response: reset, timed out, no TLS."""

    default_hint = "Check the network, DNS and HTTPS_PROXY of this machine, and https://www.githubstatus.com."


class NoConnection(Unreachable):
    """No connection, so no request was sent: refused, no DNS, no route, nobody there."""


class RateLimited(UpstreamError):
    """GitHub wants fewer requests."""

    default_hint = (
        "The service waits for as long as GitHub asks; run a command again after that. A longer "
        "COPILOT_MODEL_SYNC_INTERVAL sends fewer requests."
    )


class BadAnswer(UpstreamError):
    """An unusable HTTP response: an error status, not JSON, empty or implausible."""


class TokenRejected(BadAnswer):
    """Copilot rejects (401) the Copilot token that the exchange has returned."""


class HeaderRejected(BadAnswer):
    """Copilot rejects (400) one of the headers that say which editor this is. It is not retried at once."""

    default_hint = "Set the variable of that header to what a current editor sends."


class UntrustedHost(BadAnswer):
    """GitHub names a Copilot address that must not be sent a token."""

    default_hint = "If this is your plan's host, set GITHUB_COPILOT_API_BASE to it."


class Conflict(UpstreamError):
    """Another client has changed the object in the API server since it was read."""

    default_hint = "Find out what else writes to the object; the next sync retries."


class StorageError(SidecarError):
    """A file, a directory or an object in the API server cannot be read or written."""

    exit_code = 5
    default_hint = "Check that it exists and that this user may read and write it."


class Forbidden(StorageError):
    """The service account lacks the permission, or the API server has only just started and not read it yet."""

    default_hint = "Grant it `get` and `patch` on this one object, as the Role in k8s/cronjob does."


class LiteLLMError(SidecarError):
    """LiteLLM does not answer, is not in sync, or could not be notified of a change."""

    exit_code = 6
    default_hint = "See LiteLLM's log."


class Stopped(SidecarError):
    """A signal interrupted a wait; not a failure."""

    exit_code = 0
    default_hint = "Start it again when you want to."


def for_once(error: SidecarError) -> str:
    """What a command that does not try again says of ``error``: also in how many seconds GitHub wants to be asked."""
    wait = error.retry_after if isinstance(error, UpstreamError) else None
    return f"{error}; again in {math.ceil(wait)} s" if wait else str(error)
