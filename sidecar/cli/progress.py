"""Says on a terminal that a command is still at work, and what it waits for."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, repeat

from sidecar.litellm_hot_reload.clock import elapsed

WAITS = (2.0, 8.0, 20.0)
"""Seconds before the first lines; then it is half a minute before each."""


@contextmanager
def shown(command: str) -> Iterator[None]:
    """While this lasts: a line on standard error, if that is a terminal, after two seconds and ever more seldom."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_tell, args=(command, done), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _tell(command: str, done: threading.Event) -> None:
    from sidecar.http_client import asked

    since = elapsed()
    for wait in chain(WAITS, repeat(30.0)):
        if done.wait(wait):
            return
        host = asked()
        what = f", waiting for {host}" if host else ""
        print(f"{command}: still at work after {elapsed() - since:.0f} s{what}", file=sys.stderr, flush=True)
