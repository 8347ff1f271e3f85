"""The fault matrix: every named fault against the service, the hook and the commands; writes docs/faults.md."""
