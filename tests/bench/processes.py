"""What a process costs: processor time and memory of it alone, whatever else the machine does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

PACKAGES = "import requests, yaml, tenacity, pythonjsonlogger"
"""The four packages of the sidecar, and nothing that uses them."""
HERE = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(ROOT)}


@dataclass(frozen=True)
class Cost:
    """Seconds of all threads on a processor, and seconds from start to end."""

    cpu: float
    wall: float


def cost(*arguments: str, **environ: str) -> Cost:
    """Run a Python with these arguments. AssertionError with what it wrote when it fails."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**HERE, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout
    output = process.stdout.read().decode("utf-8", "replace")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    assert process.returncode == 0, output[-3000:]
    return Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - began)


def costs(times: int, *arguments: str, **environ: str) -> list[Cost]:
    """The same again and again; the first run, which may compile and read what the others find, does not count."""
    return [cost(*arguments, **environ) for _ in range(times + 1)][1:]


def child(module: str, *arguments: object, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a module of tests/bench in a process of its own; what it printed last, which is JSON."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)],
        cwd=ROOT,
        env={**HERE, **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


@dataclass(frozen=True)
class Memory:
    """MB (a million bytes) that a process has in memory, and its share of them where others use the same pages."""

    rss: float
    pss: float


def memory(pid: int) -> Memory:
    return memory_in(Path("/proc", str(pid), "smaps_rollup").read_text())


def memory_in(text: str) -> Memory:
    """What a process's smaps_rollup says."""
    rss, pss = (int(re.findall(rf"^{name}:\s+(\d+)", text, re.MULTILINE)[0]) for name in ("Rss", "Pss"))
    return Memory(rss * 1024 / 1e6, pss * 1024 / 1e6)


def memory_of(code: str, **environ: str) -> Memory:
    """What a Python takes that has run ``code`` and does nothing any more."""
    command: Sequence[str] = [sys.executable, "-c", f"{code}\nprint('ready', flush=True)\nimport sys; sys.stdin.read()"]
    with subprocess.Popen(
        command, cwd=ROOT, env={**HERE, **environ}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        return memory(process.pid)


class Peak:
    """The most memory in bytes, above what there was at the start of the ``with`` block."""

    taken = 0

    def __enter__(self) -> Peak:
        Path("/proc/self/clear_refs").write_text("5")
        self._before = _status("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        self.taken = _status("VmHWM") - self._before


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def cpu(pid: int) -> float:
    """Seconds that a process has spent on a processor so far, the threads that have ended included."""
    fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(*arguments: str, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python with these arguments for the ``with`` block, which SIGTERM ends."""
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env={**HERE, **environ}, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
