"""The command line as a real process."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from signal import SIGTERM
from typing import IO, Any

from . import canary
from .paths import ROOT
from .waiting import until


class Process:
    """A command of the package as a real process; its output is collected as it comes, and searched for secrets."""

    def __init__(
        self, arguments: Sequence[str], environ: Mapping[str, str], program: Sequence[str] = ("-m", "sidecar")
    ) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.watch = canary.Watch(self.popen.pid)
        self.watch.start()
        self.code: int | None = None
        self.out, self.err = bytearray(), bytearray()
        pairs = ((self.popen.stdout, self.out), (self.popen.stderr, self.err))
        self.readers = [threading.Thread(target=self._read, args=pair, daemon=True) for pair in pairs]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def _read(stream: IO[bytes], kept: bytearray) -> None:
        with stream:
            while chunk := stream.read1(65536):  # type: ignore[attr-defined]
                kept += chunk

    @property
    def stdout(self) -> str:
        return bytes(self.out).decode()

    @property
    def stderr(self) -> str:
        return bytes(self.err).decode()

    @property
    def records(self) -> list[dict[str, Any]]:
        """The log lines of the service; each has to be one JSON object."""
        return [json.loads(line) for line in self.stderr.splitlines(keepends=True) if line.endswith("\n")]

    def messages(self) -> list[str]:
        return [record["message"] for record in self.records]

    def saw(self, text: str) -> Process:
        """Wait until the output holds ``text``."""
        until(lambda: text in self.stdout + self.stderr or self.popen.poll() is not None, what=repr(text))
        if text not in self.stdout + self.stderr:
            self.end()
        assert text in self.stdout + self.stderr
        return self

    def end(self) -> int:
        """Wait for the end and return the exit code."""
        self.code = self.popen.wait(60)
        for reader in self.readers:
            reader.join(60)
        self.watch.end()
        canary.search("standard output", bytes(self.out))
        canary.search("standard error", bytes(self.err))
        return self.code

    def signal(self, number: int = SIGTERM) -> int:
        """Send a signal, wait for the end and return the exit code."""
        self.popen.send_signal(number)
        return self.end()

    def ends_at_once(self, number: int = SIGTERM) -> int:
        """Send a signal and return the exit code; the end comes within a second, where the machine is not busy.

        How busy it is shows in the time that the same program takes from its start to its end.
        """
        began = time.monotonic()
        self.popen.send_signal(number)
        self.popen.wait(60)
        seconds = time.monotonic() - began
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "sidecar", "--version"], cwd=ROOT, check=True, capture_output=True)
        control = time.monotonic() - began
        assert seconds < max(1.0, 3 * control), f"{seconds:.1f} s; the whole program took {control:.1f} s"
        return self.end()
