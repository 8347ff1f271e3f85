"""``python -m sidecar``."""

import signal
import sys

# Before anything else: as PID 1, a process without a handler ignores the signal.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

from sidecar.cli import entry  # noqa: E402

entry()
