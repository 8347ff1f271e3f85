"""A worker that ends where it hurts most: in the middle of its exchange, with the lock of all workers held."""

from __future__ import annotations

import os
import subprocess
import sys

from sidecar.litellm_hot_reload.keeper import Keeper
from tests.fakes.github import GitHub
from tests.support.files import put_secret
from tests.support.github_paths import EXCHANGE
from tests.support.paths import ROOT
from tests.support.waiting import until

WORKER = """
import os
from sidecar.litellm_hot_reload import exchange_client, keeper
exchange_client.REQUEST_TIMEOUT = 600  # it holds the lock for as long as GitHub hangs
keeper.Keeper(os.environ).run()
"""


def test_another_worker_renews_at_once(gh: GitHub, tmp_path):
    """The lock ends with its holder, and nothing that was half done is in the way."""
    gh.clear()
    gh.heal()
    environ = {"GITHUB_COPILOT_TOKEN_DIR": str(tmp_path), **gh.env()}
    put_secret(tmp_path / "access-token", gh.new_access_token())
    gh.fail(EXCHANGE, how="hang")
    other = Keeper(environ)
    worker = subprocess.Popen([sys.executable, "-c", WORKER], cwd=ROOT, env={**os.environ, **environ})
    try:
        until(lambda: gh.count(EXCHANGE) == 1, what="its exchange")
        other.turn()
        assert gh.count(EXCHANGE) == 1 and other.current() is None, "the control: the lock is held"
    finally:
        worker.kill()
        worker.wait(60)
    gh.heal()
    other.turn()
    assert gh.copilot_token(other.current()) == "valid" and gh.count(EXCHANGE) == 2
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []
