"""The container image: what its own layers add to the base image, and how soon a container of it answers. A
container counts as healthy at the first 200 of `/readyz`, before any login and without GitHub, as LiteLLM waits for
it in the compose file; Docker's own word comes with the next of its checks. Compared with the base image that starts
Python's own `http.server`: what the engine and the interpreter take anyway. Five starts each; the image is built
before.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable

from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.waiting import until

from .figures import Figure

BASE, IMAGE = "python:3.13-slim", "litellm-copilot-model-sync:bench"
TIMES = 5


def docker(*words: str) -> str:
    """What it wrote. Raises CalledProcessError."""
    return subprocess.run(["docker", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def measure(left_out: list[str]) -> list[Figure]:
    try:
        if not shutil.which("docker"):
            raise FileNotFoundError("there is no docker command")
        docker("build", "--quiet", "--build-arg", f"BASE_IMAGE={BASE}", "--tag", IMAGE, ".")
    except (OSError, subprocess.CalledProcessError) as error:
        left_out.append(f"all of it, because no image could be built here ({type(error).__name__})")
        return []
    try:
        base, ours = (json.loads(docker("image", "inspect", name))[0] for name in (BASE, IMAGE))
        shared, layers = len(base["RootFS"]["Layers"]), ours["RootFS"]["Layers"]
        assert layers[:shared] == base["RootFS"]["Layers"]
        starts = [_seconds("readyz", IMAGE) for _ in range(TIMES)]
        bare = [_seconds("", BASE, "python3", "-m", "http.server", "8080") for _ in range(TIMES)]
        return [
            Figure(
                "its own layers", "MB", ((ours["Size"] - base["Size"]) / 1e6,), {"base": (base["Size"] / 1e6,)}, most=7
            ),
            Figure("from start to healthy", "s", tuple(starts), {"base image": tuple(bare)}, most=1),
        ]
    finally:
        docker("image", "rm", IMAGE)


def _seconds(path: str, *words: str) -> float:
    """From ``docker start`` to the first answer of 200."""
    port = free_port()
    name = docker("create", "--publish", f"127.0.0.1:{port}:8080", *words)
    try:
        began = time.monotonic()
        docker("start", name)
        until(_answers(f"http://127.0.0.1:{port}/{path}"), 60, "an answer")
        return time.monotonic() - began
    finally:
        docker("rm", "--force", "--volumes", name)


def _answers(url: str) -> Callable[[], bool]:
    def answers() -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    return answers
