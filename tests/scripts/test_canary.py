"""The search for secrets finds what a script leaks."""

from __future__ import annotations

from tests.support import planted


def test_every_leak_of_a_script_is_found(tmp_path):
    """In its output, its files and their modes, and the arguments and environments of what it runs."""
    said = planted.outcomes("tests/scripts/planted.py", tmp_path)
    assert len(said) == 17
    assert [name for name, text in said.items() if not text] == ["test_fine"]
