"""Configs as the older tools with the same script names wrote them, for whoever comes from there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

HEADERS = {
    "Editor-Version": "vscode/1.85.1",
    "Editor-Plugin-Version": "copilot/1.155.0",
    "User-Agent": "GithubCopilot/1.155.0",
    "Copilot-Integration-Id": "vscode-chat",
}
FREE = {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}


def older_entry(model: str, name: str = "", *, cached: bool = True) -> dict[str, Any]:
    """An entry for one model: ``cached`` if the catalog says that it streams, as that of nearly every model does."""
    info = {
        "litellm_provider": "github_copilot",
        "mode": "chat",
        **FREE,
        "max_tokens": 64000,
        "supports_tool_calls": True,
    }
    params = {"model": f"github_copilot/{model}", "extra_headers": HEADERS, "model_info": info}
    return {"model_name": name or model, "litellm_params": {**params, **({"cache_models_for": 7200} if cached else {})}}


def older_config(models: Iterable[str]) -> str:
    """A whole config: what the tool wrote around the entries, and something of the user's own."""
    config = {
        "model_list": [older_entry(model) for model in models],
        "litellm_settings": {"drop_params": True},
        "general_settings": {"github_copilot": {"token_dir": "/github_auth", "cache_models": True}},
    }
    return "# mine\n" + yaml.dump(config, sort_keys=False, Dumper=_Dumper)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True
