"""The service: one sync, the loop around it, its probes, and the doctor."""
