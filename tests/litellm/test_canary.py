"""The search for secrets finds what LiteLLM leaks."""

from __future__ import annotations

from tests.support import planted


def test_every_leak_of_litellm_is_found(tmp_path):
    """In its answers, its log, its files, its environment and the arguments of what it runs."""
    said = planted.outcomes("tests/litellm/planted.py", tmp_path)
    assert [name for name, text in said.items() if not text] == ["test_fine"]
    assert len(said) == 7
    first, last = said["test_leak_until_the_first_test"], said["test_leak_until_the_end"]
    assert "litellm.log: secret as base64" in first and "wide.txt: other" in first
    assert "the variable PLANTED" in last and "the arguments of" in last
