"""Finds the access token and stores a new one.

The token directory is read-only input for everything but ``login``; the token is read again on every
sync, because tokens rotate in files. Three places, the first that holds a token wins: LiteLLM's plain
``access-token`` file, ``github_token.json`` (a JSON object with ``access_token``), ``GITHUB_TOKEN``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from sidecar.errors import LoginNeeded, StorageError
from sidecar.files import replace_file
from sidecar.settings import Secret, Settings

JSON_FILE = "github_token.json"
LOGIN_HINT = "Log in: `docker compose run --rm login`, or `python -m sidecar login` without containers."
_TOKEN = re.compile(r"[\x21-\x7e]{4,1000}")


@dataclass(frozen=True)
class AccessToken:
    """The long-lived GitHub OAuth token and the place it was found in."""

    value: Secret
    source: str


def find_access_token(settings: Settings, *, environment: bool = True) -> AccessToken:
    """Read the access token; ``environment=False`` looks at the token directory alone.

    Raises LoginNeeded when there is none, StorageError when a file that is there cannot be read.
    """
    problems = []
    for path in (settings.token_dir / settings.access_token_file, settings.token_dir / JSON_FILE):
        text = _read(path)
        if text is None:
            continue
        token = _from_json(text) if path.name == JSON_FILE else text.strip()
        if token and _TOKEN.fullmatch(token):
            return AccessToken(Secret(token), str(path))
        problems.append(f"{path} is empty" if not text.strip() else f"{path} holds no token")
    if environment and settings.github_token:
        if _TOKEN.fullmatch(settings.github_token.reveal()):
            return AccessToken(settings.github_token, "GITHUB_TOKEN")
        problems.append("GITHUB_TOKEN holds no token")
    raise LoginNeeded("; ".join(problems) or f"no access token in {settings.token_dir}", hint=LOGIN_HINT)


def is_token(text: str) -> bool:
    """Whether ``text`` looks like a token at all: printable, on one line, of a sensible length."""
    return _TOKEN.fullmatch(text) is not None


def store_access_token(settings: Settings, token: Secret, *, as_json: bool = False) -> Path:
    """Write the access token, 0600 from its first byte, and return the file.

    The directory is made (0700) if it is missing. Raises StorageError.
    """
    if as_json:
        path, text = settings.token_dir / JSON_FILE, json.dumps({"access_token": token.reveal()}) + "\n"
    else:
        path, text = settings.token_dir / settings.access_token_file, token.reveal()
    ensure_token_dir(settings)
    replace_file(path, text.encode("ascii"), mode=0o600)
    return path


def ensure_token_dir(settings: Settings) -> None:
    """Make sure that a token can be stored, before anybody is asked to log in. Raises StorageError."""
    try:
        settings.token_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = settings.token_dir / ".write-probe"
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        raise StorageError(
            f"the token directory {settings.token_dir} cannot be written: {error.strerror}",
            hint="Mount it writable for `login` (only there), or set GITHUB_COPILOT_TOKEN_DIR to one that is.",
        ) from error


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(65536).decode("utf-8-sig", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(
            f"the access token file {path} cannot be read: {error.strerror}",
            hint="Let the user this program runs as own the file (mode 0600), then start it again; "
            "with the compose file: `docker compose restart copilot-sync`.",
        ) from error


def _from_json(text: str) -> str | None:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    token = data.get("access_token") if isinstance(data, dict) else None
    return token.strip() if isinstance(token, str) else None
