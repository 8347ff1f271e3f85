"""Checks every hop from the access token to LiteLLM, in order, and says how to fix each one that fails.

Writes nothing, and costs one exchange and one catalog read, like a sync. Checks that depend on one that failed are
skipped. ``docs/troubleshooting.md`` lists the same fixes.
"""

from __future__ import annotations

import json
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TextIO

from sidecar import __version__
from sidecar.colours import painter
from sidecar.commands import as_called
from sidecar.config.file import sync_config
from sidecar.config.recognize import load
from sidecar.errors import (
    AccessRefused,
    LoginNeeded,
    SidecarError,
    Unreachable,
    UntrustedHost,
    UpstreamError,
    UsageError,
    for_once,
)
from sidecar.files import read_file, read_named, resolve_symlinks
from sidecar.github.access_token import find_access_token
from sidecar.github.api import CopilotToken, exchange_token, read_catalog
from sidecar.http_client import retrying
from sidecar.litellm_hot_reload.exchange import TOKEN_KINDS, USELESS, token_prefix
from sidecar.litellm_proxy.probe import check_alive, check_hook, check_in_sync
from sidecar.models.catalog import catalog_items
from sidecar.service.sync import entries_for
from sidecar.settings import Settings
from sidecar.targets.models_file import entries_in
from sidecar.text import printable

PASS, FAIL, SKIP = "pass", "fail", "skip"
_SORTS = {PASS: "good", FAIL: "bad", SKIP: "aside"}

_UNSUPPORTED_PREFIXES = (*USELESS, "github_pat_", "ghs_")


@dataclass(frozen=True)
class Check:
    """The result of one check; ``fix`` and ``code`` (an exit code) are for failures."""

    name: str
    result: str
    text: str
    fix: str = ""
    code: int = 0


def diagnose(settings: Settings, stop: threading.Event, out: TextIO | None = None) -> int:
    """Print a line per check, plus the fix for each failure; returns the first failure's exit code."""
    code, paint = 0, painter(out or sys.stdout, settings)
    for check in checks(settings, stop):
        shown = paint(check.result, _SORTS[check.result])
        print(f"{shown}  {check.name:<13} {printable(check.text, 600)}", file=out, flush=True)
        if check.fix:
            print(f"      fix: {as_called(printable(check.fix, 600))}", file=out, flush=True)
        code = code or check.code
    return code


def document(settings: Settings, stop: threading.Event) -> tuple[str, int]:
    """All checks as JSON, for a program or a report of an issue, and the first failure's exit code."""
    found = [asdict(check) for check in checks(settings, stop)]
    for check in found:
        check |= {"text": printable(check["text"], 600), "fix": as_called(printable(check["fix"], 600))}
    runs_on = {"version": __version__, "python": platform.python_version(), "platform": platform.platform()}
    return json.dumps({**runs_on, "checks": found}, indent=2), next((it["code"] for it in found if it["code"]), 0)


def checks(settings: Settings, stop: threading.Event) -> Iterator[Check]:
    """The checks, yielded as they are made. Raises Stopped."""
    yield from _github(settings, stop)
    yield (entries := _attempt("config", lambda: _file(settings)))
    yield from _litellm(settings, entries.result == PASS)


def _attempt(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, PASS, check())
    except SidecarError as error:
        return _failed(name, error)


def _failed(name: str, error: SidecarError) -> Check:
    return Check(name, FAIL, for_once(error), error.hint, error.exit_code)


def _skipped(names: str) -> Iterator[Check]:
    for name in names.split(","):
        yield Check(name, SKIP, "depends on what failed above")


def _github(settings: Settings, stop: threading.Event) -> Iterator[Check]:
    try:
        token = find_access_token(settings)
    except SidecarError as error:
        yield _failed("token", error)
        yield from _skipped("kind,GitHub,exchange,subscription,plan host,catalog,models")
        return
    yield Check("token", PASS, f"{token.value.masked()} from {token.source}")
    prefix = token_prefix(token.value.reveal())
    kind = TOKEN_KINDS.get(prefix, "unknown prefix; the exchange shows whether Copilot accepts it")
    if prefix in _UNSUPPORTED_PREFIXES:
        yield _failed("kind", LoginNeeded(f"{prefix}… is {kind}, which Copilot does not accept", hint=token.cure))
        if prefix in USELESS:
            yield from _skipped("GitHub,exchange,subscription,plan host,catalog,models")
            return
    else:
        yield Check("kind", PASS, kind)
    try:
        copilot = retrying(lambda: exchange_token(settings, token), stop)
    except (LoginNeeded, UpstreamError) as error:
        yield from _no_exchange(error)
        return
    yield Check("GitHub", PASS, "it answers")
    if copilot.direct:
        yield _failed("exchange", LoginNeeded("GitHub does not exchange this kind of token, which LiteLLM requires"))
        yield Check("subscription", SKIP, "only known after an exchange")
    else:
        yield Check("exchange", PASS, f"a Copilot token, valid for {copilot.lifetime / 60:.0f} minutes")
        yield Check("subscription", PASS, copilot.sku or "active; GitHub does not name the plan")
    yield Check("plan host", PASS, copilot.api_base)
    yield from _models(settings, copilot, stop)


def _no_exchange(error: SidecarError) -> Iterator[Check]:
    """A failed exchange, reported at the hop where it failed."""
    names = ["GitHub", "exchange", "subscription", "plan host"]
    failed_hop = 1
    if isinstance(error, Unreachable):
        failed_hop = 0
    elif isinstance(error, AccessRefused):
        failed_hop = 2
    elif isinstance(error, UntrustedHost):
        failed_hop = 3
    for name in names[:failed_hop]:
        yield Check(name, PASS, "it answers" if name == "GitHub" else "GitHub accepted the access token")
    yield _failed(names[failed_hop], error)
    yield from _skipped(",".join([*names[failed_hop + 1 :], "catalog", "models"]))


def _models(settings: Settings, copilot: CopilotToken, stop: threading.Event) -> Iterator[Check]:
    try:
        found = catalog_items(retrying(lambda: read_catalog(settings, copilot), stop).json)
    except SidecarError as error:
        yield _failed("catalog", error)
        yield from _skipped("models")
        return
    yield Check("catalog", PASS, f"{len(found)} models")

    def selection() -> str:
        selected, _ = entries_for(found, settings)
        return f"{len(selected.models)} for LiteLLM, {len(selected.omitted)} omitted (`models --all` gives the reasons)"

    yield _attempt("models", selection)


def _file(settings: Settings) -> str:
    """Check the file that LiteLLM reads: the config or the models file. Raises SidecarError if it is invalid."""
    file = settings.config_file or settings.models_file
    data = read_named(resolve_symlinks(file))
    if data is None:
        raise UsageError(f"{file} does not exist", hint="Run `sync`, or correct CONFIG_FILE or COPILOT_MODELS_FILE.")
    # Parses it like a sync, and rejects what LiteLLM would not understand.
    sync_config(file, [], dry_run=True, models_file=None if settings.config_file is None else settings.models_file)
    load(data)
    entries = entries_in(data)
    if not entries:
        raise UsageError(
            f"{file} contains no models from the catalog", hint="Run `sync`; its message says what is wrong."
        )
    return f"{file} is valid and contains {len(entries)} entries"


def _litellm(settings: Settings, known: bool) -> Iterator[Check]:
    alive = _attempt("LiteLLM", lambda: check_alive(settings))
    yield alive
    if not known or alive.result != PASS:
        yield from _skipped("in sync,hook")
        return
    data = read_file(resolve_symlinks(settings.config_file or settings.models_file))
    yield _attempt("in sync", lambda: check_in_sync(settings, entries_in(data)))
    try:
        report = check_hook(settings)
    except SidecarError as error:
        yield _failed("hook", error)
        return
    yield Check("hook", PASS, report) if report else Check("hook", SKIP, "this LiteLLM runs without it")
