#!/usr/bin/env python3
"""Generates a complete LiteLLM config, auto-headers-config.yaml: your Copilot account's models under bare names, with
the headers that Copilot expects. It ends with the command that starts LiteLLM with it.

The master key comes from the environment variable LITELLM_MASTER_KEY. Run the script again to update the models; what
you add to the file is kept.
"""

import argparse
import os
import shlex
import sys

from _package import load

KEY = b"os.environ/LITELLM_MASTER_KEY"
TEMPLATE = (
    b"""\
# A LiteLLM config with GitHub Copilot's models. Created by scripts/update-github-models.py, which also updates the
# models; everything else in it is yours.
general_settings:
  master_key: %s

litellm_settings:
  # Copilot accepts system messages as they are; without this, LiteLLM turns them into assistant messages.
  disable_copilot_system_to_assistant: true
  # Parameters that a model does not support are dropped instead of causing an error.
  drop_params: true
"""
    % KEY
)
NEW_KEY = """export LITELLM_MASTER_KEY="sk-$(python3 -c 'import secrets; print(secrets.token_hex(24))')\""""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--output",
        default="auto-headers-config.yaml",
        metavar="FILE",
        help="the file (default: auto-headers-config.yaml in the current directory)",
    )
    parser.add_argument("--adopt", action="store_true", help="take over the file's own entries for Copilot models")
    arguments = parser.parse_args()
    output = arguments.output
    sync = load()
    environ = {"COPILOT_MODEL_NAMES": "bare", **os.environ}
    try:
        with open(output, "xb") as file:
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
        code = sync(["sync", "--config", output, *(["--adopt"] if arguments.adopt else [])], environ)
    finally:
        if created and code and content(output) == TEMPLATE:
            os.unlink(output)
    if code == 0:
        print(next_steps(output))
    return code


def next_steps(output):
    """The commands that start LiteLLM with the file; without a key of the user's own it would not start."""
    lines = [f"litellm --config {shlex.quote(output)}"]
    if KEY in content(output) and not os.environ.get("LITELLM_MASTER_KEY"):
        lines.insert(0, f"{NEW_KEY}  # make a key, once: keep it, clients send it")
    return "\n  ".join(["Start LiteLLM:", *lines])


def content(path):
    with open(path, "rb") as file:
        return file.read()


if __name__ == "__main__":
    sys.exit(main())
