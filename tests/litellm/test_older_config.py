"""A config of the older tool with the real LiteLLM: it cannot work, and it does once it is taken over."""

from __future__ import annotations

import os

from sidecar.cli import main
from tests.fakes.catalog import model
from tests.support.older import older_config
from tests.support.waiting import until


def test_each_request_fails_until_it_is_taken_over(fresh_gh, start, capsys):
    """As a control Copilot refuses what LiteLLM sends; after the one command the same LiteLLM serves a chat."""
    fresh_gh.set_catalog([model("gpt-4o")])
    proxy = start(fresh_gh)
    proxy.login(fresh_gh.new_access_token())
    del proxy.env["COPILOT_MODELS_FILE"]  # in place: the hook follows the config alone
    proxy.env["CONFIG_FILE"] = str(proxy.config)
    proxy.config.write_text(older_config(["gpt-4o", "gone"]))
    os.utime(proxy.config, (1e9, 1e9))
    proxy.start()
    (worker,) = proxy.clients
    assert {"gpt-4o", "gone"} <= worker.models()
    control = worker.chat("gpt-4o")
    assert control.status == 400 and "Unknown parameter: 'cache_models_for'" in control.text

    environ = {**fresh_gh.env(), "GITHUB_COPILOT_TOKEN_DIR": str(proxy.token_dir), "COPILOT_MODEL_NAMES": "bare"}
    assert main(["sync", "--config", str(proxy.config)], environ) == 2
    assert main(["sync", "--config", str(proxy.config), "--adopt"], environ) == 0
    said = capsys.readouterr().out
    assert "  1 taken over: gpt-4o\n" in said and "  1 removed because Copilot no longer has them: gone\n" in said
    until(lambda: worker.chat("gpt-4o").status == 200, what="a chat")
    assert "hello from gpt-4o" in worker.chat("gpt-4o").text and worker.models() == {"gpt-4o"}
