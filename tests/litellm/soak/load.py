"""What goes on without pause while everything else fails, in processes of its own: the clients, and the reader."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import threading
import time
from array import array
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from sidecar.litellm_hot_reload.models_file import entries_in

from ..reload_cost import PREFIX, STAYING

LOST = (ConnectionError, http.client.IncompleteRead)
"""What a client sees of a connection whose worker has been killed; it then asks once more, as HTTP clients do."""
TIMEOUT = 900.0


@dataclass
class Failure:
    """A request without a right answer; times by the monotonic clock."""

    began: float
    ended: float
    why: str


@dataclass
class Asked:
    """What the clients saw: ``when`` and ``seconds`` of each answer, and ``lost`` connections as (moment, client)."""

    when: array[float] = field(default_factory=lambda: array("d"))
    seconds: array[float] = field(default_factory=lambda: array("d"))
    failures: list[Failure] = field(default_factory=list)
    lost: list[tuple[float, int]] = field(default_factory=list)

    def add(self, other: Asked) -> None:
        self.when += other.when
        self.seconds += other.seconds
        self.failures += other.failures
        self.lost += other.lost


@dataclass
class Reading:
    """What the reader saw: how often it read, how many different contents, and those that were not whole."""

    reads: int = 0
    contents: int = 0
    partial: list[str] = field(default_factory=list)


class Client(threading.Thread):
    """Asks the models that stay, one after the other; an even ``number`` keeps its connection, an odd one does not."""

    def __init__(self, number: int, port: int, key: str, pause: float, stop: threading.Event) -> None:
        super().__init__()
        self.number, self.pause, self.stop, self.seen = number, pause, stop, Asked()
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)

    def run(self) -> None:
        names = itertools.cycle(STAYING if self.number % 4 < 2 else STAYING[::-1])
        while not self.stop.is_set():
            if self.number % 2:
                self.connection.close()
            began = time.monotonic()
            try:
                self._ask_again(next(names))
            except Exception as error:
                self.connection.close()
                self.seen.failures.append(Failure(began, time.monotonic(), f"{type(error).__name__}: {error}"[:400]))
            else:
                now = time.monotonic()
                self.seen.when.append(now)
                self.seen.seconds.append(now - began)
            if self.pause:
                self.stop.wait(self.pause)
        self.connection.close()

    def _ask_again(self, name: str) -> None:
        try:
            self._ask(name)
        except LOST:
            self.seen.lost.append((time.monotonic(), self.number))
            self.connection.close()
            self._ask(name)

    def _ask(self, name: str) -> None:
        body = {"model": PREFIX + name, "messages": [{"role": "user", "content": "hello"}]}
        self.connection.request("POST", "/v1/chat/completions", json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        if answer.status != 200 or f"hello from {name}" not in text:
            raise AssertionError(f"HTTP {answer.status}: {text}")


def _clients(stop: threading.Event, out: Any, port: int, key: str, count: int, pause: float) -> None:
    ended = threading.Event()
    clients = [Client(number, port, key, pause, ended) for number in range(count)]
    for client in clients:
        client.start()
    stop.wait()
    ended.set()
    seen = Asked()
    for client in clients:
        client.join()
        seen.add(client.seen)
    out.send(seen)


def _reader(stop: threading.Event, out: Any, path: Path, pause: float) -> None:
    """Reads on and on; what is the same bytes as the last time is known to be whole."""
    os.nice(19)  # it never waits, and shall take nothing from those that are measured
    last, seen = None, Reading()
    while not stop.is_set():
        try:
            data = path.read_bytes()
            seen.reads += 1
            if data != last:
                last = data
                seen.contents += 1
                missing = {PREFIX + name for name in STAYING} - {
                    item["model_name"] for item in entries_in(data).values()
                }
                if missing or not data.endswith(b"\n"):
                    raise ValueError(f"without {missing}, {len(data)} bytes")
        except Exception as error:
            seen.partial.append(f"{type(error).__name__}: {error}"[:300])
        if pause:
            time.sleep(pause)
    out.send(seen)


class Beside:
    """A function in a process of its own; a context manager. ``end`` gives what it has seen."""

    def __init__(self, target: Any, *arguments: Any) -> None:
        context = get_context("spawn")
        self._stop, (self._result, out) = context.Event(), context.Pipe(duplex=False)
        self._process = context.Process(target=target, args=(self._stop, out, *arguments), daemon=True)

    def __enter__(self) -> Beside:
        self._process.start()
        return self

    def end(self) -> Any:
        self._stop.set()
        if not self._result.poll(TIMEOUT):
            raise AssertionError(f"{self._process.name} gave no result; exit code {self._process.exitcode}")
        result = self._result.recv()
        self._process.join(60)
        return result

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._process.join(5)
        with contextlib.suppress(ValueError):
            self._process.kill()
        self._process.join()


def clients(port: int, key: str, count: int, pause: float) -> Beside:
    """So many clients, with ``pause`` seconds between two requests of each."""
    return Beside(_clients, port, key, count, pause)


def reader(path: Path, pause: float) -> Beside:
    """A reader of a models file that holds the models that stay from the beginning."""
    return Beside(_reader, path, pause)
