"""A signal ends the work, whichever thread of the process the kernel gives it to."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess

import pytest

from tests.support.bench import Bench

TO_A_THREAD = ctypes.CDLL(None, use_errno=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_another_thread_receives(bench: Bench, number: signal.Signals) -> None:
    """Python calls handlers in the main thread alone, which such a signal does not wake."""
    bench.log_in()
    service = bench.start("run", COPILOT_MODEL_SYNC_INTERVAL="3600").saw("models published")
    pid = service.popen.pid
    threads = sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))
    others = [thread for thread in threads if thread != pid]
    assert others and TO_A_THREAD.tgkill(pid, others[0], int(number)) == 0
    try:
        assert service.popen.wait(30) == 0
    except subprocess.TimeoutExpired:
        pytest.fail("the signal was not noticed")
