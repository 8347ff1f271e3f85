#!/usr/bin/env python3
"""Logs in to GitHub (device login) and stores the access token: github_token.json and LiteLLM's access-token, 0600.

The token directory is GITHUB_COPILOT_TOKEN_DIR, by default LiteLLM's own. A working token is kept. This is
`python -m sidecar login --json`.
"""

from __future__ import annotations

import argparse
import os
import sys

from _package import run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--import",
        dest="path",
        nargs="?",
        const="",
        metavar="PATH",
        help="instead of a login, import a token that LiteLLM or an editor stored, at PATH (a file or directory) or in "
        "~/.config/litellm/github_copilot, ~/.config/github-copilot",
    )
    path = parser.parse_args().path
    import_flags = [] if path is None else ["--import", path] if path else ["--import"]
    return run(["login", "--json", *import_flags], dict(os.environ))


if __name__ == "__main__":
    sys.exit(main())
