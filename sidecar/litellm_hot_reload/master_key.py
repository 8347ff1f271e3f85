"""LiteLLM's master key from a file, for when none is in the environment, the only place where LiteLLM looks for it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import MutableMapping
from pathlib import Path

from .bounded import read_bounded
from .text import remember

KEY, FILE = "LITELLM_MASTER_KEY", "LITELLM_MASTER_KEY_FILE"
WITHOUT = "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY"
"""LiteLLM's own variable for whoever wants no key."""
_LONGEST = 4096
_SHAPE = re.compile(r"sk-[!-~]{16,}")


class NoMasterKey(Exception):
    """The file has no usable key; the message says why, and shows nothing of it."""


def provide(environ: MutableMapping[str, str]) -> None:
    """Put the key of LITELLM_MASTER_KEY_FILE into the environment, if it is wanted there and missing.

    Raises NoMasterKey: a LiteLLM that is meant to have a key must not start without one.
    """
    path = environ.get(FILE)
    # Exactly what LiteLLM itself takes for "true".
    if path and not environ.get(KEY, "").strip() and environ.get(WITHOUT, "").strip().lower() != "true":
        environ[KEY] = read(path)


def read(path: str, *, private: bool = False) -> str:
    """The key in the file; a ``private`` one must be closed to group and others. Raises NoMasterKey."""
    try:
        text = read_bounded(Path(path), _LONGEST).decode("ascii", "replace").strip()
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "invalid path"
        raise NoMasterKey(f"the master key file {path} cannot be read: {reason}") from None
    if private and mode & 0o077:
        raise NoMasterKey(f"the master key file {path} is open to others (mode {stat.S_IMODE(mode):04o})")
    if not text:
        raise NoMasterKey(f"the master key file {path} is empty")
    if not _SHAPE.fullmatch(text):
        raise NoMasterKey(f"the master key file {path} does not contain a key (sk-…, one line, 19 characters or more)")
    remember(text)
    return text
