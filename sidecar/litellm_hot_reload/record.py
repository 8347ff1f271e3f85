"""The Copilot token that all workers on a machine share: LiteLLM's api-key.json, replaced atomically, 0600.

``expires_at`` is in this machine's time, because LiteLLM (before 1.110) compares it with its clock. The other
fields are ours, and LiteLLM ignores them. Next to it is a lock file: whoever holds the lock renews the token, and
the file contains the last failure, so that one attempt serves all workers.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
    """The two files. All methods may be called from any thread and any process."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lock = file.with_name(f".{file.name}.lock")

    def read(self) -> Record | None:
        """The token; None if there is none, or if another program has written something else there."""
        try:
            content = json.loads(self.file.read_bytes())
            token, expires_at = content["token"], float(content["expires_at"])
            endpoints = content.get("endpoints") or {}
            if not isinstance(token, str) or not token:
                return None
            return Record(
                token,
                expires_at,
                float(content.get("renew_at", expires_at - 300)),
                float(content.get("obtained_at", 0)),
                str(content.get("login", "")),
                endpoints.get("api"),
                int(content.get("refusals", 0)),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

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
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump(content, file)
            os.replace(temporary, self.file)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    @contextlib.contextmanager
    def try_lock(self) -> Iterator[bool]:
        """Yields whether this worker may renew now. The lock is released if its process dies."""
        self.lock.parent.mkdir(parents=True, exist_ok=True)
        with self.lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def failure(self) -> Failure | None:
        """The last failure of any worker."""
        try:
            login, until, count, problem = json.loads(self.lock.read_bytes())
            return Failure(str(login), float(until), int(count), str(problem))
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def share_failure(self, failure: Failure) -> None:
        """Let the other workers know. If it cannot be written, they make their own attempt."""
        with contextlib.suppress(OSError):
            self.lock.write_text(json.dumps([failure.login, failure.until, failure.count, failure.problem]))

    def forget_failure(self) -> None:
        """After a restart, try again immediately."""
        with contextlib.suppress(OSError):
            self.lock.write_bytes(b"")
