"""Settings for the clients that people use: published entries in, settings text out. Pure."""
