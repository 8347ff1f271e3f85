"""No answer, and no record, makes `sync` take so much memory that the compose file's limit would end it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from sidecar.models.absences import absences_file
from tests.fakes.catalog import model
from tests.support.github_paths import EXCHANGE, MODELS
from tests.support.paths import ROOT

MOST = 100 * 1024
"""KiB, of which some 35 MiB are what the same process takes when it is idle."""

# One sync for each line on standard input; says its exit code and the most memory that it took.
SYNCS = """
import os, re, sys
from pathlib import Path
from sidecar import cli
for line in sys.stdin:
    Path("/proc/self/clear_refs").write_text("5")
    code = cli.main(line.split(), os.environ)
    print("VmHWM", code, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1], flush=True)
"""

FACE = "\N{GRINNING FACE}".encode()


def item(id: str, inside: bytes) -> bytes:
    return b'{"id":"%b","model_picker_enabled":true,"x":%b}' % (id.encode(), inside)


def catalog(*items: bytes) -> bytes:
    return b'{"data":[%b]}' % b",".join(items)


def many(value: bytes, size: int, most: int = 10**9) -> bytes:
    """A list of as many values as go into so many bytes."""
    return b"[%b]" % b",".join([value] * min(size // (len(value) + 1), most))


FULL = [model(f"a-model-{number}", vision=True, supports={"x": "y" * 2000}) for number in range(500)]
# name: the body, and the exit code. Those with 0 are the worst of their kind that are let through, or nearly so.
CATALOGS = {
    "five hundred models": (json.dumps({"data": FULL}).encode(), 0),
    "a long text": (catalog(item("a", b'"%b%b"' % (FACE, b"x" * 2_000_000))), 0),
    "nothing but faces": (catalog(item("b", b'"%b"' % (FACE * 500_000))), 0),
    "faces in every model": (catalog(*(item(f"c-{number}", b'"%b"' % (FACE * 2000)) for number in range(250))), 0),
    "numbers": (catalog(item("d", many(b"1." + b"5" * 17, 2_000_000, 99_000))), 0),
    "objects": (catalog(item("e", many(b'{"x":1}', 2_000_000, 33_000))), 0),
    "lists": (catalog(item("f", many(b"[]", 2_000_000, 49_000))), 0),
    "more objects": (catalog(item("g", many(b"{}", 2_000_000))), 4),
    "14,000 models": (catalog(*(item(str(number), b"1") for number in range(14_000))), 4),
    "fifteen megabytes": (catalog(item("h", many(b"{}", 15_000_000))), 4),
}


@pytest.fixture
def process(bench):
    """A process that syncs whenever it is told to; ``process(...)`` gives the exit code and the memory, in KiB."""
    environ = {**bench.environ, "COPILOT_LOG_LEVEL": "ERROR"}
    popen = subprocess.Popen(
        [sys.executable, "-c", SYNCS],
        cwd=ROOT, env=environ, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with popen:

        def sync(*arguments: str) -> tuple[int, int]:
            popen.stdin.write(" ".join(arguments) + "\n")
            popen.stdin.flush()
            for line in popen.stdout:
                if line.startswith("VmHWM"):
                    code, memory = line.split()[1:]
                    return int(code), int(memory)
            raise AssertionError("it has ended")

        yield sync
        popen.stdin.close()


def test_memory(bench, process, record_property):
    """Whatever is answered or recorded, what a sync takes has a bound, and what is refused changes nothing."""
    bench.log_in()
    idle = process("healthcheck")[1]
    assert process("sync")[0] == 0
    taken = {}

    def sync(what, code, times=2):
        before = bench.models_file.read_bytes()
        for _ in range(times):
            found, memory = process("sync")
            assert found == code and (code == 0 or bench.models_file.read_bytes() == before), what
            taken[what] = max(taken.get(what, 0), memory)

    for name, (body, code) in CATALOGS.items():
        bench.gh.fail(MODELS, body=body)
        sync(name, code, times=2 if code == 0 else 1)
    bench.gh.heal()
    for name in ("lists", "more objects", "fifteen megabytes"):
        bench.gh.fail(EXCHANGE, body=CATALOGS[name][0].replace(b'"data"', b'"token"'))
        sync(f"{name} in the exchange", 4, times=1)
    bench.gh.heal()
    for name in ("lists", "more objects"):
        absences_file(bench.models_file).write_bytes(CATALOGS[name][0])
        sync(f"{name} as the record", 0, times=1)
    worst = max(taken, key=taken.__getitem__)
    record_property("most memory, KiB, idle and at worst", f"{idle}, {taken[worst]} ({worst})")
    assert taken[worst] < MOST, (idle, taken)
