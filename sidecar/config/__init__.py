"""Edits a user's LiteLLM config in place: only the managed entries change, every other byte is preserved."""
