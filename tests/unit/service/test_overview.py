"""`status`: what is known from the disk alone, and from a service that runs; what each trouble is called and costs."""

from __future__ import annotations

import json
import re
import time

import pytest

from sidecar.cli import main
from sidecar.errors import LoginRefused, UpstreamError
from sidecar.github.login_code import LoginCode, leave_code
from sidecar.models.credit import parse_credit
from sidecar.status.server import serve
from sidecar.status.state import Status
from sidecar.targets.models_file import entries_in
from tests.fakes.catalog import model
from tests.support.files import files_under
from tests.support.github_paths import CREDIT
from tests.support.http_server import HttpServer
from tests.unit.status.test_workers import NEW, report


@pytest.fixture
def litellm():
    """Where LiteLLM answers with ``answer``: the list of what it serves."""
    with HttpServer(lambda _: (200, {}, {"data": litellm.answer})) as litellm:
        litellm.answer = []
        yield litellm


@pytest.fixture
def synced(bench, litellm):
    """Two models are published under both names, and LiteLLM serves them."""
    bench.log_in(login="hubot")
    bench.environ |= {"COPILOT_MODEL_NAMES": "both", "LITELLM_URL": litellm.url}
    assert main(["sync"], bench.environ) == 0
    litellm.answer = list(entries_in(bench.models_file.read_bytes()).values())
    bench.gh.clear()
    return bench


@pytest.fixture
def service(synced):
    """A service that leads here, as far as its port goes."""
    settings = synced.settings()
    status = Status(settings)
    status.beat(600)
    rows = [{"id": "gpt-4o", "names": ["gpt-4o"]}, {"id": "gpt-5-mini", "names": ["gpt-5-mini"]}]
    credit = parse_credit({"login": "from-the-service"})
    status.succeeded(0.1, changed=True, rows=rows, plan="individual", credit=credit)
    server = serve(settings.health_port, status)
    yield status
    server.close()


def shown(bench, capsys, code, *arguments, **changes):
    """What `status` prints with this exit code, by the first word of its lines; it writes nothing."""
    capsys.readouterr()
    before = files_under(bench.shared), files_under(bench.tokens)
    assert main(["status", *arguments], {**bench.environ, **changes}) == code
    assert (files_under(bench.shared), files_under(bench.tokens)) == before
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_from_the_disk(synced, capsys):
    """Who is logged in, the last sync, all client names, and LiteLLM in step, for one request to GitHub."""
    text = shown(synced, capsys, 0)
    assert re.search(rf"^login        hubot \(individual\), ghu_….{{4}} from {synced.token_file}$", text, re.M)
    assert re.search(r"^last sync    20\d\d-\d\d-\d\d \d\d:\d\d UTC, 0 min ago$", text, re.M)
    assert "\n             github_copilot/gpt-4o, gpt-4o\n" in text and "leaving" not in text
    assert "\nLiteLLM      LiteLLM serves all 4 entries\n" in text and "trouble" not in text
    assert [request.path for request in synced.gh.requests] == [CREDIT]


def test_the_last_sync_is_one_without_a_change(synced, capsys):
    """A sync that finds nothing new is one too, and the last change stays what it was."""
    before = json.loads(shown(synced, capsys, 0, "--json"))
    time.sleep(1.1)
    assert main(["sync"], synced.environ) == 0
    after = json.loads(shown(synced, capsys, 0, "--json"))
    assert after["last_sync"] >= before["last_sync"] + 1 and after["last_change"] == before["last_change"]


def test_what_waits_to_leave(synced, capsys):
    """A published model that is absent is counted until it goes; one whose loss is implausible waits for longer."""
    synced.gh.set_catalog([model("gpt-4o"), *(model(f"m{number}") for number in range(3))])
    assert main(["sync"], synced.environ) == 0
    assert "\nleaving      gpt-5-mini (absent 1 of 3)\n" in shown(synced, capsys, 6)
    assert main(["sync"], synced.environ) == 0
    assert "\nleaving      gpt-5-mini (absent 2 of 3)\n" in shown(synced, capsys, 6)
    assert main(["sync"], {**synced.environ, "COPILOT_MODELS_EXCLUDE": "*mini"}) == 0
    assert "leaving" not in shown(synced, capsys, 6)
    synced.gh.set_catalog([model("gpt-4o")])
    for _ in range(3):
        assert main(["sync"], synced.environ) == 0
    assert "\nleaving      m0 (absent 3 of 24)\n" in shown(synced, capsys, 6)


def test_json(synced, capsys):
    """The same for programs."""
    found = json.loads(shown(synced, capsys, 0, "--json"))
    assert (found["account"], found["in_step"], found["service"], found["troubles"]) == ("hubot", True, None, [])
    assert found["models"][0] == {"id": "gpt-4o", "names": ["github_copilot/gpt-4o", "gpt-4o"]}


def test_a_config(synced, tmp_path, capsys):
    """With `--config` it is about that config."""
    config = tmp_path / "config.yaml"
    config.write_text("model_list: []\n")
    assert f"models       0 in {config}\n" in shown(synced, capsys, 2, "--config", str(config))
    assert main(["sync", "--config", str(config)], synced.environ) == 0
    assert f"models       2 in {config}\n" in shown(synced, capsys, 0, "--config", str(config))


def test_from_the_service(service, synced, capsys, monkeypatch):
    """Where one runs it says how things are, and GitHub is asked nothing; workers say whether they are in step."""
    service.workers.published(NEW, time.time() - 60)
    service.receive(report(1))
    service.receive(report(2))
    text = shown(synced, capsys, 0)
    assert "\nservice      LiteLLM serves the 2 models that GitHub lists for this account.\n" in text
    assert text.startswith("login        from-the-service (individual), ghu_") and synced.gh.requests == []
    assert "\nLiteLLM      2 workers, in step\n" in text
    service.receive(report(2, digest="0" * 64))
    monkeypatch.setattr("sidecar.status.workers.GRACE", 0.0)
    text = shown(synced, capsys, 6)
    assert "1 of 2 workers out of step" in text and "fix: See LiteLLM's log" in text and text.count("trouble") == 1


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UpstreamError("GitHub failed"), 4, "trouble      GitHub cannot be read since"),
        (LoginRefused("it was revoked"), 3, "trouble      GitHub refuses the login since"),
    ],
)
def test_a_service_in_trouble(service, synced, capsys, error, code, said):
    """What it says is wrong is said once, with the cure and the code of `doctor`."""
    service.failed(error)
    text = shown(synced, capsys, code)
    assert said in text and text.count("fix:") == 1


def test_a_stuck_service(service, synced, capsys):
    """It is as unhealthy as `healthcheck` finds it."""
    service.beat(-1)
    assert "trouble      The service is stuck." in shown(synced, capsys, 1)


def test_a_service_of_another_file(service, synced, tmp_path, capsys):
    """One that keeps something else says nothing of this."""
    config = tmp_path / "config.yaml"
    config.write_text("model_list: []\n")
    assert "service      none keeps this file here" in shown(synced, capsys, 2, "--config", str(config))


@pytest.mark.parametrize("answer", [b"<html>", {}, {"target": 5}, []])
def test_a_stranger_at_the_port(synced, capsys, answer):
    """What answers there, and is no service of ours, counts as none."""
    with HttpServer(lambda _: (200, {}, answer)) as server:
        text = shown(synced, capsys, 0, COPILOT_HEALTH_PORT=str(server.port))
    assert "service      none keeps this file here" in text


def test_nobody_is_logged_in(bench, capsys):
    """The cure is the login, or the code that waits to be entered; the exit code is that of the first trouble."""
    text = shown(bench, capsys, 3)
    assert text.startswith("login        nobody\n") and "fix: Log in: " in text and "does not exist" in text
    leave_code(bench.settings(), LoginCode("AB-12", "https://x/device", time.time() + 60))
    assert "fix: Enter AB-12 at https://x/device.\n" in shown(bench, capsys, 3)
    leave_code(bench.settings(), LoginCode("AB-12", "https://x/device", time.time() - 60))
    assert "fix: Log in: " in shown(bench, capsys, 3)


def test_a_revoked_token(synced, capsys):
    """It is found out although all is well on the disk."""
    synced.gh.revoke(synced.token_file.read_text())
    assert "trouble      GitHub refused" in shown(synced, capsys, 3)


def test_github_is_down(synced, capsys):
    """That costs only the name; with COPILOT_QUOTA=false GitHub is not even asked."""
    synced.gh.down()
    assert "note         GitHub does not say whose the token is" in shown(synced, capsys, 0)
    assert "note" not in shown(synced, capsys, 0, COPILOT_QUOTA="false")


def test_litellm_is_out_of_step(synced, litellm, capsys):
    """Without a service, LiteLLM itself is asked, as `doctor` does."""
    litellm.answer = litellm.answer[1:]
    assert "trouble      LiteLLM does not serve github_copilot/gpt-4o\n" in shown(synced, capsys, 6)


def test_a_configmap(synced, capsys):
    """The models of a ConfigMap are not on this disk."""
    environ = {**synced.environ, "COPILOT_CONFIGMAP": "x", "KUBERNETES_SERVICE_HOST": "x"}
    assert main(["status"], environ) == 2
    assert "in a ConfigMap" in capsys.readouterr().err
