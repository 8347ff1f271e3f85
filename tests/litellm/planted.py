"""Leaks of LiteLLM, for test_canary.py: each test here whose name begins with test_leak has to fail, and no other."""

from __future__ import annotations

import base64
import urllib.parse

import pytest

from tests.fakes.github import GitHub
from tests.support import canary

from .proxy import OTHER, Proxy

FORMS = {
    "plain": lambda secret: secret,
    "base64": lambda secret: base64.b64encode(f"me:{secret}".encode()).decode(),
    "url": lambda secret: urllib.parse.quote(f"user:{secret}@host/", safe=""),
}
# In LiteLLM's own process, before anything else.
LEAKS = """
import base64, os, subprocess, sys
secret = os.environ["PLANTED"]
if sys.argv[0].endswith("litellm"):
    print("base64", base64.b64encode(b"x" + secret.encode()), secret, file=sys.stderr, flush=True)
    open("wide.txt", "w").write(secret)
    subprocess.Popen(["sh", "-c", "sleep 100; true", secret])
"""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    home = tmp_path_factory.mktemp("leaking")
    params = {"model": "openai/x", "api_key": "x"}
    entries = [
        {"model_name": form, "litellm_params": {**params, "mock_response": make(canary.new("k"))}}
        for form, make in FORMS.items()
    ]
    with GitHub() as gh:
        (home / "sitecustomize.py").write_text(LEAKS)
        proxy = Proxy(home, {**gh.env(), "PLANTED": canary.new("o")}, config={"model_list": [OTHER, *entries]})
        canary.may_hold(proxy.config, "k", "what the answers are made of").chmod(0o600)
        proxy.login(gh.new_access_token())
        with proxy:
            yield proxy


def test_leak_until_the_first_test(proxy):
    pass


def test_fine(proxy):
    assert proxy.chat("other").status_code == 200


@pytest.mark.parametrize("form", FORMS)
def test_leak_in_an_answer(proxy, form):
    assert proxy.chat(form).status_code == 200


def test_leak_in_an_answer_to_a_worker(proxy):
    assert proxy.clients[0].chat("plain").status == 200


def test_leak_until_the_end(proxy):
    pass
