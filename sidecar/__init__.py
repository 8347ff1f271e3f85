"""Keeps a LiteLLM proxy's model list in sync with what a GitHub Copilot account may use."""

__version__ = "0.1.0"
