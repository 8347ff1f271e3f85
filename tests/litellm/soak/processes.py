"""The programs of a run: the sidecar, which is started again whenever it ends, and LiteLLM with its workers."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests.support.paths import ROOT
from tests.support.ports import free_port

from ..proxy import Proxy, Worker

_SYNCS = re.compile(r'copilot_sync_total\{result="(\w+)"\} (\d+)')


@dataclass
class Life:
    """A process and what it took, as (seconds since it began, RSS in MB, threads, descriptors)."""

    what: str
    pid: int
    began: float
    samples: list[tuple[float, float, int, int]] = field(default_factory=list)

    def sample(self) -> None:
        with contextlib.suppress(OSError, KeyError):  # it has just ended
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
            status = dict(line.split(":", 1) for line in lines)
            rss, threads = int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"])
            descriptors = len(os.listdir(f"/proc/{self.pid}/fd"))
            self.samples.append((time.monotonic() - self.began, rss, threads, descriptors))


class Sidecar:
    """``sidecar run`` as a process. ``codes`` counts how its lives have ended, ``syncs`` what its metrics said."""

    def __init__(self, environ: dict[str, str], log: Path) -> None:
        self.port = free_port()
        self.environ = {**environ, "COPILOT_HEALTH_PORT": str(self.port)}
        self.log, self.codes, self.lives = log, Counter[int](), list[Life]()
        self._ended, self._now = Counter[str](), Counter[str]()
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "sidecar", "run"], cwd=ROOT, env=self.environ, stdout=log, stderr=log
            )
        self.lives.append(Life("sidecar", self.popen.pid, time.monotonic()))

    @property
    def syncs(self) -> Counter[str]:
        """Syncs by result: at least so many, because a kill takes with it what was not asked for yet."""
        both = self._ended.copy()
        both.update(self._now)
        return both

    def begin(self) -> None:
        """What was until now does not count."""
        self.look()
        self._ended, self.lives = Counter({kind: -count for kind, count in self._now.items()}), self.lives[-1:]

    def look(self) -> None:
        """Ask for its metrics."""
        with contextlib.suppress(requests.RequestException):
            text = requests.get(f"http://127.0.0.1:{self.port}/metrics", timeout=10).text
            self._now = Counter({kind: int(count) for kind, count in _SYNCS.findall(text)})

    def end(self, number: int) -> None:
        """Send a signal, and wait for the end."""
        self.look()
        self.popen.send_signal(number)
        self._over()

    def kill(self) -> None:
        self.end(signal.SIGKILL)
        self.start()

    def restart_if_ended(self) -> None:
        """As its container does. An exit code of its own is among ``codes``."""
        if self.popen.poll() is not None:
            self._over()
            self.start()

    def _over(self) -> None:
        self.codes[self.popen.wait(60)] += 1
        self._ended, self._now = self.syncs, Counter()


class Workers(Proxy):
    """LiteLLM, whose workers come and go: ``lives`` are theirs, ``finished`` those that LiteLLM itself has ended."""

    def __init__(self, home: Path, environ: dict[str, str]) -> None:
        # On a busy machine, uvicorn would take a worker that is still importing LiteLLM for hung, and kill it.
        super().__init__(home, {**environ, "TIMEOUT_WORKER_HEALTHCHECK": "120"}, workers=2)
        self.lives: dict[str, Life] = {}
        self.reached: dict[str, Worker] = {}
        self.finished: set[str] = set()
        self._read, self._following, self._lock = 0, set[str](), threading.Lock()

    def __enter__(self) -> Workers:
        self.start(wait=False)
        self.wait_ready(600)
        return self

    def pids(self) -> set[str]:
        """Those that follow; of the log, which grows, only what is new is read."""
        with self._lock, self.log_file.open("rb") as log:
            log.seek(self._read)
            lines, end, _ = log.read().rpartition(b"\n")
            self._read += len(lines) + len(end)
            for found in re.findall(rb"copilot-hook\[(\d+)\] INFO following", lines):
                pid = found.decode()
                self._following.add(pid)
                self.lives[pid] = Life("LiteLLM worker", int(pid), time.monotonic())
            self.finished |= {pid.decode() for pid in re.findall(rb"Finished server process \[(\d+)\]", lines)}
            self._following = {pid for pid in self._following if _runs(pid)}
            return set(self._following)

    def reach(self) -> list[Worker]:
        """A connection to each worker that answers; a new one is found as soon as it takes connections."""
        alive = self.pids()
        for pid in [pid for pid in self.reached if pid not in alive]:
            self.lost(self.reached[pid])
        for _ in range(8 if alive - self.reached.keys() else 0):
            client = self.reach_one()
            if client and client.pid in alive - self.reached.keys():
                self.reached[client.pid] = client
            elif client:
                client.close()
        return list(self.reached.values())

    def lost(self, worker: Worker) -> None:
        worker.close()
        self.reached.pop(worker.pid, None)

    def stop(self, number: int = signal.SIGTERM) -> None:
        for worker in list(self.reached.values()):
            self.lost(worker)
        super().stop(number)


def _runs(pid: str) -> bool:
    """Whether a process has not ended; one that nobody has asked for its exit code yet has."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
