"""Turns the catalog into LiteLLM entries. Pure, except that ``customize`` reads the user's own files."""
