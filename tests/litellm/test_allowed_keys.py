"""Of LiteLLM's own keys exactly those on our list pass, whatever this release has."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from sidecar.errors import UsageError
from sidecar.litellm_hot_reload.allowed import INFO, PARAMS, entry_problem
from sidecar.models.customize import load_custom
from sidecar.settings import Settings
from tests.support.entries import managed_entry

VALUES: tuple[Any, ...] = (1, 1.5, True, "x", ["x"], {"x": "y"}, [["x"]], [{"x": 1}])
DICTIONARIES = {"search_context_cost_per_query"}
MORE: tuple[Any, ...] = (0, -1, "many", "5", "2026-01-01", "true", "", None, [], ["x", "y"])


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


def test_every_key_of_litellm_meets_the_list_at_both_doors(tmp_path):
    """One by one, with a value of every type: a key that a new release brings is refused until somebody has looked."""
    # Here, and not above, because it takes every process that collects tests longer than all the rest.
    from litellm.types.router import GenericLiteLLMParams
    from litellm.types.utils import CustomPricingLiteLLMParams

    fields = set(GenericLiteLLMParams.model_fields) - {"model"}
    prices = {key for key in CustomPricingLiteLLMParams.model_fields if "cost" in key} - DICTIONARIES
    assert {"api_base", "custom_llm_provider", "use_litellm_proxy", "timeout", "rpm"} <= fields and len(prices) > 5
    for key in sorted(fields | prices | set(PARAMS)):
        hook = [value for value in VALUES if passes_the_hook(key, value)]
        sidecar = [value for value in VALUES if passes_the_sidecar(key, value, tmp_path)]
        assert hook == sidecar, key
        assert bool(hook) == (key in PARAMS or key in prices), key
        assert {"x": "y"} not in hook or key == "extra_headers", key


@pytest.mark.filterwarnings("ignore::UserWarning")  # of pydantic about LiteLLM's own types
def test_litellm_takes_every_value_that_passes():
    """Of whatever type it is, in both parts: a value that LiteLLM refuses would cost the model."""
    from litellm.types.router import Deployment, GenericLiteLLMParams, ModelInfo

    refused, wrong = 0, []
    for part, fields, free in (
        ("litellm_params", {*GenericLiteLLMParams.model_fields, *PARAMS} - {"model"}, ()),
        ("model_info", {*ModelInfo.model_fields, *INFO}, ("note", "supports_vision", "max_tokens")),
    ):
        for key in (*sorted(fields), *free):
            for value in (*VALUES, *MORE):
                entry = managed_entry("gpt-4o")
                entry[part] = {**entry[part], key: value}
                try:
                    Deployment(**entry)
                except Exception:  # pydantic's, and those of LiteLLM's own validators
                    refused += 1
                    wrong += [(part, key, value)] if entry_problem(entry) is None else []
    assert not wrong and refused > 100
