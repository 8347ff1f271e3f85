"""Tells a LiteLLM that does not run the hook about a change: a command, an address, SIGHUP to a gunicorn master.

A change that nobody could be told about is kept in a small file, and told with the next sync, until it was
taken. What is told holds names of models and no secret; the address may hold one (a webhook's path) and is
never shown.

A SIGHUP ends a program that has no handler for it, and a plain uvicorn LiteLLM has none. So it is sent only to
a process that names gunicorn in its command line *and*, by the kernel's account, catches the signals that a
gunicorn master catches. A gunicorn worker shares the name and not the handlers. A pidfd keeps the signal from
a process that got the number later.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sidecar.errors import BadAnswer, LiteLLMError, StorageError, UpstreamError
from sidecar.files import read_file, replace_file
from sidecar.http_client import retrying, send
from sidecar.settings import Settings
from sidecar.targets.base import Synced
from sidecar.user_command import run_user_command

log = logging.getLogger(__name__)

_MASTER = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR1, signal.SIGUSR2)
_WORDS = ("added", "removed", "changed")

Change = Mapping[str, Any]
"""``event``, ``file``, ``models`` (a number), and names in ``added``, ``removed``, ``changed``."""


def notify_change(settings: Settings, result: Synced, stop: threading.Event) -> None:
    """Tell whoever is set about the change of a sync, and about earlier ones that are still untold.

    Raises LiteLLMError when somebody could not be told; the sync stands nevertheless. Raises Stopped.
    """
    change: Change | None = None
    if result.change is not None:
        names = {word: list(getattr(result.change, word)) for word in _WORDS}
        change = {"event": "models_changed", "file": result.target, "models": result.models, **names}
    _tell(settings, result.target, change, stop)


def notify_restored(settings: Settings, config: Path, backup: Path, stop: threading.Event) -> None:
    """Tell whoever is set that a config was restored. Raises as ``tell``."""
    _tell(settings, str(config), {"event": "config_restored", "file": str(config), "backup": str(backup)}, stop)


def _tell(settings: Settings, target: str, change: Change | None, stop: threading.Event) -> None:
    ways = _ways(settings, stop)
    if not ways:
        return
    place = settings.config_file or settings.models_file
    pending = place.with_name(f".{place.stem}.untold.json")
    change = _joined(_recall(pending), change)
    if change is None:
        return
    data = json.dumps(change).encode("ascii") + b"\n"
    with suppress(StorageError):  # it is only lost if telling fails too
        replace_file(pending, data, mode=0o644)
    problems = [problem for problem in (way(data) for way in ways) if problem]
    if problems:
        raise LiteLLMError(
            f"{'; '.join(problems)}; the change of {target} stands",
            hint="Correct the on-change settings, or LiteLLM; the next sync tells it again.",
        )
    with suppress(OSError):
        pending.unlink(missing_ok=True)


def _ways(settings: Settings, stop: threading.Event) -> list[Callable[[bytes], str]]:
    ways: list[Callable[[bytes], str]] = []
    words, url, pidfile = settings.on_change, settings.on_change_url, settings.on_change_gunicorn
    if words:
        ways.append(lambda data: _run(words, data, stop))
    if url:
        ways.append(lambda data: _post(url, data, stop))
    if pidfile:
        ways.append(lambda _: send_sighup(pidfile))
    return ways


def _run(words: str, data: bytes, stop: threading.Event) -> str:
    problem = run_user_command(words, data, stop)
    return problem and f"the on-change command {problem}"


def _post(url: str, data: bytes, stop: threading.Event) -> str:
    """Post to ``url``, trying again what may pass. The body of an answer is of no interest."""

    def once() -> int:
        answer = send("POST", url, headers={"user-agent": "copilot-model-sync"}, body=json.loads(data))
        if answer.status in {408, 425, 429} or answer.status >= 500:
            raise UpstreamError(f"HTTP {answer.status}", retry_after=answer.retry_after())
        return answer.status

    try:
        status = retrying(once, stop)
    except BadAnswer:
        return "the on-change address answers with a redirect, which is not followed"
    except UpstreamError as error:
        return f"the on-change address does not answer as it should: {error}"
    return "" if status < 300 else f"the on-change address answers with HTTP {status}"


def send_sighup(pidfile: Path) -> str:
    """Send SIGHUP to the gunicorn master whose number is in ``pidfile``; "" when it was sent, else why not."""
    try:
        pid = int(pidfile.read_text("ascii").strip())
        descriptor = os.pidfd_open(pid)
    except (OSError, ValueError, OverflowError):
        return f"no process is named in {pidfile}; no SIGHUP was sent"
    try:
        if not is_gunicorn_master(pid):
            return f"process {pid} ({pidfile}) is no gunicorn master; no SIGHUP was sent: it would end it"
        signal.pidfd_send_signal(descriptor, signal.SIGHUP)
    except OSError as error:
        return f"process {pid} ({pidfile}) cannot be sent a SIGHUP: {error.strerror}"
    finally:
        os.close(descriptor)
    return ""


def is_gunicorn_master(pid: int) -> bool:
    """Whether process ``pid`` is called gunicorn and catches a gunicorn master's signals. Raises OSError."""
    about = Path("/proc", str(pid))
    named = b"gunicorn" in (about / "cmdline").read_bytes()
    caught = next(_field(about / "status", "SigCgt"), "0")
    return named and all(int(caught, 16) >> (number - 1) & 1 for number in _MASTER)


def _field(path: Path, name: str) -> Iterator[str]:
    for line in path.read_text("utf-8", "replace").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            yield value.strip()


def _recall(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(read_file(path) or b"null")
    except (StorageError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _joined(old: Change | None, new: Change | None) -> dict[str, Any] | None:
    """The two changes as one: a model that came and went is in neither list, the last word counts."""
    if old is None or new is None:
        change = new if new is not None else old
        return dict(change) if change is not None else None
    state: dict[str, str] = {}
    for change in (old, new):
        for word in _WORDS:
            for name in change.get(word) or ():
                before = state.pop(name, "")
                if (before, word) == ("added", "removed"):
                    continue
                state[name] = {("added", "changed"): "added", ("removed", "added"): "changed"}.get((before, word), word)
    return {**new, **{word: [name for name, what in state.items() if what == word] for word in _WORDS}}
