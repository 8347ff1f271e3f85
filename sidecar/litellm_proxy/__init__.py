"""LiteLLM from outside: the hook is installed for it, changes are told to it, and it is asked what it serves."""
