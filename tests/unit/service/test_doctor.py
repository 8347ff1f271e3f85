"""`doctor` finds the hop that is broken, names the fix, and shows no secret."""

from __future__ import annotations

import json
import platform
from itertools import pairwise

import pytest
import yaml

from sidecar import __version__
from tests.support import canary
from tests.support.files import put_secret
from tests.support.http_server import HttpServer

TOKEN, KEY = canary.new("a"), canary.new("k")


def table(process):
    """name → result of each line."""
    lines = [line for line in process.stdout.splitlines() if not line.startswith(" ")]
    return {line[6:19].strip(): line[:4] for line in lines}


def fixes(process):
    """name → fix of each check that failed, in order; the fix is the line below it."""
    lines = [*process.stdout.splitlines(), ""]
    return {
        line[6:19].strip(): below.strip().removeprefix("fix: ") if below.startswith("      fix: ") else ""
        for line, below in pairwise(lines)
        if line.startswith("fail")
    }


def first_failure(process):
    return next(iter(fixes(process)), None)


HOOK = {
    "litellm": "1.110.2",
    "follows": "registry() and apply()",
    "guarded": ["get_api_key", "get_api_base"],
    "unguarded": [],
    "refusals_noticed": True,
    "notes": [],
    "models_problem": "",
    "config_problem": "",
    "refused": [],
    "restart_for": [],
}


class LiteLLM(HttpServer):
    """Answers as LiteLLM does to what doctor asks."""

    def __init__(self, entries, key=KEY):
        self.hook, self.entries, self.key = dict(HOOK), entries, key
        super().__init__(self.answer)

    def answer(self, request):
        if request.path == "/copilot_hook" and not self.hook:
            return 404, {}, {}
        closed = request.path in ("/model/info", "/copilot_hook")
        if closed and request.headers.get("authorization") != f"Bearer {self.key}":
            return 401, {}, {"error": "no"}
        return 200, {}, self.hook if request.path == "/copilot_hook" else {"data": self.entries}


@pytest.fixture
def healthy(bench):
    """A login, a models file, and a LiteLLM that serves it."""
    bench.log_in(token=TOKEN)
    bench.run("sync")
    with LiteLLM(yaml.safe_load(bench.models_file.read_bytes())["model_list"]) as litellm:
        bench.environ |= {"LITELLM_URL": litellm.url, "LITELLM_MASTER_KEY": KEY}
        bench.hook = litellm.hook
        yield bench


def test_all_well(healthy):
    """All hops pass, in order; the token is shown by its last four characters at most; nothing is written."""
    before = healthy.models_file.stat().st_mtime_ns
    done = healthy.run("doctor")
    assert done.code == 0
    assert list(table(done).items()) == [
        (name, "pass")
        for name in (
            [
                "token",
                "kind",
                "GitHub",
                "exchange",
                "subscription",
                "plan host",
                "catalog",
                "models",
                "config",
                "LiteLLM",
                "in sync",
                "hook",
            ]
        )
    ]
    assert f"ghu_…{TOKEN[-4:]}" in done.stdout
    assert healthy.models_file.stat().st_mtime_ns == before


def break_token_file(bench):
    bench.token_file.unlink()


def break_kind(bench):
    put_secret(bench.token_file, bench.gh.new_access_token(kind="github_pat_"))


def break_github(bench):
    bench.gh.down()


def revoke(bench):
    bench.gh.revoke(TOKEN)


def no_copilot(bench):
    bench.gh.no_subscription()


def strange_host(bench):
    bench.gh.plan_host = "https://evil.example"


def break_catalog(bench):
    bench.gh.fail("/models", status=500, times=9)


def filter_all(bench):
    bench.environ["COPILOT_MODELS_INCLUDE"] = "nothing*"


def no_file(bench):
    bench.models_file.unlink()


def broken_file(bench):
    bench.models_file.write_text("model_list: [")


def no_litellm(bench):
    bench.environ["LITELLM_URL"] = "http://127.0.0.1:1"


def wrong_key(bench):
    bench.environ["LITELLM_MASTER_KEY"] = canary.new("k")


def out_of_sync(bench):
    bench.gh.set_catalog([{**bench.gh.catalog[0], "id": "gpt-6"}, *bench.gh.catalog])
    bench.run("sync")


@pytest.mark.parametrize(
    ("harm", "hop", "code", "fix"),
    [
        (break_token_file, "token", 3, "python -m sidecar login"),
        (break_kind, "kind", 3, "python -m sidecar login"),
        (break_github, "GitHub", 4, "HTTPS_PROXY"),
        (revoke, "exchange", 3, "python -m sidecar login"),
        (no_copilot, "subscription", 3, "https://github.com/settings/copilot"),
        (strange_host, "plan host", 4, "GITHUB_COPILOT_API_BASE"),
        (break_catalog, "catalog", 4, "https://www.githubstatus.com"),
        (filter_all, "models", 2, "COPILOT_MODELS_INCLUDE"),
        (no_file, "config", 2, "sync"),
        (broken_file, "config", 2, "Correct that place"),
        (no_litellm, "LiteLLM", 6, "LITELLM_URL"),
        (wrong_key, "in sync", 6, "LITELLM_MASTER_KEY"),
        (out_of_sync, "in sync", 6, "copilot-hook"),
    ],
)
def test_broken_hop(healthy, harm, hop, code, fix):
    """The hop that is broken fails first, each failure has a fix; what hangs on it is skipped, the rest is checked."""
    harm(healthy)
    done = healthy.run("doctor")
    assert (first_failure(done), done.code) == (hop, code)
    assert fix in fixes(done)[hop] and all(fixes(done).values())
    assert "pass" in done.stdout


@pytest.mark.parametrize("harm", [lambda _: None, break_kind, no_litellm, wrong_key])
def test_as_json(healthy, harm):
    """`--json` has the same checks in the same order, with their fixes, what it runs on, and no secret."""
    harm(healthy)
    plain, done = healthy.run("doctor"), healthy.run("doctor", "--json")
    found = json.loads(done.stdout)
    assert done.code == plain.code == next((check["code"] for check in found["checks"] if check["code"]), 0)
    assert {check["name"]: check["result"] for check in found["checks"]} == table(plain)
    assert {check["name"]: check["fix"] for check in found["checks"] if check["fix"]} == fixes(plain)
    assert all(check["text"] in plain.stdout for check in found["checks"] if check["name"] != "exchange")
    assert (found["version"], found["python"]) == (__version__, platform.python_version())
    assert TOKEN not in done.stdout and KEY not in done.stdout


def test_config_mode(healthy, tmp_path):
    """With a config it is the config that is checked."""
    config = tmp_path / "config.yaml"
    done = healthy.run("doctor", "--config", str(config))
    assert first_failure(done) == "config" and "does not exist" in done.stdout and "sync" in fixes(done)["config"]
    healthy.run("sync", "--config", str(config), "--create")
    assert healthy.run("doctor", "--config", str(config)).code == 0


@pytest.mark.parametrize(
    ("changes", "said", "fix"),
    [
        ({"follows": ""}, "cannot follow the models in LiteLLM 1.110.2", "docs/compatibility.md"),
        ({"unguarded": ["get_api_base"]}, "does not protect: get_api_base", "docs/compatibility.md"),
        ({"refusals_noticed": False}, "does not protect: tokens that Copilot refuses", "docs/compatibility.md"),
        ({"notes": ["older than 1.90.7, the oldest supported version"]}, "older than 1.90.7", "docs/compatibility.md"),
        ({"models_problem": "ScannerError: line 3"}, "cannot read a file: ScannerError", "sync"),
        ({"refused": ["github_copilot/odd"]}, "refuses github_copilot/odd", "log"),
        ({"restart_for": ["general_settings"]}, "since it started: general_settings", "Restart LiteLLM"),
    ],
)
def test_what_the_hook_cannot_do_is_a_failure(healthy, changes, said, fix):
    """The hook tells what it found of LiteLLM; what is not protected is said with its fix."""
    healthy.hook |= changes
    done = healthy.run("doctor")
    assert (first_failure(done), done.code) == ("hook", 6)
    assert said in done.stdout and fix in fixes(done)["hook"]


def test_a_litellm_without_the_hook_is_no_failure(healthy):
    """A config that is kept in sync works without it."""
    healthy.hook.clear()
    done = healthy.run("doctor")
    assert done.code == 0 and table(done)["hook"] == "skip"


def test_the_key_goes_to_no_proxy(healthy):
    """LiteLLM at plain http is asked directly, here and elsewhere; a request to GitHub shows that there is a proxy."""
    with HttpServer(lambda _: (404, {}, {})) as proxy:
        proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), proxy.url)
        assert healthy.run("doctor", **proxies).code == 0 and proxy.requests == []
        away = healthy.run("doctor", **proxies, LITELLM_URL="http://litellm.invalid:4000")
        assert fixes(away).keys() == {"LiteLLM"} and proxy.requests == []
        github = healthy.run("doctor", **proxies, GITHUB_COPILOT_API_KEY_URL="http://gh.invalid/token")
        assert first_failure(github) == "exchange"
        assert {request.path for request in proxy.requests} == {"http://gh.invalid/token"}
