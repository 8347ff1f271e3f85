"""What an entry may hold: the models file is refused as a whole, and overrides by line, for anything else."""

from __future__ import annotations

import copy
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.errors import UsageError
from sidecar.files import read_file
from sidecar.litellm_hot_reload import models_file as hook
from sidecar.litellm_hot_reload.allowed import entry_problem
from sidecar.models.catalog import parse_models
from sidecar.models.customize import load_custom
from sidecar.models.entries import build_entries, models_file_bytes
from sidecar.settings import Settings
from tests.fakes.catalog import demo_catalog, model
from tests.support.entries import entries_of, managed_entry
from tests.support.files import put

REFERENCES = (
    "os.environ/LITELLM_MASTER_KEY",
    "os.environ/oidc/env/HOME",
    "see os.environ/HOME",
    "OS.ENVIRON/HOME",
    "oidc/file/x",
    " oidc/env/X",
    "hashicorp_vault/x",
    "aws_secret_manager/x",
)
PARAMS: dict[str, Any] = {
    **dict.fromkeys(("api_base", "base_url", "aws_sts_endpoint", "token_exchange_endpoint"), "http://evil.example"),
    **dict.fromkeys(("api_key", "azure_ad_token", "organization", "custom_llm_provider", "client_secret"), "x"),
    **dict.fromkeys(("vertex_credentials", "anthropic_identity_token_file", "chatgpt_auth_file"), "/etc/passwd"),
    **dict.fromkeys(("use_litellm_proxy", "use_in_pass_through", "use_xai_oauth"), True),
    "configurable_clientside_auth_params": ["api_base"],
    "extra_body": {"x": 1},
    "model_info": {"id": "x"},
    "mock_response": "x",
    "github_copilot_host": "evil.example",
    "auto_router_config_path": "/etc/passwd",
    "litellm_credential_name": "x",
    "github_copilot_auth_type": "per_user_oauth",
    "a key of tomorrow": "x",
    "timeout": "os.environ/TIMEOUT",
    "rpm": -1,
    "tpm": 1.5,
    "drop_params": "true",
    "tags": ["os.environ/HOME"],
    "max_budget": float("inf"),
    "input_cost_per_token": "0.1",
    "temperature": float("nan"),
    "stop": [["x"]],
}
HEADERS: dict[str, Any] = {
    **dict.fromkeys(("Authorization", "authorization", "HOST", "Cookie", "Proxy-Authorization", "connection"), "x"),
    **dict.fromkeys(("Content-Length", "content_length", "Transfer-Encoding", "content-encoding", "x-api-key"), "x"),
    **dict.fromkeys(("a b", "a:b", "a\nb", "", "ä", "a" * 200), "x"),
    "x-crlf": "x\r\nHost: evil.example",
    "x-nul": "x\0",
    "x-latin": "ü",
    "x-blank": " x",
    "x-number": 5,
    "x-long": "x" * 2000,
    "x-reference": "os.environ/HOME",
}
INFO: dict[str, Any] = {
    "id": "mine",
    "db_model": True,
    "health_check_model": "openai/x",
    "health_check_params": {"api_base": "x"},
    "litellm_provider": "openai",
    "a-b": 1,
    "os.environ/HOME": 1,
    "nested": {"x": 1},
    "list": [{"x": 1}],
    "long": "x" * 2000,
    "many": ["x"] * 1000,
    "max_tokens": True,
    "input_cost_per_token": -1,
    "number": 10**20,
    "mode": None,
    **{f"text{number}": text for number, text in enumerate(REFERENCES)},
    **{f"texts{number}": ["chat", text] for number, text in enumerate(REFERENCES)},
}
HOSTILE = {
    **{f"params {key}": ("litellm_params", {key: value}) for key, value in PARAMS.items()},
    **{f"header {name!r:.20}": ("litellm_params", {"extra_headers": {name: text}}) for name, text in HEADERS.items()},
    **{f"info {key}": ("model_info", {key: value}) for key, value in INFO.items()},
}
HARMLESS = {
    "litellm_params": {
        "timeout": 120,
        "stream_timeout": 2.5,
        "rpm": 30,
        "tpm": 10_000,
        "max_retries": 0,
        "num_retries": 3,
        "max_parallel_requests": 4,
        "weight": 0.5,
        "order": 1,
        "cooldown_time": 5,
        "tags": ["team-a", "free"],
        "max_budget": 10.5,
        "budget_duration": "1d",
        "drop_params": True,
        "additional_drop_params": ["user"],
        "temperature": -0.5,
        "top_p": 1,
        "max_tokens": 100,
        "stop": ["x"],
        "reasoning_effort": "low",
        "input_cost_per_token": 0.000001,
        "output_cost_per_token_above_272k_tokens": 0,
        "extra_headers": {"anthropic-beta": "context-1m-2025-08-07", "X-Team": "a b"},
    },
    "model_info": {"note": "shared, by all: the team's", "access_groups": ["beta"], "base_model": "gpt-4o", "n": None},
}


@pytest.fixture
def models(tmp_path: Path) -> hook.ModelsFile:
    """One that has read a good file."""
    models = hook.ModelsFile(tmp_path / "models.yaml")
    models.path.write_bytes(models_file_bytes(entries_of([model("good")])))
    models.refresh()
    return models


def override(tmp_path: Path, values: dict[str, Any]) -> Any:
    path = tmp_path / "overrides.yaml"
    path.write_text(yaml.safe_dump({"gpt-*": values}))
    return load_custom(Settings.load({"COPILOT_OVERRIDES_FILE": str(path)}), read_file)


@pytest.mark.parametrize("what", HOSTILE)
def test_neither_door_admits_it(what, models, tmp_path, caplog, monkeypatch):
    """The hook keeps the previous models and says which key it was; an override is refused by line and key."""
    part, values = HOSTILE[what]
    entry = managed_entry("gpt-4o")
    entry[part] |= values
    monkeypatch.setattr(hook.log, "propagate", True)
    before = models.wanted
    put(models.path, yaml.safe_dump({"model_list": [entry]}))
    with caplog.at_level(logging.WARNING, logger=hook.log.name):
        models.refresh()
    assert models.wanted is before
    assert len(caplog.messages) == 1 and caplog.messages[0].isprintable()
    with pytest.raises(UsageError) as caught:
        override(tmp_path, {part: values})
    assert re.search(r"overrides.yaml, line [23]: ", str(caught.value)) and str(caught.value).isprintable()
    key = next(iter(values))
    if key.isidentifier() and isinstance(values[key], str):
        assert f"{part}.{key} of " in caplog.messages[0]
        assert f"{part}.{key} of gpt-*" in str(caught.value)


def test_what_people_set_passes_both_doors(models, tmp_path):
    """An override of every harmless kind arrives in the hook as it was written."""
    custom = override(tmp_path, HARMLESS)
    entries, _ = build_entries(parse_models([model("gpt-4o")])[0], Settings(), custom)
    put(models.path, models_file_bytes(entries))
    models.refresh()
    assert models.problem == ""
    (entry,) = models.wanted.values()
    for part, values in HARMLESS.items():
        for key, value in values.items():
            found = entry[part][key]
            assert found == value if key != "extra_headers" else value.items() <= found.items()


@pytest.mark.parametrize("environ", [{}, {"COPILOT_CREDENTIAL_NAME": "team seat"}, {"COPILOT_PRICES": "zero"}], ids=str)
@pytest.mark.parametrize("names", ["both", "prefixed"])
def test_everything_that_the_sidecar_writes_passes(environ, names):
    """Also the names, and the two keys of the per-user seat."""
    for entry in entries_of(demo_catalog(), COPILOT_MODEL_NAMES=names, **environ):
        assert entry_problem(yaml.safe_load(models_file_bytes([entry]))["model_list"][0]) is None


@pytest.mark.parametrize(
    "seat",
    [
        {"litellm_credential_name": "x"},
        {"github_copilot_auth_type": "per_user_oauth"},
        {"litellm_credential_name": "x", "github_copilot_auth_type": "shared"},
        {"litellm_credential_name": ["x"], "github_copilot_auth_type": "per_user_oauth"},
        {"litellm_credential_name": "os.environ/X", "github_copilot_auth_type": "per_user_oauth"},
    ],
    ids=str,
)
def test_a_credential_is_only_named_for_each_users_own_seat(seat):
    """Half of the pair would use another credential's key."""
    entry = managed_entry("gpt-4o")
    assert entry_problem(entry) is None
    entry["litellm_params"] |= seat
    assert "own seat" in str(entry_problem(entry))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("model_name", ""),
        ("model_name", "*"),
        ("model_name", "x\n2026-01-01 copilot-hook[1] INFO removed all"),
        ("model_name", "os.environ/HOME"),
        ("model_name", "\x1b[2J"),
        ("model_name", "x" * 300),
        ("model_name", ["x"]),
        ("litellm_params", {"model": "github_copilot/*"}),
        ("litellm_params", {"model": "github_copilot/"}),
        ("litellm_params", {"model": "openai/gpt-4o"}),
        ("litellm_params", {"model": "github_copilot/x\n"}),
        ("litellm_params", {}),
        ("model_info", {"id": "github_copilot/managed/x\x1b[2J"}),
        ("model_info", {f"key{n}": n for n in range(300)}),
        ("api_base", "http://evil.example"),
        ("tpm", 1),
    ],
    ids=lambda value: f"{value!r:.30}",
)
def test_the_frame_of_an_entry_is_held(place, value):
    """Names, the provider and the id are of one alphabet, and nothing stands beside the three parts."""
    entry = copy.deepcopy(managed_entry("gpt-4o"))
    entry[place] = value
    problem = entry_problem(entry)
    assert problem and problem.isprintable() and len(problem) < 200
