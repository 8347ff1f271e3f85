"""Of LiteLLM's own keys exactly those on our list pass, whatever this release has."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from litellm.types.router import GenericLiteLLMParams
from litellm.types.utils import CustomPricingLiteLLMParams

from sidecar.errors import UsageError
from sidecar.litellm_hot_reload.allowed import PARAMS, entry_problem
from sidecar.models.customize import load_custom
from sidecar.settings import Settings
from tests.support.entries import managed_entry

VALUES: tuple[Any, ...] = (1, 1.5, True, "x", ["x"], {"x": "y"}, [["x"]], [{"x": 1}])


def passes_the_hook(key: str, value: Any) -> bool:
    entry = managed_entry("gpt-4o")
    entry["litellm_params"][key] = value
    return entry_problem(entry) is None


def passes_the_sidecar(key: str, value: Any, tmp_path) -> bool:
    settings = Settings.load({"COPILOT_OVERRIDES_FILE": str(tmp_path / "overrides.yaml")})
    content = yaml.safe_dump({"*": {"litellm_params": {key: value}}}).encode()
    try:
        load_custom(settings, lambda path: content)
    except UsageError:
        return False
    return True


@pytest.mark.core
def test_every_key_of_litellm_meets_the_list_at_both_doors(tmp_path):
    """One by one, with a value of every type: a key that a new release brings is refused until somebody has looked."""
    fields = set(GenericLiteLLMParams.model_fields) - {"model"}
    prices = {key for key in CustomPricingLiteLLMParams.model_fields if "cost" in key}
    assert {"api_base", "custom_llm_provider", "use_litellm_proxy", "timeout", "rpm"} <= fields and len(prices) > 5
    for key in sorted(fields | prices | set(PARAMS)):
        hook = [value for value in VALUES if passes_the_hook(key, value)]
        sidecar = [value for value in VALUES if passes_the_sidecar(key, value, tmp_path)]
        assert hook == sidecar, key
        assert bool(hook) == (key in PARAMS or key in prices), key
        assert {"x": "y"} not in hook or key == "extra_headers", key
