"""Lets a thread look for what is to be done, so that the event loop of an idle LiteLLM is left alone."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import closing
from typing import Any

from .inotify import Inotify

log = logging.getLogger("copilot_hook")

Turn = Callable[[], Coroutine[Any, Any, None]]
Wait = Callable[[Inotify], None]
AFTER_FAILURE = 1.0
"""Seconds until the next attempt where there was no thread to be had, or waiting was not possible."""


async def forever(look: Callable[[], bool], turn: Turn, wait: Wait) -> None:
    """Call ``look`` in a thread, await ``turn`` on this loop if it says so, and ``wait``; forever.

    Never at the same time. ``look`` must not raise; what ``turn`` and ``wait``, which blocks, raise is logged.
    """
    loop, ended = asyncio.get_running_loop(), threading.Event()
    try:
        while True:
            watching = threading.Thread(
                target=_watch, args=(loop, ended, look, turn, wait), name="copilot-models", daemon=True
            )
            try:
                watching.start()
                break
            except RuntimeError:  # no thread to be had
                log.exception("following failed unexpectedly; continuing")
                await asyncio.sleep(AFTER_FAILURE)
        await loop.create_future()
    finally:
        ended.set()


def _watch(
    loop: asyncio.AbstractEventLoop, ended: threading.Event, look: Callable[[], bool], turn: Turn, wait: Wait
) -> None:
    with closing(Inotify()) as notices:
        while not ended.is_set():
            if look():
                logged = _logged(turn)
                try:
                    asyncio.run_coroutine_threadsafe(logged, loop).result()
                except (RuntimeError, CancelledError):  # the worker is shutting down
                    logged.close()
                    return
            try:
                wait(notices)
            except Exception:
                log.exception("following failed unexpectedly; continuing")
                time.sleep(AFTER_FAILURE)


async def _logged(turn: Turn) -> None:
    try:
        await turn()
    except Exception:
        log.exception("following failed unexpectedly; continuing")
