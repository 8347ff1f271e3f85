"""The service: a single sync, the loop around it, its health probes, and the doctor."""
