#!/usr/bin/env python3
"""Syncs the Copilot models of a LiteLLM config once. Everything else in the config is left alone.

This is `python -m sidecar sync --config CONFIG`, which has more flags.
"""

from __future__ import annotations

import argparse
import os
import sys

from _package import ROOT, run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", help="the config (default: CONFIG_FILE, else this clone's config.yaml)")
    parser.add_argument("--verbose", action="store_true", help="show which models are omitted, and why")
    arguments = parser.parse_args()
    environ = dict(os.environ)
    if arguments.verbose:
        environ["COPILOT_LOG_LEVEL"] = "DEBUG"
    config = arguments.config
    if config is None:
        config = environ.get("CONFIG_FILE") or str(ROOT / "config.yaml")
    return run(["sync", "--config", config], environ)


if __name__ == "__main__":
    sys.exit(main())
