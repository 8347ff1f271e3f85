"""Stand-ins for the services that the sidecar and LiteLLM talk to. Standard library only."""
