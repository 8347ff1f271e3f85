"""Imports an access token stored by LiteLLM or an editor, instead of a new login.

Every token found is tried against GitHub, and the first one that works for Copilot is stored. The source is only
read, and only believed if nobody else can have written it: who imports another user's token works with that user's
account.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from sidecar.errors import LoginNeeded
from sidecar.files import storage_errors
from sidecar.github.access_token import AccessToken, store_access_token
from sidecar.github.api import exchange_token
from sidecar.http_client import retrying
from sidecar.litellm_hot_reload.bounded import regular_file
from sidecar.litellm_hot_reload.exchange import JSON_FILE, TOKEN_DIR, TOKEN_FILE, is_token
from sidecar.parsers import expanded
from sidecar.secret import Secret
from sidecar.settings import Settings
from sidecar.text import redacted

MAX_BYTES = 1 << 20
_PLACES = (
    f"{TOKEN_DIR}/{TOKEN_FILE}",
    f"{TOKEN_DIR}/{JSON_FILE}",
    "~/.config/github-copilot/apps.json",
    "~/.config/github-copilot/hosts.json",
)
"""LiteLLM's token directory, and where editors' Copilot plugins keep theirs."""
_NAMES = (TOKEN_FILE, JSON_FILE, "apps.json", "hosts.json")


def import_token(
    settings: Settings, given: Path | None, stop: threading.Event, out: TextIO = sys.stdout, *, as_json: bool = False
) -> None:
    """Store the first token that works, from ``given`` (a file or directory) or from the known places.

    Raises LoginNeeded when there is none, UpstreamError, StorageError.
    """
    refused = []
    for path in _files(given):
        content, doubt = _read(path)
        if doubt:
            refused.append(f"{path} is not believed: {doubt}")
            continue
        for text in tokens_in(content, settings):
            token = AccessToken(Secret(text), str(path))
            try:
                answer = retrying(partial(exchange_token, settings, token), stop)
            except LoginNeeded as error:
                refused.append(f"{token.value.masked()} in {path}: {error}")
                continue
            if answer.direct:
                refused.append(f"{token.value.masked()} in {path} belongs to an OAuth app that LiteLLM cannot use")
                continue
            stored = [store_access_token(settings, token.value)]
            if as_json:
                stored.append(store_access_token(settings, token.value, as_json=True))
            places = " and ".join(map(str, stored))
            print(redacted(f"The access token ({token.value.masked()}) from {path} was stored in {places}."), file=out)
            return
    where = str(given) if given else ", ".join(_PLACES)
    raise LoginNeeded("; ".join(refused) or f"there is no access token in {where}")


def tokens_in(text: str, settings: Settings) -> list[str]:
    """The access tokens in a file of LiteLLM or an editor, those of our own OAuth app first. Pure."""
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        return [text.strip()] if is_token(text.strip()) else []
    if "access_token" in content:
        found = [("", content["access_token"])]
    else:
        host = (urlsplit(settings.access_token_url).hostname or "").lower()
        found = [
            (key, value.get("oauth_token"))
            for key, value in content.items()
            if isinstance(value, dict) and key.partition(":")[0].lower() == host
        ]
    found.sort(key=lambda item: settings.client_id not in item[0])
    return [value for _, value in found if isinstance(value, str) and is_token(value)]


def _files(given: Path | None) -> Iterator[Path]:
    if given is None:
        yield from (path for path in (expanded(place) for place in _PLACES) if path.exists())
    elif given.is_dir():
        yield from (given / name for name in _NAMES if (given / name).exists())
    else:
        yield given


def _read(path: Path) -> tuple[str, str]:
    """The text of a file, and why not to believe it."""
    with (
        storage_errors(path, "read", hint="Specify an existing file, or its directory."),
        regular_file(path) as (file, about),
    ):
        doubt = ""
        if about.st_uid not in {os.getuid(), 0}:
            doubt = f"it belongs to uid {about.st_uid}; run this as that user, or copy the file"
        elif about.st_mode & 0o022:
            doubt = f"others may write to it; if it is yours, `chmod 600 {path}`"
        return file.read(MAX_BYTES).decode("utf-8-sig", "replace"), doubt
