#!/usr/bin/env python3
"""Syncs the Copilot models of a LiteLLM config once. Everything else in the config is left alone.

This is `python -m sidecar sync --config CONFIG`, which has more flags.
"""

import argparse
import os
import sys

from _package import run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", help="the config (default: CONFIG_FILE, else config.yaml in the current directory)")
    parser.add_argument("--create", action="store_true", help="make the config if it does not exist")
    parser.add_argument("--adopt", action="store_true", help="take over its own entries for Copilot models")
    parser.add_argument("--verbose", action="store_true", help="show which models are omitted, and why")
    arguments = parser.parse_args()
    environ = dict(os.environ)
    if arguments.verbose:
        environ["COPILOT_LOG_LEVEL"] = "DEBUG"
    config = arguments.config
    if config is None:
        config = environ.get("CONFIG_FILE") or "config.yaml"
    flags = [flag for flag in ("--create", "--adopt") if getattr(arguments, flag[2:])]
    return run(["sync", "--config", config, *flags], environ)


if __name__ == "__main__":
    sys.exit(main())
