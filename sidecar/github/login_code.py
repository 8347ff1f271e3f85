"""The code of a device login that is under way, left in the token directory for the status page. It is no secret: alone
it opens nothing, and GitHub forgets it after a quarter of an hour.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from sidecar.errors import SidecarError
from sidecar.files import replace_file
from sidecar.litellm_hot_reload.bounded import read_bounded
from sidecar.settings import Settings
from sidecar.text import printable

FILE = "login-code.json"
_MAX_FILE = 4096


@dataclass(frozen=True)
class LoginCode:
    """What to enter, where, and until when it counts (Unix time)."""

    code: str
    address: str
    until: float


def leave_code(settings: Settings, code: LoginCode) -> None:
    """Leave the code for whoever may read the token directory. A login does not fail because nobody can see it."""
    with suppress(SidecarError):
        replace_file(_file(settings), json.dumps(asdict(code)).encode("ascii"), mode=0o644)


def forget_code(settings: Settings) -> None:
    """Remove the code: it has been used, or nobody waits for it any more."""
    with suppress(OSError):
        _file(settings).unlink(missing_ok=True)


def read_code(settings: Settings) -> LoginCode | None:
    """The code that was left, which may have run out; None if there is none, or it cannot be one."""
    try:
        content = json.loads(read_bounded(_file(settings), _MAX_FILE))
        code, address, until = content["code"], content["address"], float(content["until"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if not (isinstance(code, str) and isinstance(address, str) and math.isfinite(until)):
        return None
    return LoginCode(printable(code, 40), printable(address, 200), until)


def _file(settings: Settings) -> Path:
    return settings.token_dir / FILE
