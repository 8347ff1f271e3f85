"""The long run of scripts/soak.py: the real proxy and the real sidecar through faults, changes and kills."""
