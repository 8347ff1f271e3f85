"""The catalog turned into LiteLLM entries. Pure, but for the user's own files that customize reads."""
