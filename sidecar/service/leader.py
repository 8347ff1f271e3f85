"""Of several services on one volume one leads, and the others wait for its end: alive, ready, and saying so.

Whoever holds the lock next to the models file or the config leads. The kernel releases it when that process ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sidecar.errors import StorageError
from sidecar.litellm_hot_reload.bounded import read_bounded
from sidecar.locks import Lock, lock_file, try_lock
from sidecar.settings import Settings
from sidecar.status.state import Status
from sidecar.text import printable

log = logging.getLogger(__name__)

KIND = "leader"
POLL_INTERVAL = 1.0
BEAT = 30.0
"""Seconds that a waiting service may take longer than that."""
_MAX_NAME = 300


@contextlib.contextmanager
def leading(settings: Settings, stop: threading.Event, status: Status) -> Iterator[bool]:
    """Wait until this service leads, and hold that; False if ``stop`` was set before.

    Raises StorageError when the directory of the models file is unusable. For that of a config it waits, as syncs do.
    """
    target, said = settings.config_file or settings.models_file, ""
    while True:
        status.beat(POLL_INTERVAL + BEAT)
        try:
            if (lock := try_lock(target, KIND)) is not None:
                break
            now, hint = "another service leads here", "Stop one of the two; one is enough."
        except StorageError as error:
            if settings.config_file is None:
                raise
            now, hint = str(error), error.hint
        status.note(ready=os.path.exists(target), leads=False)
        if now != said:
            extra = {"event": "leader.waiting", "hint": hint, "leader": _leader(target)}
            log.warning("waiting to lead: %s", printable(now, 600), extra=extra)
            said = now
        if stop.wait(POLL_INTERVAL):
            yield False
            return
    if said:
        log.info("this service leads now", extra={"event": "leader.leads"})
    try:
        _sign(lock)
        yield True
    finally:
        lock.release()


def _leader(target: Path) -> str:
    """Who leads, as far as the lock file tells."""
    try:
        return printable(read_bounded(lock_file(target, KIND), _MAX_NAME).decode("utf-8", "replace").strip(), _MAX_NAME)
    except OSError:
        return "not known"


def _sign(lock: Lock) -> None:
    """Say in the lock file who leads. It is only for people, so a full disk does no harm."""
    if lock.descriptor is not None:
        name = f"process {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n"
        with contextlib.suppress(OSError):
            os.ftruncate(lock.descriptor, 0)
            os.write(lock.descriptor, name.encode())
