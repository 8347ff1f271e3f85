"""Tests in every worker of a LiteLLM with one and a LiteLLM with two, which share token and models file."""

from sidecar.models.entries import PROVIDER

MOCK = {"model_name": "mock", "litellm_params": {"model": "openai/mock", "api_key": "x", "mock_response": "hi"}}
PINNED = {
    "model_name": PROVIDER + "gpt-4o-mini",
    "litellm_params": {"model": PROVIDER + "gpt-4o-mini", "mock_response": "hello from config.yaml"},
    "model_info": {"max_input_tokens": 4711},
}
BY_HAND = {"other", "mine", "mock", "elsewhere", PROVIDER + "gpt-4o-mini"}
"""The names of all that LiteLLM's own config has."""
