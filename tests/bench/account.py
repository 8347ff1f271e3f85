"""An account at the stand-in for GitHub, and what the sidecar needs to find it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.control import Control
from tests.litellm.reload_cost import stand_in
from tests.support.files import put_secret

from .models import USUAL, models

TOKEN = "ghu_bench"


@dataclass(frozen=True)
class Account:
    """``environ`` points the sidecar to the stand-in, a token and an empty directory, ``shared``."""

    environ: dict[str, str]
    shared: Path
    github: Control

    @property
    def models_file(self) -> Path:
        return self.shared / "models.yaml"


@contextmanager
def account(count: int = USUAL) -> Iterator[Account]:
    """A stand-in on loopback, which is a process of its own, with a catalog of ``count`` models."""
    with tempfile.TemporaryDirectory() as home, stand_in() as env:
        tokens, shared = Path(home, "tokens"), Path(home, "shared")
        tokens.mkdir()
        shared.mkdir()
        put_secret(tokens / "access-token", TOKEN)
        github = Control(env["GITHUB_COPILOT_API_BASE"])
        github.set_catalog(items=models(count))
        environ = {
            **env,
            "GITHUB_COPILOT_TOKEN_DIR": str(tokens),
            "COPILOT_MODELS_FILE": str(shared / "models.yaml"),
            "COPILOT_LOG_LEVEL": "ERROR",
            "COPILOT_HEALTH_PORT": "0",
        }
        yield Account(environ, shared, github)
