"""The real LiteLLM gets its master key from the hook, in every worker."""

from __future__ import annotations

import pytest
import requests

from ..proxy import Both


@pytest.mark.core
def test_the_key_of_the_file_is_the_key_of_every_worker(proxy: Both) -> None:
    """With no key in its environment, LiteLLM refuses whoever does not send the file's, and serves whoever does."""
    assert len(proxy.clients) == proxy.workers
    for client in proxy.clients:
        assert client.request("GET", "/v1/models").status == 200
    for url in (proxy.one.url, proxy.two.url):
        for headers in ({}, {"Authorization": "Bearer sk-wrong"}, {"Origin": "https://evil.example"}):
            for _ in range(5):
                assert requests.get(f"{url}/v1/models", headers=headers, timeout=60).status_code in {400, 401, 500}
