"""SIGKILL at any moment leaves what was there or what was to be, to a reader as on the disk, and the next run heals."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from sidecar.models.entries import models_file_bytes
from sidecar.targets import configmap
from tests.support.entries import managed_entry
from tests.support.kill_scenarios import SCENARIOS
from tests.support.paths import ROOT
from tests.support.tls import make_certificate
from tests.support.tools import missing, tool
from tests.unit.targets.test_configmap import TOKEN, ApiServer


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_before_every_call_that_writes(tmp_path, name):
    """Killed before each system call that changes a file, which is after the one before; the next run finishes it."""
    words = [sys.executable, "-m", "tests.support.kill_points", tool("strace", "apt-get install strace")]
    done = subprocess.run([*words, name, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=300)
    if "strace cannot attach" in done.stderr:
        missing(done.stderr)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(len(found["calls"]), "kills")
    assert found["problems"] == [] and len(found["calls"]) >= 3


SYNC = """
import os, signal, sys, threading
from pathlib import Path
from sidecar.targets.base import Built
from sidecar.targets.configmap import ConfigMapTarget
from tests.support.entries import managed_entry

def make(_):
    if sys.argv[3] == "between":
        os.kill(os.getpid(), signal.SIGKILL)
    return Built([managed_entry("new")], b"new")

ConfigMapTarget("copilot-models", "127.0.0.1", int(sys.argv[1]), Path(sys.argv[2])).update(make, threading.Event())
"""


class DeadlyServer(ApiServer):
    """Kills its client at a given moment."""

    client: subprocess.Popen[bytes]
    moment = ""

    def handle(self, request):
        self.kill_at(f"{request.method} arrives")
        answer = super().handle(request)
        self.kill_at(f"{request.method} done")
        return answer

    def kill_at(self, moment):
        if moment == self.moment:
            self.client.kill()
            self.client.wait()


@pytest.mark.parametrize(
    ("moment", "holds"),
    [("GET arrives", "old"), ("between", "old"), ("PATCH arrives", "new"), ("PATCH done", "new")],
)
def test_killed_around_the_patch_of_a_configmap(tmp_path, moment, holds):
    """A sync that is killed before, between and after its two requests leaves the old object or the new one."""
    certificate = make_certificate(tmp_path)
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "namespace").write_text("llm")

    def content(name):
        return {configmap.KEY: models_file_bytes([managed_entry(name)]).decode()}

    with DeadlyServer(certificate) as api:
        api.write(data=content("old"))
        for api.moment in (moment, "never"):
            words = [sys.executable, "-c", SYNC, str(api.port), str(tmp_path), api.moment]
            api.client = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE)
            assert api.client.wait(60) == (0 if api.moment == "never" else -9), api.client.stderr.read()
            api.client.stderr.close()
            if api.moment == moment:
                assert api.object["data"] == content(holds)
                assert (configmap.ABSENCES_KEY in api.object.get("binaryData", {})) == (holds == "new")
        assert api.object["data"] == content("new")
        assert configmap._unpack(api.object["binaryData"][configmap.ABSENCES_KEY]) == b"new"
