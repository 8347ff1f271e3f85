"""The real LiteLLM gets its master key from the hook, or does not start; workers/ has the rest."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.core


def test_without_its_key_litellm_does_not_start(fresh_gh, start, tmp_path):
    """It ends, says why, and was open at no time: also a release that would start without a key by itself."""
    file = tmp_path / "master-key"
    proxy = start(fresh_gh, env={"LITELLM_MASTER_KEY": "", "LITELLM_MASTER_KEY_FILE": str(file)})
    proxy.start(wait=False)
    assert proxy.process.wait(240) != 0
    assert f"the master key file {file} cannot be read" in proxy.log() and "Uvicorn running" not in proxy.log()
