"""The errors of the package, as one small tree.

Errors are raised where they happen and turned into a log line, a hint and an exit code in one place,
``sidecar.cli.main`` (one-shot commands), or counted and waited out in ``sidecar.service.loop`` (the service).
A message names the input that is wrong; the hint says what to do about it. Neither may hold a secret
or the body of an upstream answer.

    SidecarError           70  a defect of this program
    ├── UsageError          2  a flag, a variable or a file the user wrote is wrong
    ├── LoginNeeded         3  there is no access token, or GitHub refuses it for good
    │   └── AccessRefused   3  GitHub knows the account and says no: it has no Copilot
    ├── UpstreamError       4  GitHub did not answer, or not as it should; may work later
    │   ├── Unreachable     4  no HTTP answer at all
    │   └── BadAnswer       4  an answer that cannot be used (failed, empty, implausible)
    ├── StorageError        5  a file or directory cannot be read or written
    ├── LiteLLMError        6  LiteLLM does not answer, is not in step, or could not be told
    └── Stopped             0  SIGTERM or SIGINT ended a wait
"""

from __future__ import annotations


class SidecarError(Exception):
    """Base of all errors that the package raises on purpose.

    ``hint`` is one sentence that says what to do; ``exit_code`` is what a command ends with.
    """

    exit_code = 70

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(SidecarError):
    """A flag, an environment variable or a file that the user wrote is wrong."""

    exit_code = 2


class LoginNeeded(SidecarError):
    """There is no access token, or GitHub does not accept it: somebody has to log in."""

    exit_code = 3


class AccessRefused(LoginNeeded):
    """GitHub accepts the login but refuses Copilot to this account."""


class UpstreamError(SidecarError):
    """GitHub failed in a way that may pass. ``retry_after`` is GitHub's own wish, in seconds."""

    exit_code = 4

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class Unreachable(UpstreamError):
    """No HTTP answer: refused, reset, timed out, no DNS, no TLS."""


class BadAnswer(UpstreamError):
    """An HTTP answer that cannot be used: an error status, not JSON, empty or implausible."""


class StorageError(SidecarError):
    """A file or directory cannot be read or written."""

    exit_code = 5


class LiteLLMError(SidecarError):
    """LiteLLM does not answer, is not in step, or could not be told of a change."""

    exit_code = 6


class Stopped(SidecarError):
    """A signal ended a wait; not a failure."""

    exit_code = 0
