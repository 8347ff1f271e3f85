"""Removes what a login has stored: the access token, the Copilot token that LiteLLM made of it, a code that waits."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from sidecar.files import storage_errors, sync_directory
from sidecar.github import login_code
from sidecar.github.access_token import ensure_token_dir
from sidecar.litellm_hot_reload import exchange
from sidecar.locks import update_lock
from sidecar.settings import Settings


def log_out(settings: Settings) -> list[Path]:
    """Remove all of it, and return what was there. Raises StorageError."""
    names = (settings.access_token_file, exchange.JSON_FILE, exchange.API_KEY_FILE, login_code.FILE)
    paths = [settings.token_dir / name for name in names]
    found = [path for path in paths if os.path.lexists(path)]
    if not found:
        return []
    ensure_token_dir(settings)
    with update_lock(*paths):
        for path in found:
            with storage_errors(path, "removed"):
                path.unlink(missing_ok=True)
        sync_directory(settings.token_dir)
    return found


def revoke_address(settings: Settings) -> str:
    """Where GitHub lists, and revokes, what the account has authorized."""
    parts = urlsplit(settings.access_token_url)
    return f"{parts.scheme}://{parts.netloc}/settings/applications"
