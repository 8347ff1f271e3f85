"""The cluster's own processes, where they are this machine's: to be stopped, started, and robbed of their data."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.waiting import until


class Part:
    """One process, by its name: of the cluster whose kubeconfig is in ``home``, where all of them were started."""

    def __init__(self, name: str, home: Path) -> None:
        self.name, self.home = name, home
        self.pid = _find(name, home)
        self.words = [word.decode() for word in Path(f"/proc/{self.pid}/cmdline").read_bytes().split(b"\0")[:-1]]

    @property
    def is_alive(self) -> bool:
        try:
            return re.search(r"^State:\s+Z", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE) is None
        except FileNotFoundError:
            return False

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        until(lambda: not self.is_alive, 20, f"{self.name} is gone")

    def start(self) -> None:
        """As it was started before, if it has ended."""
        if self.is_alive:
            return
        short = self.name.removeprefix("kube-")
        with (self.home / f"{short}.log").open("ab") as log:
            new = subprocess.Popen(self.words, cwd=self.home, stdout=log, stderr=log, start_new_session=True)
        self.pid = new.pid
        (self.home / f"{short}.pid").write_text(str(new.pid))  # whoever takes the cluster down finds it there
        new.returncode = 0  # it outlives the tests

    def restart(self) -> None:
        self.kill()
        self.start()


class Etcd(Part):
    """The cluster's memory."""

    def __init__(self, home: Path) -> None:
        super().__init__("etcd", home)
        self.data = Path(self.words[self.words.index("--data-dir") + 1])

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Path]:
        """All that it holds, copied in one moment; beside it, because it has the cluster's Secrets in it."""
        copy = self.data.with_name("etcd-snapshot")
        shutil.rmtree(copy, ignore_errors=True)  # of a run that was killed
        try:
            self.signal(signal.SIGSTOP)
            try:
                shutil.copytree(self.data, copy)
            finally:
                self.signal(signal.SIGCONT)
            yield copy
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    def lose(self) -> None:
        self.kill()
        shutil.rmtree(self.data)

    def restore(self, snapshot: Path) -> None:
        shutil.copytree(snapshot, self.data)
        self.start()


def home() -> Path | None:
    """The directory of the kubeconfig, if an API server was started there; None for any other cluster."""
    directory = Path(os.environ.get("KUBECONFIG", "").split(":")[0]).parent.resolve()
    try:
        _find("kube-apiserver", directory)
    except LookupError:
        return None
    return directory


def _find(name: str, home: Path) -> int:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            program = os.path.basename((process / "cmdline").read_bytes().split(b"\0", 1)[0]).decode()
            if program == name and (process / "cwd").resolve() == home:
                return int(process.name)
        except OSError:  # it has ended, or is another user's
            continue
    raise LookupError(f"no process {name} was started in {home}")
