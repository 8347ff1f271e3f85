"""Configs as people write them, for the tests of in-place updates."""
