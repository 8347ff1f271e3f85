"""Finds the access token and stores a new one.

The token directory is read-only for everything but ``login``; the token is read again on every sync, because
token files rotate. The first place with a token wins: LiteLLM's plain ``access-token`` file,
``github_token.json`` (a JSON object with ``access_token``), ``GITHUB_TOKEN``.
"""

from __future__ import annotations

import json
import os
from codecs import BOM_UTF8
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sidecar.errors import LoginNeeded, StorageError
from sidecar.files import replace_file, storage_errors
from sidecar.litellm_hot_reload import exchange
from sidecar.litellm_hot_reload.bounded import regular_file
from sidecar.locks import update_lock
from sidecar.secret import Secret
from sidecar.settings import Settings

MAX_BYTES = 65_536
"""Larger than any token file."""
VARIABLE = "GITHUB_TOKEN"
_CI_HINT = (
    "Set GITHUB_TOKEN to the access token that `login` stores; in CI, to a secret with it (docs/examples/"
    "sync-models.yml), which forks and Dependabot do not get. Without CI, run `login`."
)


class AccessToken(NamedTuple):
    """The long-lived GitHub OAuth token and where it was found."""

    value: Secret
    source: str

    @property
    def cure(self) -> str:
        """What helps if GitHub does not accept it."""
        return _CI_HINT if self.source == VARIABLE else LoginNeeded.default_hint


def find_access_token(settings: Settings, *, environment: bool = True) -> AccessToken:
    """Read the access token; ``environment=False`` only looks in the token directory.

    Raises LoginNeeded when there is none, StorageError when an existing file cannot be read.
    """
    problems = []
    for path in _files(settings):
        data = _read(path)
        if data is None:
            continue
        token = exchange.access_token_in(data, is_json=path.name == exchange.JSON_FILE)
        if token:
            return AccessToken(Secret(token), str(path))
        problems.append(
            f"{path} is empty" if not data.removeprefix(BOM_UTF8).strip() else f"{path} does not contain a token"
        )
    problems = problems or [f"no access token in {settings.token_dir}"]
    hint = ""
    if environment and settings.github_token:
        if exchange.is_token(settings.github_token.reveal()):
            return AccessToken(settings.github_token, VARIABLE)
        problems, hint = [*problems, f"{VARIABLE} does not contain a token"], _CI_HINT
    elif environment and VARIABLE in settings.blank:
        problems, hint = [*problems, f"{VARIABLE} is set, but empty"], _CI_HINT
    raise LoginNeeded("; ".join(problems), hint=hint)


def check_owner(settings: Settings) -> None:
    """Raise StorageError if entrypoint/sidecar.sh would become another user now than this process is.

    That is the owner of the first of these that is there. If this user may not look, only the directory tells.
    """
    for path in (*_files(settings), settings.token_dir):
        with suppress(OSError):
            if (owner := path.stat().st_uid) != os.getuid():
                raise StorageError(
                    f"the access token belongs to uid {owner} now, and this is uid {os.getuid()}",
                    hint="Nothing is to be done: this process ends, to be started again as that user.",
                )
            return


def store_access_token(settings: Settings, token: Secret, *, as_json: bool = False) -> Path:
    """Write the access token, mode 0600 from the first byte, and return the file's path.

    The directory is created (0700) if it is missing. Raises StorageError.
    """
    if as_json:
        path, text = settings.token_dir / exchange.JSON_FILE, json.dumps({"access_token": token.reveal()}) + "\n"
    else:
        path, text = settings.token_dir / settings.access_token_file, token.reveal()
    ensure_token_dir(settings)
    with update_lock(path):
        replace_file(path, text.encode("ascii"), mode=0o600)
    return path


def ensure_token_dir(settings: Settings) -> None:
    """Make sure that a token can be stored, or removed, before anything else is done. Raises StorageError."""
    hint = "Mount it writable for `login` and `logout` (only there), or set GITHUB_COPILOT_TOKEN_DIR to a writable one."
    with storage_errors(settings.token_dir, "written", kind="the token directory", hint=hint):
        settings.token_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = settings.token_dir / ".write-probe"
        probe.touch(mode=0o600)
        probe.unlink()


def _files(settings: Settings) -> tuple[Path, Path]:
    return settings.token_dir / settings.access_token_file, settings.token_dir / exchange.JSON_FILE


def _read(path: Path) -> bytes | None:
    hint = "Make the user this program runs as own the file (mode 0600)."
    with storage_errors(path, "read", kind="the access token file", hint=hint):
        try:
            with regular_file(path) as (file, _):
                return file.read(MAX_BYTES)
        except FileNotFoundError:
            return None
        except NotADirectoryError as error:
            raise StorageError(
                f"the token directory {path.parent} cannot be read: {error.strerror}",
                hint="Set GITHUB_COPILOT_TOKEN_DIR to a directory, or remove the file that is there.",
            ) from error
