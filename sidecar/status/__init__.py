"""What people and tools see of a running service: state, page, JSON, metrics, and what LiteLLM's workers report."""
