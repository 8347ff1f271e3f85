"""Answers that would take more memory than the compose file gives the sidecar."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests

from tests.containers.stack import Stack
from tests.support import canary
from tests.support.github_paths import EXCHANGE, MODELS
from tests.support.waiting import until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]

DENSE = '{"token": [' + "{}," * 5_000_000 + "{}]}"
"""15 MB, of which a parser makes 1.5 GB."""
LARGEST = '{"data": [{"id": "x", "model_picker_enabled": true, "y": [' + "1.25," * 99_000 + "1]}]}"
"""As many values as are let through, and a text in which a character takes four bytes."""
MOST = "/sys/fs/cgroup/memory/memory.max_usage_in_bytes /sys/fs/cgroup/memory.peak"


def test_no_answer_ends_the_container(stacks: Callable[..., Stack]) -> None:
    """The service outlives them, answers for its health meanwhile, and what was published stays."""
    stack = stacks(token=canary.new("a"), COPILOT_MODEL_SYNC_INTERVAL="1")
    stack.write_token(1001)
    stack.up("github", "copilot-sync")
    until(lambda: stack.metric('copilot_sync_total{result="success"}') >= 1, 60, "a sync")
    life, published = stack.life("copilot-sync"), stack.published()

    def healthy() -> bool:
        return requests.get(f"http://127.0.0.1:{stack.health_port}/livez", timeout=30).status_code == 200

    for path, body in ((MODELS, DENSE), (EXCHANGE, DENSE), (MODELS, LARGEST)):
        asked, synced = stack.control.count(path), stack.metric('copilot_sync_total{result="success"}')
        stack.control.fail(path=path, body=body)
        if path == EXCHANGE:
            stack.control.expire_copilot_tokens()  # a good one would spare the exchange
        for _ in range(3 if path == MODELS and body is LARGEST else 1):
            until(lambda asked=asked, path=path: stack.control.count(path) > asked and healthy(), 120, "the answer")
            asked = stack.control.count(path)
        stack.control.heal()
        until(lambda n=synced: stack.metric('copilot_sync_total{result="success"}') > n and healthy(), 120, "a sync")
    most = stack.exec("copilot-sync", "sh", "-c", f"cat {MOST} 2>/dev/null || true").split()
    print(f"most memory: {int(most[0]) / 2**20:.0f} MiB" if most else "most memory: not known")
    assert stack.life("copilot-sync") == life and not stack.container("copilot-sync")["State"]["OOMKilled"]
    assert published <= stack.published()
