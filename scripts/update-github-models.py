#!/usr/bin/env python3
"""Generates a complete LiteLLM config, auto-headers-config.yaml: your Copilot account's models under bare names, with
the headers that Copilot expects. Use it with `litellm --config auto-headers-config.yaml`.

The master key comes from the environment variable LITELLM_MASTER_KEY. Run the script again to update the models; what
you add to the file is kept.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from _package import ROOT, run

TEMPLATE = b"""\
# A LiteLLM config with GitHub Copilot's models. Created by scripts/update-github-models.py, which also updates the
# models; everything else in it is yours.
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY

litellm_settings:
  # Copilot accepts system messages as they are; without this, LiteLLM turns them into assistant messages.
  disable_copilot_system_to_assistant: true
  # Parameters that a model does not support are dropped instead of causing an error.
  drop_params: true
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "auto-headers-config.yaml",
        metavar="FILE",
        help="the file (default: auto-headers-config.yaml in this clone)",
    )
    output: Path = parser.parse_args().output
    environ = {"COPILOT_MODEL_NAMES": "bare", **os.environ}
    try:
        with output.open("xb") as file:
            file.write(TEMPLATE)
        created = True
        environ["COPILOT_CONFIG_BACKUPS"] = "0"
    except FileExistsError:
        created = False
    except OSError as error:
        print(f"{output} cannot be written: {error.strerror}\n  Choose another with --output.", file=sys.stderr)
        return 5
    code = 70
    try:
        code = run(["sync", "--config", str(output)], environ)
    finally:
        if created and code and output.read_bytes() == TEMPLATE:
            output.unlink()
    return code


if __name__ == "__main__":
    sys.exit(main())
