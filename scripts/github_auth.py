#!/usr/bin/env python3
"""Logs in to GitHub (device login) and stores the access token: github_token.json and LiteLLM's access-token, 0600.

The token directory is GITHUB_COPILOT_TOKEN_DIR, by default LiteLLM's own. A working token is kept, unless --force.
This is `python -m sidecar login --json`.
"""

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
    parser.add_argument("--force", action="store_true", help="log in anew although the stored token works")
    arguments = parser.parse_args()
    path = arguments.path
    flags = [] if path is None else ["--import", path] if path else ["--import"]
    return run(["login", "--json", *(["--force"] if arguments.force else []), *flags], dict(os.environ))


if __name__ == "__main__":
    sys.exit(main())
