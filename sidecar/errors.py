"""The errors of the package, as one small tree.

Errors are raised where they happen and turned into a log line, a hint and an exit code in one place,
``sidecar.cli.main`` (one-shot commands), or counted and waited out in ``sidecar.service.loop`` (the service).
A message names the input that is wrong; the hint says what to do about it, and every error has one. Neither may
hold a secret or the body of an upstream answer.

    SidecarError           70  a defect of this program
    ├── UsageError          2  a flag, an environment variable or a file that the user wrote is wrong
    ├── LoginNeeded         3  there is no access token, or GitHub refuses it for good
    │   └── AccessRefused   3  GitHub knows the account and says no: it has no Copilot
    ├── UpstreamError       4  GitHub or the API server did not answer, or not as it should; may work later
    │   ├── Unreachable     4  no HTTP answer at all
    │   ├── BadAnswer       4  an answer that cannot be used (failed, empty, implausible)
    │   │   └── UntrustedHost  4  GitHub names a host for Copilot that must not be sent a token
    │   └── Conflict        4  others kept changing the object in the API server
    ├── StorageError        5  a file, a directory or an object in the API server cannot be read or written
    │   └── Forbidden       5  the pod's service account is not allowed to
    ├── LiteLLMError        6  LiteLLM does not answer, is not in sync, or could not be notified
    └── Stopped             0  SIGTERM or SIGINT ended a wait
"""

from __future__ import annotations


class SidecarError(Exception):
    """Base of all errors that the package raises on purpose.

    ``hint`` is a sentence or two that say what to do; a class has one for errors that bring none of their own.
    ``exit_code`` is what a command exits with.
    """

    exit_code = 70
    default_hint = "Please report this, with the log lines around it."

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint or self.default_hint


class UsageError(SidecarError):
    """A flag, an environment variable or a file that the user wrote is wrong."""

    exit_code = 2
    default_hint = "Correct it; docs/reference.md lists what each setting takes."


class LoginNeeded(SidecarError):
    """There is no access token, or GitHub does not accept it: somebody has to log in."""

    exit_code = 3
    default_hint = "Log in: `docker compose run --rm login`, or `python -m sidecar login` without containers."


class AccessRefused(LoginNeeded):
    """GitHub accepts the login but refuses Copilot to this account."""

    default_hint = "Check the account's subscription at https://github.com/settings/copilot."


class UpstreamError(SidecarError):
    """GitHub, or the API server, failed in a way that may pass. ``retry_after`` is its own wish, in seconds."""

    exit_code = 4
    default_hint = "It is tried again later; https://www.githubstatus.com tells whether GitHub has trouble."

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class Unreachable(UpstreamError):
    """No HTTP answer: refused, reset, timed out, no DNS, no TLS."""

    default_hint = "Check the network, DNS and HTTPS_PROXY of this machine, and https://www.githubstatus.com."


class BadAnswer(UpstreamError):
    """An HTTP answer that cannot be used: an error status, not JSON, empty or implausible."""


class UntrustedHost(BadAnswer):
    """GitHub names an address for Copilot that must not be sent a token."""

    default_hint = "If this is your plan's host, set GITHUB_COPILOT_API_BASE to it."


class Conflict(UpstreamError):
    """The object in the API server has been changed by somebody else since it was read."""

    default_hint = "Find out who else writes to the object; the next sync tries again."


class StorageError(SidecarError):
    """A file, a directory or an object in the API server cannot be read or written."""

    exit_code = 5
    default_hint = "Check that it exists, and that this user may read and write it."


class Forbidden(StorageError):
    """The service account is not allowed to; or the API server has only just started and does not know yet."""

    default_hint = "Give it `get` and `patch` on this one object, as the Role in k8s/cronjob does."


class LiteLLMError(SidecarError):
    """LiteLLM does not answer, is not in sync, or could not be notified of a change."""

    exit_code = 6
    default_hint = "See LiteLLM's log."


class Stopped(SidecarError):
    """A signal ended a wait; not a failure."""

    exit_code = 0
    default_hint = "Start it again when you want to."
