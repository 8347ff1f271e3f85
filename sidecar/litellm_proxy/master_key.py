"""The key that LiteLLM's clients must send if nobody has chosen one: made once, and kept in a file."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from sidecar.errors import StorageError
from sidecar.files import create_file, remove_leftovers
from sidecar.litellm_hot_reload.master_key import NoMasterKey, read
from sidecar.secret import Secret
from sidecar.settings import Settings

log = logging.getLogger(__name__)


def prepare_key(settings: Settings) -> None:
    """Create the key file if it is wanted and missing, and say how to use it. Raises StorageError."""
    path = settings.litellm_key_file
    if path is None or settings.litellm_key:
        return
    remove_leftovers(path)
    if not os.path.lexists(path):
        create_file(path, f"sk-{secrets.token_urlsafe(32)}\n".encode(), mode=0o600)
    _read(path, private=True)
    log.info(
        "clients of LiteLLM need its master key; to show it: docker compose exec -T copilot-sync cat %s",
        path,
        extra={"event": "key.ready"},
    )


def master_key(settings: Settings) -> Secret | None:
    """The key that LiteLLM was started with, as far as this container knows. Raises StorageError."""
    if settings.litellm_key or settings.litellm_key_file is None:
        return settings.litellm_key
    return _read(settings.litellm_key_file)


def _read(path: Path, *, private: bool = False) -> Secret:
    try:
        return Secret(read(str(path), private=private))
    except NoMasterKey as error:
        raise StorageError(
            str(error),
            hint=f"Correct it (mode 0600, owned by uid {os.getuid()}), delete it to have `run` make a new key, or set "
            "LITELLM_MASTER_KEY.",
        ) from None
