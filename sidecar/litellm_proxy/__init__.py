"""LiteLLM from the outside: installing its hook, notifying it of changes, and checking what it serves."""
