"""The real LiteLLM gets its master key from the hook, in every worker, or does not start."""

from __future__ import annotations

import pytest
import requests

from tests.support.files import put_secret

from .proxy import KEY

pytestmark = pytest.mark.core


def test_the_key_of_the_file_is_the_key_of_every_worker(fresh_gh, start, tmp_path):
    """With no key in its environment, LiteLLM refuses whoever does not send the file's, and serves whoever does."""
    file = tmp_path / "master-key"
    put_secret(file, f"{KEY}\n")
    env = {"LITELLM_MASTER_KEY": "", "LITELLM_MASTER_KEY_FILE": str(file)}
    proxy = start(fresh_gh, workers=2, env=env)
    proxy.login(fresh_gh.new_access_token())
    proxy.start()
    assert len(proxy.clients) == 2
    for client in proxy.clients:
        assert client.request("GET", "/v1/models").status == 200
    for headers in ({}, {"Authorization": "Bearer sk-wrong"}, {"Origin": "https://evil.example"}):
        for _ in range(5):
            assert requests.get(f"{proxy.url}/v1/models", headers=headers, timeout=60).status_code in {400, 401, 500}


def test_without_its_key_litellm_does_not_start(fresh_gh, start, tmp_path):
    """It ends, says why, and was open at no time: also a release that would start without a key by itself."""
    file = tmp_path / "master-key"
    proxy = start(fresh_gh, env={"LITELLM_MASTER_KEY": "", "LITELLM_MASTER_KEY_FILE": str(file)})
    proxy.start(wait=False)
    assert proxy.process.wait(120) != 0
    assert f"the master key file {file} cannot be read" in proxy.log() and "Uvicorn running" not in proxy.log()
