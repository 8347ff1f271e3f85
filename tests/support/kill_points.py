"""Kills a run before each system call of it that writes: kill_points.py STRACE SCENARIO DIRECTORY

Each run is a fork of this process, which has imported everything, and strace kills it.
Meanwhile another process reads without a pause. Prints what it found as JSON, see ``Found``.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .files import files_under
from .kill_scenarios import SCENARIOS

CALLS = (
    *("open", "openat", "write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "renameat2", "link", "linkat"),
    *("symlink", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "chmod", "fchmod", "fchmodat", "chown", "fchown"),
    *("fchownat", "setxattr", "fsetxattr", "fremovexattr", "ftruncate", "flock"),
)
_PR_SET_PTRACER = 0x59616D61
_LINE = re.compile(r"(?:\d+ +)?(\w+)\((.*)")

READER = """
import json, os, sys, hashlib
paths, seen = sys.argv[1:], {}
print("reading", flush=True)
os.set_blocking(0, False)
while True:
    for path in paths:
        try:
            with open(path, "rb") as file:
                content = hashlib.sha256(file.read()).hexdigest()
        except FileNotFoundError:
            content = "missing"
        seen.setdefault(path, set()).add(content)
    try:
        if not os.read(0, 1):
            break
    except BlockingIOError:
        pass
print(json.dumps({path: sorted(contents) for path, contents in seen.items()}))
"""


@dataclass
class Found:
    """``calls``: before which calls it was killed; ``problems``: what was neither old nor new, or did not heal."""

    calls: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def _fork(act: Callable[[], None], ready: int | None = None) -> int:
    """A child that runs ``act``, once there is a byte to read from ``ready``."""
    if pid := os.fork():
        return pid
    try:
        if ready is not None:
            ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1))  # whoever is not root may trace it too
            os.read(ready, 1)
        act()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _traced(strace: str, act: Callable[[], None], log: Path, *options: str) -> int:
    """The wait status of a child that runs ``act`` under strace with these options."""
    reading, writing = os.pipe()
    child = _fork(act, reading)
    words = [strace, "-f", "-y", "-o", str(log), "-p", str(child), *options]
    tracer = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    if "attached" not in said:
        os.kill(child, 9)
        os.waitpid(child, 0)
        raise SystemExit(f"strace cannot attach: {said} {tracer.stderr.read()}")
    os.write(writing, b"x")
    status = os.waitpid(child, 0)[1]
    tracer.communicate()
    os.close(reading)
    os.close(writing)
    return status


def _calls(log: Path, directory: Path) -> Iterator[tuple[str, int, str]]:
    """The calls that change something in ``directory``: the call, which one of its kind it is, and its line."""
    counts: dict[str, int] = {}
    first = log.read_text().partition(" ")[0]
    for line in log.read_text().splitlines():
        if not line.startswith(first) or not (match := _LINE.match(line)):
            continue
        name = match[1]
        counts[name] = counts.get(name, 0) + 1
        if str(directory) in match[2] and ("open" not in name or "O_CREAT" in match[2]):
            yield name, counts[name], match[2]


@contextlib.contextmanager
def _reader(paths: list[Path], seen: dict[str, set[str]]) -> Iterator[None]:
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, *map(str, paths)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    reader.stdout.readline()
    yield
    seen |= {path: set(contents) for path, contents in json.loads(reader.communicate()[0]).items()}


def _hash(content: bytes | None) -> str:
    return "missing" if content is None else hashlib.sha256(content).hexdigest()


def explore(strace: str, name: str, directory: Path) -> Found:
    """Run the scenario to its end once, and then again for each of its calls, killed before it."""
    scenario = SCENARIOS[name]
    found, seen = Found(), dict[str, set[str]]()
    place, log = directory / "place", directory / "strace.log"
    place.mkdir()

    def act() -> None:
        scenario.act(place)

    def run() -> int:
        return os.waitpid(_fork(act), 0)[1]

    scenario.reset(place)
    scenario.act(place)  # imports what it needs
    scenario.reset(place)
    old = files_under(place)
    names = ",".join(f"?{call}" for call in CALLS)
    assert _traced(strace, act, log, "-e", f"trace={names}") == 0
    new = files_under(place)
    calls = list(_calls(log, place))
    allowed = {path: {_hash(old.get(path)), _hash(new.get(path))} for path in scenario.watched}
    scenario.reset(place)
    with _reader([place / path for path in scenario.watched], seen):
        for call, number, line in calls:
            point = f"before {call} {number} ({line[-150:]})"
            scenario.reset(place)
            status = _traced(strace, act, log, "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}")
            if status != 9:
                found.problems.append(f"{point}: it was not killed, but ended with {status}")
            now = files_under(place)
            found.problems += [
                f"{point}: {path} is neither old nor new"
                for path in allowed
                if _hash(now.get(path)) not in allowed[path]
            ]
            for left in place.rglob(".*.tmp") if scenario.aged else ():
                os.utime(left, (0, 0))
            if status := run():
                found.problems.append(f"{point}: the next run ended with {status}")
            if scenario.shape(after := files_under(place)) != scenario.shape(new):
                found.problems.append(f"{point}: the next run left {sorted(after)}, not {sorted(new)}")
            found.calls.append(call)
    for path in scenario.watched:
        if not seen[str(place / path)] <= allowed[path]:
            found.problems.append(f"the reader saw a {path} that was neither old nor new")
    return found


if __name__ == "__main__":
    print(json.dumps(asdict(explore(sys.argv[1], sys.argv[2], Path(sys.argv[3])))))
