"""The Copilot token that all workers on a machine share: LiteLLM's api-key.json, replaced atomically, 0600.

``expires_at`` is in this machine's time, because LiteLLM (before 1.110) compares it with its clock. The other
fields are ours, and LiteLLM ignores them. Next to it is a lock file: whoever holds the lock renews the token, and
the file contains the last failure, so that one attempt serves all workers.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .bounded import read_bounded
from .exchange import api_base_in, copilot_token_in, seconds_in
from .text import printable

MAX_SIZE = 2**16


@dataclass(frozen=True)
class Record:
    """A Copilot token. Times are this machine's Unix time; ``login`` is the access token's fingerprint;
    ``refusals`` counts the consecutive renewals made because Copilot had refused the previous token.
    """

    token: str
    expires_at: float
    renew_at: float
    obtained_at: float
    login: str
    api_base: str | None = None
    refusals: int = 0


@dataclass(frozen=True)
class Failure:
    """Why the exchange for ``login`` failed, how many times in a row, and when it may be retried."""

    login: str
    until: float
    count: int
    problem: str


class Shared:
    """The two files. All methods may be called from any thread and any process.

    Both may lie where others can write, so nothing in them is believed without looking: a token must have been written
    by this user, a number must be one, and a pipe or a link in place of a file is an error.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lock = file.with_name(f".{file.name}.lock")
        # What a file of ours belongs to; a file system may show another owner than the one that wrote it.
        self._owners = {os.geteuid()}

    def read(self) -> Record | None:
        """The token; None if there is none, or if another program or user has written something else there."""
        try:
            content = json.loads(read_bounded(self.file, MAX_SIZE, self._owners.__contains__))
        except (OSError, ValueError, RecursionError):
            return None
        token = copilot_token_in(content)
        expires_at = seconds_in(content.get("expires_at")) if token else None
        if token is None or expires_at is None:
            return None
        login, renew_at = content.get("login"), seconds_in(content.get("renew_at"))
        return Record(
            token,
            expires_at,
            expires_at - 300 if renew_at is None else renew_at,
            seconds_in(content.get("obtained_at")) or 0.0,
            login if isinstance(login, str) else "",
            api_base_in(content),
            int(seconds_in(content.get("refusals")) or 0),
        )

    def write(self, record: Record) -> None:
        """Replace the token. Raises OSError."""
        content: dict[str, Any] = {
            "token": record.token,
            "expires_at": int(record.expires_at),
            "renew_at": record.renew_at,
            "obtained_at": record.obtained_at,
            "login": record.login,
            "refusals": record.refusals,
        }
        if record.api_base:
            content["endpoints"] = {"api": record.api_base}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.file.with_name(f".{self.file.name}.{secrets.token_hex(6)}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                self._owners.add(os.fstat(descriptor).st_uid)
                json.dump(content, file)
            os.replace(temporary, self.file)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    @contextlib.contextmanager
    def try_lock(self) -> Iterator[bool]:
        """Yields whether this worker may renew now. The lock is released if its process dies. Raises OSError."""
        self.lock.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(self._open_lock(), "wb", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def failure(self) -> Failure | None:
        """The last failure of any worker."""
        try:
            login, until, count, problem = json.loads(read_bounded(self.lock, MAX_SIZE))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        until, count = seconds_in(until), seconds_in(count)
        if until is None or count is None or not isinstance(login, str) or not isinstance(problem, str):
            return None
        return Failure(login, until, int(count), printable(problem, 300))

    def share_failure(self, failure: Failure) -> None:
        """Let the other workers know. If it cannot be written, they make their own attempt."""
        self._write_lock(json.dumps([failure.login, failure.until, failure.count, failure.problem]).encode())

    def forget_failure(self) -> None:
        """After a restart, try again immediately."""
        self._write_lock(b"")

    def _write_lock(self, data: bytes) -> None:
        with contextlib.suppress(OSError), os.fdopen(self._open_lock(), "wb", buffering=0) as file:
            file.truncate()
            file.write(data)

    def _open_lock(self) -> int:
        """A descriptor of the lock file, made if it is missing: never a pipe, nor what a link points to."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
        descriptor = os.open(self.lock, flags, 0o600)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, f"{self.lock.name} is not a regular file")
        return descriptor
