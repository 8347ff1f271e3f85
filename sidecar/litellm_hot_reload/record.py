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
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .bounded import Unchanged, read_bounded
from .exchange import api_base_in, copilot_token_in, seconds_in
from .text import printable

MAX_SIZE = 2**16
MAX_EXCHANGES = 100


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
    """Why the exchange for ``login`` failed, how many times in a row in this way, and when it may be retried."""

    login: str
    until: float
    kind: str
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
        self._record = Unchanged(file, self._read)

    def read(self) -> Record | None:
        """The token; None if there is none, or if another program or user has written something else there."""
        return self._record()

    def _read(self) -> Record | None:
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
        """Replace the token, under the lock; what a killed worker left half-written goes. Raises OSError."""
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
        for leftover in self.file.parent.glob(f".{self.file.name}.*.tmp"):
            with contextlib.suppress(OSError):
                leftover.unlink()
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
        found: Any = self._shared().get("failure")
        try:
            failure = Failure(**found)  # a TypeError unless it has just these fields
        except TypeError:
            return None
        texts = (failure.login, failure.kind, failure.problem)
        until, count = seconds_in(failure.until), seconds_in(failure.count)
        if until is None or count is None or not all(isinstance(text, str) for text in texts):
            return None
        return replace(failure, until=until, count=int(count), problem=printable(failure.problem, 300))

    def exchanges(self) -> list[float]:
        """When the workers have asked GitHub lately, in Unix time."""
        found = self._shared().get("exchanges")
        times = [seconds_in(value) for value in found[:MAX_EXCHANGES]] if isinstance(found, list) else []
        return sorted(value for value in times if value is not None)

    def share(self, failure: Failure | None, exchanges: Iterable[float]) -> bool:
        """Let the other workers know; False if it could not be written."""
        content = json.dumps({"failure": failure and asdict(failure), "exchanges": list(exchanges)}).encode()
        try:
            with os.fdopen(self._open_lock(), "wb", buffering=0) as file:
                # At once and over all that was there, so that a kill in between leaves nothing half-written.
                size = min(os.fstat(file.fileno()).st_size, MAX_SIZE)
                written = file.write(content.ljust(size))
                file.truncate(len(content))
        except OSError:
            return False
        return written >= len(content)

    def forget_failure(self) -> None:
        """After a restart, try again immediately; of whose login it was is still known."""
        failure = self.failure()
        self.share(failure and replace(failure, until=0.0, count=0), self.exchanges())

    def _shared(self) -> dict[str, Any]:
        try:
            content = json.loads(read_bounded(self.lock, MAX_SIZE))
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    def _open_lock(self) -> int:
        """A descriptor of the lock file, made if it is missing: never a pipe, nor what a link points to."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
        descriptor = os.open(self.lock, flags, 0o600)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, f"{self.lock.name} is not a regular file")
        return descriptor
