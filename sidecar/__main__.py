"""``python -m sidecar``."""

from sidecar.cli import entry

entry()
