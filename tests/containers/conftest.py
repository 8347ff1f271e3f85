"""A Docker engine with Compose, the image built once, and stacks that leave nothing behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.containers.stack import BASE_IMAGE, IMAGE, LITELLM_IMAGE, CommandFailed, Stack, command, docker


def _missing() -> str:
    """What there is no engine with Compose for; empty when there is one."""
    if not shutil.which("docker"):
        return "there is no `docker` command"
    try:
        docker("version")
    except CommandFailed as error:
        return f"no Docker engine answers: {error.output.strip()[-300:]}"
    except subprocess.TimeoutExpired:
        return "the Docker engine does not answer within a minute"
    try:
        docker("compose", "version")
    except CommandFailed:
        return "the Docker engine has no Compose v2 plugin"
    return ""


@pytest.fixture(scope="session")
def engine() -> None:
    """Skips where there is no engine; in CI that is a failure."""
    if reason := _missing():
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"CI needs a Docker engine with Compose: {reason}")
        pytest.skip(reason)


def _image_id(name: str) -> str:
    try:
        return docker("image", "inspect", "--format", "{{.Id}}", name).strip()
    except CommandFailed:
        return ""


@pytest.fixture(scope="session")
def image(engine: None) -> str:
    """The sidecar image, built from the Dockerfile by Compose; the LiteLLM image is there, too."""
    for name in (BASE_IMAGE, LITELLM_IMAGE):
        if not _image_id(name):
            docker("pull", "--quiet", name, seconds=800)
    before = _image_id(IMAGE)
    command("docker", "compose", "--file", "docker-compose.yml", "build", "copilot-sync", seconds=600)
    if before not in ("", _image_id(IMAGE)):
        with contextlib.suppress(CommandFailed):  # something may still use it
            docker("image", "rm", before)
    return IMAGE


@contextlib.contextmanager
def _maker(homes: pytest.TempPathFactory) -> Iterator[Callable[..., Stack]]:
    with contextlib.ExitStack() as made:

        def make(**arguments: Any) -> Stack:
            return made.enter_context(Stack(homes.mktemp("stack"), **arguments))

        yield make


@pytest.fixture
def stacks(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Stack]]:
    """Makes stacks that end, with all their volumes, when the test is done."""
    with _maker(tmp_path_factory) as make:
        yield make


@pytest.fixture(scope="module")
def lasting_stacks(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Stack]]:
    """The same, for stacks that the tests of a module share."""
    with _maker(tmp_path_factory) as make:
        yield make
