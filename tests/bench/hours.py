"""``python -m tests.bench.hours SYNCS INTERVAL``: the service as it is, with its port, but its clock jumps ahead.

After each sync it is an interval later, and the next one begins at once. Prints as JSON what the syncs after the
first ten took, CPU in seconds, and the kernel's word of the memory then; a file counts as written if it is another
one, or holds something else. What it imports besides counts as the service's memory, so that it is next to nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sidecar.litellm_hot_reload import clock

SETTLED = 10
_real: Callable[[], float] = clock.elapsed
_ahead = 0.0
clock.elapsed = lambda: _real() + _ahead  # before anything else takes it from there

from sidecar import cli  # noqa: E402
from sidecar.service import loop  # noqa: E402


def files(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Each file's inode and a digest of its content: the content itself would count as the service's memory."""
    paths = [path for path in directory.iterdir() if path.is_file()]
    return {path.name: (path.stat().st_ino, hashlib.sha256(path.read_bytes()).digest()) for path in paths}


def main(syncs: int, interval: int) -> None:
    shared, done, began = Path(os.environ["COPILOT_MODELS_FILE"]).parent, 0, (0.0, dict[str, tuple[int, bytes]]())

    def next_one(error: Exception | None, failures: int, seconds: float) -> float:
        global _ahead
        nonlocal done, began
        assert error is None, error
        _ahead += interval
        done += 1
        if done == SETTLED:
            began = (time.process_time(), files(shared))
        if done == SETTLED + syncs:
            cpu, now = time.process_time() - began[0], files(shared)
            changed = [name for name in now if now[name] != began[1].get(name)]
            smaps = Path("/proc/self/smaps_rollup").read_text()
            print(json.dumps({"syncs": done, "cpu": cpu / syncs, "written": len(changed), "smaps": smaps}), flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
            return 60.0
        return 0.0

    loop.delay_after = next_one
    sys.exit(cli.main(["run"], {**os.environ, "COPILOT_MODEL_SYNC_INTERVAL": str(interval)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
