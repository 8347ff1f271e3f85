"""Lets a thread look for what is to be done, so that the event loop of an idle LiteLLM is left alone."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any

log = logging.getLogger("copilot_hook")

Turn = Callable[[], Coroutine[Any, Any, None]]


async def forever(look: Callable[[], bool], turn: Turn, pause: Callable[[], float]) -> None:
    """Call ``look`` in a thread, await ``turn`` on this loop if it says so, and wait ``pause()`` seconds; forever.

    Never at the same time. ``look`` must not raise; what ``turn`` raises is logged.
    """
    loop, ended = asyncio.get_running_loop(), threading.Event()
    try:
        while True:
            watching = threading.Thread(
                target=_watch, args=(loop, ended, look, turn, pause), name="copilot-models", daemon=True
            )
            try:
                watching.start()
                break
            except RuntimeError:  # no thread to be had
                log.exception("following failed unexpectedly; continuing")
                await asyncio.sleep(pause())
        await loop.create_future()
    finally:
        ended.set()


def _watch(
    loop: asyncio.AbstractEventLoop,
    ended: threading.Event,
    look: Callable[[], bool],
    turn: Turn,
    pause: Callable[[], float],
) -> None:
    while not ended.is_set():
        if look():
            logged = _logged(turn)
            try:
                asyncio.run_coroutine_threadsafe(logged, loop).result()
            except (RuntimeError, CancelledError):  # the worker is shutting down
                logged.close()
                return
        time.sleep(pause())  # waiting for the event would take twice as much CPU


async def _logged(turn: Turn) -> None:
    try:
        await turn()
    except Exception:
        log.exception("following failed unexpectedly; continuing")
