"""What is worth knowing first, from what is on disk and from what a running service says of itself.

GitHub is asked one thing, once, and only where no service answers: whose the access token is.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sidecar import errors
from sidecar.errors import LiteLLMError, LoginNeeded, SidecarError, UsageError
from sidecar.files import read_file, resolve_symlinks
from sidecar.github.access_token import find_access_token
from sidecar.github.api import read_account
from sidecar.github.login_code import read_code
from sidecar.http_client import send
from sidecar.litellm_proxy.probe import check_in_sync
from sidecar.models.absences import absences_file, load_absences
from sidecar.models.credit import parse_credit
from sidecar.models.view import Row, rows
from sidecar.settings import Settings
from sidecar.targets.history import history_file, read_history
from sidecar.targets.models_file import entries_in
from sidecar.targets.record import read_record
from sidecar.text import printable

_STUCK = 1


@dataclass(frozen=True)
class Trouble:
    """What is wrong, what to do, and the exit code for it: 0 if it is only worth knowing."""

    text: str
    fix: str
    code: int = 0


@dataclass(frozen=True)
class Leaving:
    """A model that the catalog has not listed for ``absent`` syncs; it goes after ``of``, later in a great loss."""

    id: str
    absent: int
    of: int


@dataclass
class Overview:
    """``account`` and ``plan`` are empty where nobody says; times are Unix seconds, None what is not known.

    ``service`` is the document of the one that answers, if it does. ``in_step`` is None where nobody knows.
    """

    target: str
    token: str = ""
    account: str = ""
    plan: str = ""
    service: dict[str, Any] | None = None
    last_sync: float | None = None
    last_change: float | None = None
    models: list[Row] = field(default_factory=list)
    leaving: list[Leaving] = field(default_factory=list)
    in_step: bool | None = None
    litellm: str = ""
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """That of the first trouble that has one."""
        return next((trouble.code for trouble in self.troubles if trouble.code), 0)


def overview(settings: Settings) -> Overview:
    """Look at everything, without waiting for what does not answer at once. Raises UsageError for a ConfigMap."""
    if settings.configmap is not None:
        raise UsageError(
            "`status` reads files, and the models are in a ConfigMap",
            hint="Unset COPILOT_CONFIGMAP; docs/kubernetes.md shows how to look into the object.",
        )
    found = Overview(printable(settings.config_file or settings.models_file, 300))
    found.service = _service(settings, found.target)
    _login(found, settings)
    entries = _files(found, settings)
    if found.service is not None:
        _say_service(found, found.service)
    _litellm(found, settings, entries)
    return found


def _service(settings: Settings, target: str) -> dict[str, Any] | None:
    """What the service on this machine says, if it keeps the same file."""
    if not settings.health_port:
        return None
    with suppress(SidecarError):
        answer = send("GET", f"http://127.0.0.1:{settings.health_port}/api/status", headers={}, no_proxy=True)
        said = answer.json
        if answer.status == 200 and isinstance(said, dict) and said.get("target") == target:
            return said
    return None


def _login(found: Overview, settings: Settings) -> None:
    try:
        token = find_access_token(settings)
        found.token = f"{token.value.masked()} from {token.source}"
        if found.service is not None:
            found.account, found.plan = _text(found.service, "account"), _text(found.service, "plan")
        elif settings.quota:
            account = parse_credit(read_account(settings, token))
            found.account, found.plan = account.login, account.plan
    except LoginNeeded as error:
        code = read_code(settings)
        fix = f"Enter {code.code} at {code.address}." if code and code.until > time.time() else error.hint
        found.troubles.append(Trouble(str(error), fix, error.exit_code))
    except errors.UpstreamError as error:
        found.troubles.append(Trouble(f"GitHub does not say whose the token is: {error}", error.hint))
    except SidecarError as error:
        found.troubles.append(_trouble(error))


def _files(found: Overview, settings: Settings) -> dict[str, Any]:
    """What is on disk; returns the published entries by id."""
    entries: dict[str, Any] = {}
    try:
        file = resolve_symlinks(settings.config_file or settings.models_file)
        data = read_file(file)
        if data is None:
            raise UsageError(
                f"{found.target} does not exist", hint="Run `sync`, or correct CONFIG_FILE or COPILOT_MODELS_FILE."
            )
        entries = entries_in(data)
        found.models = rows(entries.values())
        if not found.models:
            raise UsageError(f"{found.target} contains no models from the catalog", hint="Run `sync`.")
        published = {row["id"] for row in found.models}
        record = load_absences(read_record(file)) or {}
        found.leaving = [
            Leaving(
                key,
                last.absences,
                settings.remove_after if last.absences < settings.remove_after else settings.accept_after(),
            )
            for key, last in sorted(record.items())
            if last.absences and key in published
        ]
        with suppress(OSError):
            found.last_sync = os.stat(absences_file(file)).st_mtime
        if events := read_history(history_file(settings), 1):
            found.last_change = datetime.fromisoformat(events[-1].time).timestamp()
    except SidecarError as error:
        found.troubles.append(_trouble(error))
    return entries


def _say_service(found: Overview, said: dict[str, Any]) -> None:
    found.last_sync = _number(said, "last_success") or found.last_sync
    found.last_change = _number(said, "last_change") or found.last_change
    if said.get("level") not in {"bad", "warning"}:
        return
    kind = getattr(errors, _text(said, "error"), SidecarError)
    code = kind.exit_code if said.get("error") else 0
    state = _text(said, "state")
    code = {"stuck": _STUCK, "litellm_gone": LiteLLMError.exit_code}.get(state, code)
    if state != "worker_out_of_step" and not (code == LoginNeeded.exit_code and found.exit_code == code):
        found.troubles.append(Trouble(_text(said, "text"), _text(said, "cure"), code))


def _litellm(found: Overview, settings: Settings, entries: dict[str, Any]) -> None:
    """What its workers report to the service; if there are none, what LiteLLM itself serves."""
    workers = [worker for worker in (found.service or {}).get("workers") or [] if isinstance(worker, dict)]
    if workers:
        behind = sum(worker.get("in_step") is not True for worker in workers)
        found.in_step = not behind
        many = f"{len(workers)} worker{'s' * (len(workers) != 1)}"
        found.litellm = f"{behind} of {many} out of step" if behind else f"{many}, in step"
        if behind:
            said = found.service or {}
            found.troubles.append(Trouble(_text(said, "text"), _text(said, "cure"), LiteLLMError.exit_code))
    elif entries:
        try:
            found.litellm, found.in_step = check_in_sync(settings, entries), True
        except SidecarError as error:
            found.in_step = False
            found.troubles.append(_trouble(error))


def _trouble(error: SidecarError) -> Trouble:
    return Trouble(str(error), error.hint, error.exit_code)


def _text(said: dict[str, Any], key: str) -> str:
    value = said.get(key)
    return printable(value, 600) if isinstance(value, str) else ""


def _number(said: dict[str, Any], key: str) -> float | None:
    value = said.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
