"""``logout``."""

from __future__ import annotations

from sidecar.cli.output import say
from sidecar.github.logout import log_out, revoke_address
from sidecar.settings import Settings


def command(settings: Settings) -> None:
    """Remove what is stored, and say what goes on working without it."""
    removed = log_out(settings)
    if removed:
        say(f"Removed {', '.join(map(str, removed))}.")
        say(
            "LiteLLM may have a Copilot token that lasts up to half an hour. The access token itself works until it is "
            f"revoked: at {revoke_address(settings)}, under Authorized GitHub Apps or Authorized OAuth Apps."
        )
    else:
        say(f"Nobody is logged in: there is no token in {settings.token_dir}.")
    if settings.github_token:
        say("GITHUB_TOKEN is still set, and is used by `sync`.")
