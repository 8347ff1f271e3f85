"""A LiteLLM config of the user's, edited in place: only the managed entries change, every other byte stays."""
