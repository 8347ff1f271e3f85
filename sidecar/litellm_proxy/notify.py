"""Notifies a LiteLLM without the hook of a change: by command, by webhook, or by SIGHUP to a gunicorn master.

A notification that fails is kept in a small file and sent again with the next sync, until it succeeds. It
contains model names and no secrets; the webhook's address may contain one (in its path) and is never shown.

SIGHUP terminates a process without a handler for it, such as a plain uvicorn LiteLLM. So it is only sent to a
process that has gunicorn in its command line *and*, according to the kernel, catches the signals that a
gunicorn master catches; a worker shares the name but not the handlers. A pidfd protects a process that has
since reused the PID.
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

from sidecar.errors import LiteLLMError, SidecarError, StorageError, UpstreamError
from sidecar.files import read_file, replace_file
from sidecar.http_client import retrying, send
from sidecar.litellm_hot_reload.bounded import regular_file
from sidecar.models.changes import Change
from sidecar.secret import Secret
from sidecar.settings import Settings
from sidecar.targets.base import Synced
from sidecar.targets.record import shared_name

log = logging.getLogger(__name__)

_MASTER_SIGNALS = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR1, signal.SIGUSR2)
_KINDS = ("added", "removed", "changed")
_CHANGED, _NOTICE, _CREDIT = "models_changed", "retirement_near", "credit_used"

MAX_EVENTS = 100
"""So many of the latest events are in a notification; the history has the others."""

Notification = Mapping[str, Any]
"""``event``, ``file``, ``models`` (a count), names in ``added``, ``removed``, ``changed``, and ``events``."""


def notifies(settings: Settings) -> bool:
    """Whether any notification is configured."""
    return bool(settings.on_change or settings.on_change_url or settings.on_change_gunicorn)


def notify_change(settings: Settings, result: Synced, stop: threading.Event) -> None:
    """Send the configured notifications of a sync's change or of a retirement that comes near, and of earlier ones that
    are still pending.

    Raises LiteLLMError when a notification fails; the change is kept nevertheless. Raises Stopped.
    """
    change: Notification | None = None
    if result.change is not None or any(event.is_notice() for event in result.events):
        names = {kind: list(getattr(result.change or Change(), kind)) for kind in _KINDS}
        event = _CHANGED if result.change is not None else _NOTICE
        change = {"event": event, "file": result.target, "models": result.models, **names}
        latest = [item.as_json() for item in result.events[-MAX_EVENTS:]]
        change |= _bounded(latest, len(result.events) - len(latest))
    _notify(settings, result.target, change, stop)


def notify_restored(settings: Settings, config: Path, backup: Path, stop: threading.Event) -> None:
    """Send the configured notifications that a config was restored. Raises like ``notify_change``."""
    _notify(settings, str(config), {"event": "config_restored", "file": str(config), "backup": str(backup)}, stop)


def notify_notice(settings: Settings, notice: Notification, stop: threading.Event) -> None:
    """Send a notice of ``credit_used``, once. Raises LiteLLMError, Stopped."""
    problems = [problem for problem in (notify(notice) for notify in _notifiers(settings, stop)) if problem]
    if problems:
        raise LiteLLMError("; ".join(problems), hint="Fix the on-change settings; the notice is sent again later.")


def _notify(settings: Settings, target: str, change: Notification | None, stop: threading.Event) -> None:
    notifiers = _notifiers(settings, stop)
    if not notifiers:
        return
    file = settings.config_file or settings.models_file
    pending = file.with_name(f".{file.name}.untold.json")
    old = shared_name(pending, file)
    shared = _load_pending(old) if old else None
    if shared is not None and shared.get("file") != target:
        old = shared = None  # it is another's
    change = _merged(_load_pending(pending), _merged(shared, change))
    if change is None:
        return
    data = json.dumps(change).encode("ascii") + b"\n"
    with suppress(StorageError, OSError):  # it is lost only if the notification fails too
        replace_file(pending, data, mode=0o644)
        if old is not None:
            old.unlink(missing_ok=True)
    problems = [problem for problem in (notify(change) for notify in notifiers) if problem]
    if problems:
        raise LiteLLMError(
            f"{'; '.join(problems)}; the change to {target} is kept",
            hint="Fix the on-change settings, or LiteLLM; the next sync notifies it again.",
        )
    with suppress(OSError):
        pending.unlink(missing_ok=True)


def _notifiers(settings: Settings, stop: threading.Event) -> list[Callable[[Notification], str]]:
    notifiers: list[Callable[[Notification], str]] = []
    command, url, pidfile = settings.on_change, settings.on_change_url, settings.on_change_gunicorn
    # A notice is for people: a command, like the signal, mostly has LiteLLM read its config again, or restarts it.
    if command:
        notifiers.append(lambda change: "" if _is_notice(change) else _run(command, change, stop))
    if url:
        from sidecar.litellm_proxy.chat import message

        notifiers.append(lambda change: _post(url, message(settings.on_change_format, change), stop))
    if pidfile:
        notifiers.append(lambda change: "" if _is_notice(change) else send_sighup(pidfile))
    return notifiers


def _is_notice(change: Notification) -> bool:
    return change.get("event") in {_NOTICE, _CREDIT}


def _run(command: str, change: Notification, stop: threading.Event) -> str:
    from sidecar.user_command import run_user_command

    problem = run_user_command(command, json.dumps(change).encode("ascii") + b"\n", stop)
    return problem and f"the on-change command {problem}"


def _post(url: str, body: Mapping[str, Any], stop: threading.Event) -> str:
    """Post to ``url``, retrying temporary failures. The response body is ignored."""
    path = url.partition("://")[2].partition("/")[2]
    if len(path) >= 16 and any(map(str.isdigit, path)):
        Secret(path)  # such as `services/T0…/B0…/…`

    def once() -> int:
        answer = send("POST", url, headers={"user-agent": "copilot-model-sync"}, body=body)
        if answer.status in {408, 425, 429} or answer.status >= 500:
            raise UpstreamError(f"HTTP {answer.status}", retry_after=answer.retry_after())
        return answer.status

    try:
        status = retrying(once, stop)
    except UpstreamError as error:
        return f"the on-change address failed: {error}"
    return "" if status < 300 else f"the on-change address responded with HTTP {status}"


def send_sighup(pidfile: Path) -> str:
    """Send SIGHUP to the gunicorn master whose PID is in ``pidfile``; "" if it was sent, else the reason why not."""
    try:
        with regular_file(pidfile) as (file, _):
            pid = int(file.read(100))
        descriptor = os.pidfd_open(pid)
    except (OSError, ValueError, OverflowError):
        return f"{pidfile} does not name a running process; no SIGHUP was sent"
    try:
        if not is_gunicorn_master(pid):
            return f"process {pid} ({pidfile}) is not a gunicorn master; no SIGHUP was sent: it would terminate it"
        signal.pidfd_send_signal(descriptor, signal.SIGHUP)
    except OSError as error:
        return f"process {pid} ({pidfile}) cannot be sent SIGHUP: {error.strerror}"
    finally:
        os.close(descriptor)
    return ""


def is_gunicorn_master(pid: int) -> bool:
    """Whether process ``pid`` is named gunicorn and catches a gunicorn master's signals. Raises OSError."""
    directory = Path("/proc", str(pid))
    named = b"gunicorn" in (directory / "cmdline").read_bytes()
    caught = next(_field(directory / "status", "SigCgt"), "0")
    return named and all(int(caught, 16) >> (number - 1) & 1 for number in _MASTER_SIGNALS)


def _field(path: Path, name: str) -> Iterator[str]:
    for line in path.read_text("utf-8", "replace").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            yield value.strip()


def _load_pending(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(read_file(path) or b"null")
    except (SidecarError, ValueError, RecursionError):
        return None
    names = [content.get(kind, []) for kind in _KINDS] if isinstance(content, dict) else [None]
    if not all(isinstance(each, list) and all(isinstance(name, str) for name in each) for each in names):
        return None
    if not isinstance(content.get("events", []), list) or type(content.get("events_omitted", 0)) is not int:
        return None
    pending: dict[str, Any] = content
    return pending


def _merged(old: Notification | None, new: Notification | None) -> dict[str, Any] | None:
    """Both changes as one: a model added and removed again is dropped, otherwise the latest state counts."""
    if old is None or new is None:
        change = new if new is not None else old
        return dict(change) if change is not None else None
    state: dict[str, str] = {}
    for change in (old, new):
        for kind in _KINDS:
            for name in change.get(kind) or ():
                before = state.pop(name, "")
                if (before, kind) == ("added", "removed"):
                    continue
                state[name] = {("added", "changed"): "added", ("removed", "added"): "changed"}.get((before, kind), kind)
    omitted = sum(change.get("events_omitted", 0) for change in (old, new))
    events = _bounded([*old.get("events", ()), *new.get("events", ())], omitted)
    if new.get("event") == _NOTICE:
        new = {**old, **new, "event": old.get("event", _NOTICE)}
    return {**new, **{kind: [name for name, latest in state.items() if latest == kind] for kind in _KINDS}, **events}


def _bounded(events: list[Any], omitted: int) -> dict[str, Any]:
    """The latest of these events, and how many others there are, with those that were ``omitted`` before."""
    return {"events": events[-MAX_EVENTS:], "events_omitted": omitted + max(0, len(events) - MAX_EVENTS)}
