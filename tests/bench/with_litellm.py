"""The script that one would write instead of the sidecar's sync: LiteLLM's own knowledge, and Copilot's catalog.

``python -m tests.bench.with_litellm FILE`` exchanges the access token, reads the catalog and writes a models file,
with LiteLLM's price list for what it knows; no locks, no checks, no memory of what was there before.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import litellm
import requests
import yaml


def entry(item: dict[str, Any]) -> dict[str, Any]:
    name = f"github_copilot/{item['id']}"
    known = litellm.model_cost.get(name, {})
    limits = item["capabilities"].get("limits", {})
    info = {
        "mode": known.get("mode", "chat"),
        "max_input_tokens": limits.get("max_prompt_tokens"),
        "max_output_tokens": limits.get("max_output_tokens"),
        "input_cost_per_token": known.get("input_cost_per_token", 0.0),
        "output_cost_per_token": known.get("output_cost_per_token", 0.0),
    }
    return {"model_name": name, "litellm_params": {"model": name}, "model_info": info}


def main() -> None:
    token = Path(os.environ["GITHUB_COPILOT_TOKEN_DIR"], "access-token").read_text()
    exchanged = requests.get(
        os.environ["GITHUB_COPILOT_API_KEY_URL"],
        headers={"authorization": f"token {token}", "editor-version": "vscode/1.95.0"},
        timeout=10,
    ).json()
    headers = {
        "authorization": f"Bearer {exchanged['token']}",
        "editor-version": "vscode/1.95.0",
        "editor-plugin-version": "copilot-chat/0.26.7",
        "copilot-integration-id": "vscode-chat",
        "user-agent": "GitHubCopilotChat/0.26.7",
    }
    answer = requests.get(f"{os.environ['GITHUB_COPILOT_API_BASE']}/models", headers=headers, timeout=10)
    answer.raise_for_status()
    entries = [entry(item) for item in answer.json()["data"] if item.get("model_picker_enabled")]
    Path(sys.argv[1]).write_text(yaml.safe_dump({"model_list": entries}, sort_keys=False))


if __name__ == "__main__":
    main()
