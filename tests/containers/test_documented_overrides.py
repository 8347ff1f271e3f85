"""The docker-compose.override.yml of the documents: Compose takes each as it is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.containers.test_compose_file import config
from tests.support.paths import ROOT

pytestmark = [pytest.mark.containers, pytest.mark.usefixtures("engine")]

COMPOSE = str(ROOT / "docker-compose.yml")
SHOWN = [
    (page.name, block)
    for page in sorted(ROOT.glob("docs/*.md"))
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    if re.search(r"^services:", block, re.MULTILINE)
]
ENVIRONMENT = "POSTGRES_PASSWORD=x\nLITELLM_SALT_KEY=x\n"


@pytest.mark.parametrize(("page", "block"), SHOWN, ids=[page for page, _ in SHOWN])
def test_compose_takes_the_override(page: str, block: str, tmp_path: Path) -> None:
    """It adds what it says to services that are there, or are whole; what they had, they keep."""
    env_file, override = tmp_path / "env", tmp_path / "docker-compose.override.yml"
    env_file.write_text(ENVIRONMENT)
    override.write_text(block)
    before, after = (config(env_file, *files)["services"] for files in ((COMPOSE,), (COMPOSE, str(override))))
    assert set(after) == {*before, *yaml.safe_load(block)["services"]}
    for name, said in yaml.safe_load(block)["services"].items():
        assert (said.get("environment") or {}).keys() <= after[name]["environment"].keys()
        targets = {volume["target"] for volume in after[name].get("volumes", [])}
        assert {volume.split(":")[1] for volume in said.get("volumes", [])} <= targets
        assert {volume["target"] for volume in before.get(name, {}).get("volumes", [])} <= targets


def test_overrides_are_shown() -> None:
    """They are found: for a config that is followed, for users' own seats, and for certificates."""
    assert {page for page, _ in SHOWN} == {"deployment.md", "follow-config.md", "per-user-seats.md"}
