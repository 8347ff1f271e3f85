"""The thread that looks: it leaves the event loop alone, and ends with it."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from sidecar.litellm_hot_reload import lookout
from sidecar.litellm_hot_reload.inotify import Inotify
from tests.support.waiting import until


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "copilot-models"]


def briefly(notices: Inotify) -> None:
    notices.wait(0.001)


class Work:
    """``due`` says whether there is any; what was done, and in which threads."""

    def __init__(self) -> None:
        self.due, self.looks, self.turns = False, 0, 0
        self.looked_in: set[int] = set()
        self.turned_in: set[int] = set()
        self.error: Exception | None = None

    def look(self) -> bool:
        self.looks += 1
        self.looked_in.add(threading.get_ident())
        return self.due

    async def turn(self) -> None:
        self.turns += 1
        self.turned_in.add(threading.get_ident())
        self.due = False
        if self.error is not None:
            raise self.error


async def beside(work: Work, script: Any) -> Any:
    """Run ``script`` in a thread while it is looked; then end that."""
    task = asyncio.create_task(lookout.forever(work.look, work.turn, briefly))
    try:
        return await asyncio.to_thread(script)
    finally:
        task.cancel()


def test_the_loop_is_only_called_for_work():
    """Looks in a thread of their own, turns on the loop, and none of them before a look found something."""
    work = Work()

    def script() -> None:
        until(lambda: work.looks > 5)
        assert work.turns == 0
        for number in (1, 2):
            work.due = True
            until(lambda number=number: work.turns == number)

    asyncio.run(beside(work, script))
    assert work.turned_in == {threading.get_ident()} and not work.looked_in & work.turned_in
    until(lambda: not threads(), what="the end of the thread")


def test_an_error_does_not_end_it(caplog, monkeypatch):
    """It is logged, and the next turn comes."""
    monkeypatch.setattr(lookout.log, "propagate", True)
    work = Work()
    work.error = ValueError("unexpected")

    def script() -> None:
        for number in (1, 2):
            work.due = True
            until(lambda number=number: work.turns == number)

    asyncio.run(beside(work, script))
    assert "following failed unexpectedly" in caplog.text and "unexpected" in caplog.text


def test_waiting_that_fails_does_not_end_it(caplog, monkeypatch):
    """It is logged, and the next look comes; what the kernel was asked for is given back at the end."""
    monkeypatch.setattr(lookout.log, "propagate", True)
    monkeypatch.setattr(lookout, "AFTER_FAILURE", 0.001)
    work, given = Work(), []

    def failing(notices: Inotify) -> None:
        given.append(notices)
        raise MemoryError

    async def looked_twice() -> None:
        task = asyncio.create_task(lookout.forever(work.look, work.turn, failing))
        await asyncio.to_thread(until, lambda: work.looks > 1)
        task.cancel()

    asyncio.run(looked_twice())
    assert "MemoryError" in caplog.text
    until(lambda: not threads(), what="the end of the thread")
    with pytest.raises(OSError, match="Bad file descriptor"):
        given[0].close()


def test_a_worker_that_has_no_thread_to_spare_yet(monkeypatch, caplog):
    """It is said, and tried again."""
    monkeypatch.setattr(lookout.log, "propagate", True)
    monkeypatch.setattr(lookout, "AFTER_FAILURE", 0.001)
    start, refused = threading.Thread.start, []

    def scarce(thread: threading.Thread) -> None:
        if thread.name == "copilot-models" and len(refused) < 3:
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    work = Work()
    with caplog.at_level(logging.ERROR):
        asyncio.run(beside(work, lambda: until(lambda: work.looks)))
    assert len(refused) == 3 and "can't start new thread" in caplog.text


def test_a_loop_that_is_gone_ends_the_thread():
    """As at the end of a worker that nobody could tell."""
    work = Work()

    async def abandoned() -> None:
        # Nothing is cancelled: the loop ends as it does when LiteLLM's server is stopped by force.
        asyncio.get_running_loop().create_task(lookout.forever(work.look, work.turn, briefly))
        while not work.looks:
            await asyncio.sleep(0.001)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(abandoned())
    loop.close()
    work.due = True
    until(lambda: not threads(), what="the end of the thread")
    assert work.turns == 0
