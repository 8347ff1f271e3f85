"""``python -m sidecar``. Read by every Python, so that one that is too old can say so."""

import signal
import sys

if sys.version_info < (3, 11):  # noqa: UP036
    sys.stderr.write(
        "sidecar needs Python 3.11 or newer, and this is " + sys.version.split()[0] + ": " + sys.executable + "\n"
    )
    sys.exit(2)

# Before anything else: as PID 1, a process without a handler ignores the signal.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

from sidecar.cli import entry  # noqa: E402

entry()
