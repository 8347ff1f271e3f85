"""Keeps a LiteLLM proxy's model list exactly what a GitHub Copilot account may use."""

__version__ = "0.1.0"
