"""``python -m sidecar``."""

import signal
import sys

# From the first moment on: as PID 1 a process without a handler would not be ended at all.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

from sidecar.cli import entry  # noqa: E402

entry()
