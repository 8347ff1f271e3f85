"""The compose file of a release, alone in a directory: what a stranger downloads and starts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.containers.stack import IMAGE, Stack, command, environment
from tests.support import canary
from tests.support.paths import ROOT

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]


class Downloaded(Stack):
    """A project of the one file. The stand-in for GitHub is not in it, and comes from the clone by its full path."""

    def files(self) -> list[Path]:
        demo = self.home / "demo.yml"
        demo.write_text((ROOT / "docker-compose.demo.yml").read_text().replace("./tests", str(ROOT / "tests")))
        return [self.clone / "docker-compose.yml", demo, self._override]


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A directory with the one file, for the image that the tests have built."""
    directory = tmp_path / "empty"
    directory.mkdir()
    text = command(sys.executable, "scripts/release.py", "compose", IMAGE, only_stdout=True)
    (directory / "docker-compose.yml").write_text(text)
    return directory


def test_it_works_in_an_empty_directory(image: str, tmp_path: Path, empty: Path) -> None:
    """`up --wait` ends well, a completion is served, the config is there, and the directory has nothing more."""
    # Without COPILOT_SYNC_IMAGE: what the file says is the default.
    with Downloaded(tmp_path, token=canary.new("a"), clone=empty, COPILOT_SYNC_IMAGE="") as stack:
        stack.write_token(10001)
        stack.compose("up", "--detach", "--wait", "github", "copilot-sync", "litellm", seconds=400)
        assert stack.wait_served(60)
        assert stack.chat().status_code == 200
        assert stack.exec("litellm", "cat", "/app/inline/config.yaml") == (ROOT / "config.yaml").read_text()
    assert [path.name for path in empty.iterdir()] == ["docker-compose.yml"]


def test_a_config_and_files_of_ones_own(engine: None, empty: Path) -> None:
    """LITELLM_CONFIG and COPILOT_CUSTOM_DIR name them as in a clone, and they have the same path in the container."""
    env = environment(LITELLM_CONFIG="./mine.yaml", COPILOT_CUSTOM_DIR="./mine")
    words = ["docker", "compose", "--file", str(empty / "docker-compose.yml"), "config", "--format", "json"]
    services = json.loads(command(*words, env=env, only_stdout=True))["services"]
    assert services["litellm"]["command"][1] == "/app/inline/../config.yaml"
    mounts = {item["target"]: item["source"] for name in services for item in services[name].get("volumes", [])}
    assert mounts["/app/config.yaml"] == str(empty / "mine.yaml")
    assert mounts["/custom"] == str(empty / "mine")
    assert services["copilot-sync"]["environment"]["COPILOT_ALIASES_FILE"] == "/custom/aliases.yaml"
    assert services["copilot-sync"]["environment"]["COPILOT_OVERRIDES_FILE"] == "/custom/overrides.yaml"


@pytest.mark.nightly
def test_two_builds_are_the_same(engine: None) -> None:
    """Two builds of this commit without a cache have the same layers and settings."""
    said = command("scripts/image.sh", "compare", seconds=900)
    assert "the same" in said and said.count("sha256:") >= 4
