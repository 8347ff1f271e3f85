"""Starts the hook in one LiteLLM worker, and never keeps LiteLLM from starting."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .adapter import proxy as proxy_adapter
from .adapter.provider import Guard
from .billing import Spend
from .config_file import ConfigFile
from .follower import Follower
from .keeper import Keeper
from .models_file import ModelsFile
from .report import VARIABLE, Reporter
from .text import printable
from .watched import is_mounted_alone

log = logging.getLogger("copilot_hook")

DEFAULT_MODELS_FILE = "/shared/copilot_models.yaml"
FIRST_TOKEN_WAIT = 5.0
END_COOLDOWNS_AFTER = (0.05, 0.75)
"""Seconds after a refused request; the second time for a LiteLLM too busy to have started the cooldown by the first."""
MAX_LINE = 2000
"""Characters of a line of the log."""


async def start(environ: Mapping[str, str] = os.environ) -> None:
    """Start following in this worker. Raises whatever unfamiliar LiteLLM modules raise."""
    _configure_log()
    from litellm.proxy import proxy_server

    keeper = Keeper(environ)
    guard = Guard(keeper)
    guard.install()
    knowledge = proxy_adapter.Knowledge(guard)
    follower = Follower(proxy_server, guard, knowledge, *_sources(environ, proxy_server))
    keeper.shared.forget_failure()
    threading.Thread(target=keeper.run, name="copilot-token", daemon=True).start()
    # LiteLLM loads the config next, so what it contains now is what LiteLLM will have.
    await asyncio.to_thread(follower.refresh)
    await asyncio.to_thread(keeper.first_turn_done.wait, FIRST_TOKEN_WAIT)
    loading = contextlib.ExitStack()
    loading.enter_context(guard.registering())
    loop = asyncio.get_running_loop()
    keeper.on_renewed = lambda: _soon(loop, follower)
    # The loop only keeps weak references to its tasks; the keeper's thread keeps the follower alive.
    follower.task = loop.create_task(_follow(follower, loading, environ.get(VARIABLE, "").strip()))
    for source in follower.sources:
        if is_mounted_alone(source.path):
            log.warning(
                "%s is mounted as a single file, so changes are never seen: mount its directory, without subPath",
                source.path,
            )
        log.info("following %s", source.path)


def _sources(environ: Mapping[str, str], proxy: Any) -> tuple[ModelsFile | None, ConfigFile | None]:
    """What to follow: the models file, LiteLLM's own config, or both."""
    config = environ.get("COPILOT_FOLLOW_CONFIG") or environ.get("CONFIG_FILE")
    models = environ.get("COPILOT_MODELS_FILE") or (None if config else DEFAULT_MODELS_FILE)
    return (
        ModelsFile(Path(models)) if models else None,
        ConfigFile(Path(config), lambda raw: proxy_adapter.resolved(proxy, raw)) if config else None,
    )


async def _follow(follower: Follower, loading: contextlib.ExitStack, sync_url: str) -> None:
    """Let LiteLLM load its configuration and register everything in it, then follow, and report if there is a URL."""
    proxy, keeper, knowledge = follower.proxy, follower.guard.keeper, follower.knowledge
    with loading:
        while proxy.llm_router is None:
            await asyncio.sleep(0.05)
    loop = asyncio.get_running_loop()

    def refused(key: str | None, requested_at: float) -> None:
        follower.note_cooldown(key)
        keeper.refused(requested_at)
        # LiteLLM starts the cooldown after calling us; an older token is no reason for one.
        for seconds in END_COOLDOWNS_AFTER:
            loop.call_later(seconds, follower.end_cooldowns)

    spend = Spend()
    proxy_adapter.listen(knowledge, refused, spend.add if sync_url else None)
    proxy_adapter.show(proxy, lambda: {**knowledge.as_dict(), **follower.state()}, knowledge)
    follower.router()
    log.info("%s", knowledge.line())
    # Exclude what LiteLLM has loaded from garbage collection: scanning all of it takes half a second.
    gc.freeze()
    _give_back_memory()
    if sync_url:
        reporter = Reporter(sync_url, lambda: _told(follower, spend))
        follower.on_change = reporter.changed
        reporter.start()
    await follower.run()


def _told(follower: Follower, spend: Spend) -> dict[str, Any]:
    """What this worker reports (``reported``), but for its name."""
    keeper, knowledge, standing = follower.guard.keeper, follower.knowledge, follower.standing
    problems = [source.problem for source in follower.sources]
    if keeper.current() is None:
        problems.append(keeper.problem)
    return {
        "litellm": knowledge.version,
        "follows": knowledge.follows,
        "guarded": knowledge.guard.guarded,
        "unguarded": knowledge.guard.unguarded,
        "unknown": knowledge.guard.unknown,
        "digest": standing.digest,
        "entries": standing.entries,
        "refused": standing.refused,
        "refusals": len(standing.refused),
        "token_end": keeper.ends_at(),
        "problem": next(filter(None, problems), ""),
        "spend": spend.sums(),
    }


def _give_back_memory() -> None:
    """Return to the system what has been freed: glibc keeps it in an arena for each thread, as of the certificates that
    the exchange has loaded, and of the models file. Takes some milliseconds.
    """
    with contextlib.suppress(ImportError, AttributeError, OSError):  # no ctypes, or another C library
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)


def _soon(loop: asyncio.AbstractEventLoop, follower: Follower) -> None:
    with contextlib.suppress(RuntimeError):  # the worker is shutting down
        loop.call_soon_threadsafe(follower.end_cooldowns)


class OneLine(logging.Formatter):
    """Whatever a message contains, it is one line: it cannot look like another one, nor move the cursor. Tracebacks
    have several, all of them indented.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # logging's name
        return printable(super().formatMessage(record), MAX_LINE)

    def formatException(self, error: Any) -> str:  # logging's name
        return "\n".join("    " + printable(line, MAX_LINE) for line in super().formatException(error).splitlines())


def _configure_log() -> None:
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(OneLine("%(asctime)s copilot-hook[%(process)d] %(levelname)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
