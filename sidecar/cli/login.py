"""``login``."""

from __future__ import annotations

import os
import shlex
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

from sidecar.cli.output import say
from sidecar.commands import program
from sidecar.github.login import log_in
from sidecar.github.token_import import import_token
from sidecar.parsers import expanded
from sidecar.settings import Settings

_IMAGE_TOKEN_DIR = Path("/github_auth")
"""The token directory in the image, and nowhere else."""


def command(arguments: SimpleNamespace, settings: Settings, stop: threading.Event) -> None:
    """Log in, or import a token, and say what comes next."""
    given = getattr(arguments, "import")
    if given is not None:
        import_token(settings, expanded(given) if given else None, stop, sys.stdout, as_json=arguments.json)
    else:
        log_in(settings, stop, sys.stdout, as_json=arguments.json, force=arguments.force)
    say(next_steps(settings, sys.argv[0]))


def next_steps(settings: Settings, started_as: str) -> str:
    """What to run after a login; ``started_as`` is how this program was."""
    if settings.token_dir == _IMAGE_TOKEN_DIR:
        return (
            "Next: `docker compose up -d`, unless it runs already; it needs no restart. Then\n"
            "  docker compose run --rm copilot-sync models    shows the models, and so does the status page"
        )
    scripts = Path(started_as).parent
    if os.path.basename(started_as) == "github_auth.py":
        sync = f"{shlex.quote(str(scripts / 'fetch_copilot_models.py'))} --config {_config(settings)}"
        return f"Next:\n  {sync}    puts the models into your LiteLLM config"
    called = program(started_as)
    steps = {
        f"{called} models": "shows the models that LiteLLM will get",
        f"{called} sync --config {_config(settings)}": "puts them into your LiteLLM config, once",
        f"{called} run": "keeps them up to date in a file for LiteLLM's hook, or in CONFIG_FILE",
    }
    width = max(map(len, steps))
    return "\n".join(["Next:", *(f"  {step:<{width}}  {text}" for step, text in steps.items())])


def _config(settings: Settings) -> str:
    return shlex.quote(str(settings.config_file or "config.yaml"))
