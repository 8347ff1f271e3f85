"""The compose files as they are written: closed containers, every setting documented, nothing shared with the demo."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.settings import Settings
from tests.containers.stack import OURS, command, environment
from tests.support.paths import ROOT

pytestmark = [pytest.mark.containers, pytest.mark.usefixtures("engine")]

COMPOSE = (ROOT / "docker-compose.yml").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
SETTINGS = dict(re.findall(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE, re.MULTILINE))


def config(env_file: Path, *files: str) -> dict[str, Any]:
    """What Compose makes of the files with nothing but ``env_file`` set."""
    env = environment()
    for name in ("BASE_IMAGE", "LITELLM_IMAGE", "COPILOT_SYNC_IMAGE", "DEMO_APPROVE_AFTER"):
        env.pop(name)
    words = [word for file in files or ("docker-compose.yml",) for word in ("--file", file)]
    text = command("docker", "compose", "--env-file", str(env_file), *words, "config", "--format", "json", env=env)
    return dict(json.loads(text))


@pytest.fixture
def nothing(tmp_path: Path) -> Path:
    file = tmp_path / "empty.env"
    file.touch()
    return file


@pytest.fixture
def services(nothing: Path) -> dict[str, Any]:
    return dict(config(nothing)["services"])


def test_the_services(services: dict[str, Any]) -> None:
    """There are three services, and LiteLLM waits for nothing but a healthy sidecar."""
    assert set(services) == set(OURS)
    assert {name: service.get("depends_on") for name, service in services.items() if service.get("depends_on")} == {
        "litellm": {"copilot-sync": {"condition": "service_healthy", "required": True}}
    }
    assert {name: service.get("restart") for name, service in services.items()} == {
        "login": "no",
        "copilot-sync": "unless-stopped",
        "litellm": "unless-stopped",
    }


@pytest.mark.parametrize("name", OURS)
def test_every_container_is_closed(services: dict[str, Any], name: str) -> None:
    """No capability but those that are named, no new privileges, a memory limit, nothing privileged or shared."""
    service = services[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["mem_limit"]) >= 64 << 20
    assert not {"privileged", "network_mode", "pid", "ipc", "devices"} & set(service)
    assert all("docker.sock" not in str(volume) for volume in service["volumes"])


def test_the_rights_of_each_container(nothing: Path) -> None:
    """Nobody but the one-shot login may write what is not theirs; LiteLLM and the stand-in may only read it."""
    demo = config(nothing, "docker-compose.yml", "docker-compose.demo.yml")["services"]
    become = {"SETGID", "SETPCAP", "SETUID"}
    assert {name: set(service["cap_add"]) for name, service in demo.items()} == {
        "github": {"DAC_READ_SEARCH"},
        "login": {"DAC_OVERRIDE", *become},
        "copilot-sync": {"CHOWN", "DAC_READ_SEARCH", *become},
        "litellm": {"DAC_READ_SEARCH"},
    }


def test_litellm_has_a_key_with_nothing_set(services: dict[str, Any]) -> None:
    """Sidecar and LiteLLM are pointed to one file for it; no key, and no leave to do without, is in their variables."""
    for name in ("copilot-sync", "litellm"):
        environment = {key: value for key, value in services[name]["environment"].items() if "MASTER_KEY" in key}
        assert {key: value for key, value in environment.items() if value is not None} == {
            "LITELLM_MASTER_KEY_FILE": "/keys/master-key"
        }
    assert not any("MASTER_KEY" in key for key in services["login"]["environment"])
    volumes = {name: {v["target"] for v in services[name]["volumes"]} for name in OURS}
    assert {name for name, targets in volumes.items() if "/keys" in targets} == {"copilot-sync", "litellm"}


def test_our_containers_have_a_read_only_root(services: dict[str, Any]) -> None:
    """The containers of our image have a read-only root file system and a bound on processes."""
    for name in ("login", "copilot-sync"):
        assert services[name]["read_only"] is True
        assert services[name]["pids_limit"] <= 64


def test_only_the_login_may_write_the_token(services: dict[str, Any]) -> None:
    """The token directory is read-only but for `login`; the shared volume and LiteLLM's key but for the sidecar."""
    writable = {
        (name, volume["target"])
        for name, service in services.items()
        for volume in service["volumes"]
        if not volume.get("read_only")
    }
    assert writable == {("login", "/github_auth"), ("copilot-sync", "/shared"), ("copilot-sync", "/keys")}


def test_the_services_are_checked(services: dict[str, Any]) -> None:
    """LiteLLM has a health check of its own, the sidecar its image's, and the one-shot login none."""
    assert "/health/liveliness" in services["litellm"]["healthcheck"]["test"][-1]
    assert "healthcheck" not in services["copilot-sync"]
    assert services["login"]["healthcheck"] == {"disable": True}


def test_the_ports_are_for_this_machine_alone(services: dict[str, Any]) -> None:
    """LiteLLM's and the status page's, on 127.0.0.1."""
    ports = {
        name: [(p["host_ip"], p["published"]) for p in service.get("ports", ())] for name, service in services.items()
    }
    assert ports == {"login": [], "copilot-sync": [("127.0.0.1", "8080")], "litellm": [("127.0.0.1", "4000")]}


def test_litellm_reports_to_the_sidecar(services: dict[str, Any]) -> None:
    """At its name in Compose's network, on the port that it answers on where nothing else is set."""
    assert services["litellm"]["environment"]["COPILOT_SYNC_URL"] == f"http://copilot-sync:{Settings().health_port}"
    assert "COPILOT_HEALTH_PORT" not in services["copilot-sync"]["environment"]


def test_every_setting_is_in_the_example(services: dict[str, Any]) -> None:
    """Every variable of the compose file is in .env.example, and nothing else is."""
    used = set(re.findall(r"\$\{([A-Z][A-Z0-9_]*)", COMPOSE))
    passed_on = {
        name
        for service in yaml.safe_load(COMPOSE)["services"].values()
        for name, value in service["environment"].items()
        if value is None
    }
    assert used | passed_on == set(SETTINGS)


def test_the_example_shows_the_defaults(nothing: Path, tmp_path: Path) -> None:
    """With every line of .env.example uncommented as it is, Compose makes the same of the file."""
    everything = tmp_path / "all.env"
    # These have no value that means the same as none, whatever the others are.
    no_default = {
        *("LITELLM_MASTER_KEY", "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY"),
        "COPILOT_ACCEPT_LOSS_AFTER",
    }
    lines = (f"{name}={value}\n" for name, value in SETTINGS.items() if name not in no_default)
    everything.write_text("".join(lines))
    assert config(everything) == config(nothing)


def test_the_example_is_all_comments() -> None:
    """Copying .env.example to .env changes nothing by itself."""
    assert [line for line in EXAMPLE.splitlines() if line and not line.startswith("#")] == []


def test_the_demo_shares_nothing(nothing: Path) -> None:
    """The demo is a project of its own: no volume, network or container name is the real one's."""
    real, demo = config(nothing), config(nothing, "docker-compose.yml", "docker-compose.demo.yml")
    assert real["name"] != demo["name"]
    for kind in ("volumes", "networks"):
        assert not {item["name"] for item in real[kind].values()} & {item["name"] for item in demo[kind].values()}
    assert not any("container_name" in service for service in demo["services"].values())


def test_the_demo_asks_nobody_but_the_stand_in(nothing: Path) -> None:
    """Every address that the demo's containers know is the stand-in's, one of theirs, or where LiteLLM is published."""
    demo = config(nothing, "docker-compose.yml", "docker-compose.demo.yml")["services"]
    values = [value or "" for name in OURS for value in demo[name]["environment"].values()]
    addresses = [value for value in values if "://" in value]
    assert len(addresses) > 3
    own = ("http://github:8000", "http://litellm:4000", "http://copilot-sync:8080", "http://localhost:4000")
    assert [address for address in addresses if not address.startswith(own)] == []
    assert demo["github"]["read_only"] is True
    assert demo["github"]["cap_drop"] == ["ALL"]
    assert demo["github"]["security_opt"] == ["no-new-privileges:true"]
    assert "ports" not in demo["github"]
