"""LiteLLM is told of a change by command, address or SIGHUP; what cannot be told is told later; no signal kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from sidecar.errors import LiteLLMError, Stopped
from sidecar.litellm_proxy.notify import is_gunicorn_master, notify_change, notify_notice, send_sighup
from sidecar.models.catalog import parse_models
from sidecar.models.changes import Change
from sidecar.models.history import Event
from sidecar.models.selection import Selection
from sidecar.settings import Settings
from sidecar.targets.base import Built, Synced
from sidecar.user_command import run_user_command
from tests.fakes.catalog import model
from tests.support import canary
from tests.support.http_server import HttpServer
from tests.support.waiting import until

CHANGE = Change(added=("new",), removed=("old",))


class Hook(HttpServer):
    """Takes posts; ``answers`` are the statuses of the first ones."""

    def __init__(self, answers=(), headers=()):
        self.answers, self.headers = list(answers), dict(headers)
        super().__init__(lambda _: (self.answers.pop(0) if self.answers else 200, self.headers, None))
        self.url += "/secret-path"


def synced(bench, change=CHANGE, models=7):
    (one,), _ = parse_models([model("one")])
    return Synced(str(bench.models_file), Built([], b"", Selection((one,) * models, ())), change)


def test_command_gets_the_change(bench, stop, tmp_path):
    """The command gets the change as JSON on its input, without a shell, and nothing is left pending."""
    settings = bench.settings(COPILOT_ON_CHANGE=f"tee '{tmp_path}/a b; $HOME'")
    notify_change(settings, synced(bench), stop)
    assert json.loads((tmp_path / "a b; $HOME").read_text()) == {
        "event": "models_changed",
        "file": str(bench.models_file),
        "models": 7,
        "added": ["new"],
        "removed": ["old"],
        "changed": [],
        "events": [],
        "events_omitted": 0,
    }
    assert not list(bench.shared.glob(".*untold*"))


def test_nothing_to_notify_of(bench, stop, tmp_path):
    """No change, no command."""
    notify_change(bench.settings(COPILOT_ON_CHANGE=f"touch {tmp_path}/told"), synced(bench, None), stop)
    assert not (tmp_path / "told").exists()


def test_failed_notification_is_sent_later(bench, stop, tmp_path):
    """A failed notification is kept, merged with later changes, and sent until it succeeds."""
    with pytest.raises(LiteLLMError, match=r"exited with 3; the change to .* is kept"):
        notify_change(bench.settings(COPILOT_ON_CHANGE="sh -c 'exit 3'"), synced(bench), stop)
    settings = bench.settings(COPILOT_ON_CHANGE=f"tee {tmp_path}/told")
    later = synced(bench, Change(added=("newer",), removed=("new",), changed=("other",)), models=8)
    notify_change(settings, later, stop)
    told = json.loads((tmp_path / "told").read_text())
    assert (told["models"], told["added"], told["removed"], told["changed"]) == (8, ["newer"], ["old"], ["other"])
    (tmp_path / "told").unlink()
    notify_change(settings, synced(bench, None), stop)
    assert not (tmp_path / "told").exists()


@pytest.mark.parametrize(
    ("words", "problem"),
    [("no-such-program", "cannot be started"), ("sh -c 'kill -9 $$'", "terminated by signal 9")],
)
def test_command_fails(bench, stop, words, problem):
    """A command that fails is an error with exit code 6."""
    with pytest.raises(LiteLLMError, match=problem) as caught:
        notify_change(bench.settings(COPILOT_ON_CHANGE=words), synced(bench), stop)
    assert caught.value.exit_code == 6


def test_command_time_limit(stop):
    """A command that takes too long is terminated, with what it started."""
    began = time.monotonic()
    assert "took longer" in run_user_command("sh -c 'sleep 60 & wait'", b"", stop, limit=0.2)
    assert time.monotonic() - began < 60, "what it started went on to its end"


def test_command_interrupted(stop):
    """A signal to the sidecar ends a command that is under way."""
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(Stopped):
        run_user_command("sleep 60", b"", stop)


def test_command_leaves_a_service_running(stop, tmp_path):
    """A command may start something that goes on; it is not waited for."""
    assert run_user_command(f"sh -c 'sleep 300 & echo $! >{tmp_path}/pid'", b"", stop) == ""
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)  # ProcessLookupError, had it ended


def test_command_has_no_access_token(monkeypatch, stop, tmp_path):
    """GITHUB_TOKEN stays with the sidecar; other variables go through."""
    monkeypatch.setenv("GITHUB_TOKEN", canary.new("a"))
    monkeypatch.setenv("OTHER", "there")
    assert run_user_command(f"sh -c 'env > {tmp_path}/env'", b"", stop) == ""
    text = (tmp_path / "env").read_text()
    assert "OTHER=there" in text


def test_url_is_retried(bench, stop):
    """The address gets the change, again after a failure that may pass, and no secret."""
    with Hook([503, 503]) as hook:
        notify_change(
            Settings.load({"COPILOT_ON_CHANGE_URL": hook.url, "COPILOT_MODELS_FILE": str(bench.models_file)}),
            synced(bench),
            stop,
        )
    assert [request.method for request in hook.requests] == ["POST"] * 3
    assert json.loads(hook.requests[-1].body)["added"] == ["new"] and "authorization" not in hook.requests[-1].headers


@pytest.mark.parametrize(("status", "times"), [(404, 1), (500, 3), (302, 3)])
def test_url_refuses(bench, stop, status, times):
    """Retries are bounded, a redirect is not followed, and the address is in no message: it may hold a secret."""
    with Hook([status] * 9, {"Location": "/elsewhere", "Retry-After": "0"}) as hook:
        with pytest.raises(LiteLLMError) as caught:
            notify_change(bench.settings(COPILOT_ON_CHANGE_URL=hook.url), synced(bench), stop)
        assert len(hook.requests) == times
    assert "secret-path" not in str(caught.value)


SEEN = [
    Event("2026-11-26T03:17:22Z", "added", "new", names=("github_copilot/new",)),
    Event("2026-11-26T03:17:22Z", "price", "b", "model_info.input_cost_per_token", 1e-06, 2e-06),
]
NOTICE = Event("2026-11-26T03:17:22Z", "retirement", "old", "notice.7", None, "2026-12-01")


def with_events(bench, *events, change=CHANGE):
    return synced(bench, change)._replace(events=events)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("json", {"added": ["new"], "events": [event.as_json() for event in SEEN], "events_omitted": 0}),
        ("slack", {"text": "Copilot's models have changed, 7 are in `FILE`:\n"}),
        (
            "discord",
            {"content": "Copilot's models have changed, 7 are in `FILE`:\n", "allowed_mentions": {"parse": []}},
        ),
    ],
)
def test_each_form_arrives(bench, stop, tmp_path, form, expected):
    """A webhook gets the change in its form, as JSON over HTTP; a command gets the JSON in any case."""
    with Hook() as hook:
        settings = bench.settings(
            COPILOT_ON_CHANGE_URL=hook.url,
            COPILOT_ON_CHANGE_FORMAT=form,
            COPILOT_ON_CHANGE=f"tee {tmp_path}/told",
        )
        notify_change(settings, with_events(bench, *SEEN), stop)
        (request,) = hook.requests
    body = json.loads(request.body)
    assert request.headers["content-type"] == "application/json"
    for key, value in expected.items():
        if not isinstance(value, str):
            assert body[key] == value
            continue
        assert body[key] == value.replace("FILE", str(bench.models_file)) + (
            "• `new` added as `github_copilot/new`\n"
            "• `b` input price: $1.00 per million tokens → $2.00 per million tokens"
        )
    assert form == "json" or body.keys() == expected.keys()
    assert json.loads((tmp_path / "told").read_text())["events"] == [event.as_json() for event in SEEN]


def test_a_retirement_is_notified(bench, stop, tmp_path):
    """A retirement that comes near is told to the address; no command is run for it, and no gunicorn restarted."""
    with Hook() as hook:
        settings = bench.settings(
            COPILOT_ON_CHANGE_URL=hook.url,
            COPILOT_ON_CHANGE=f"touch {tmp_path}/run",
            COPILOT_ON_CHANGE_GUNICORN=f"{tmp_path}/none",
        )
        notify_change(settings, with_events(bench, NOTICE, change=None), stop)
        told = json.loads(hook.requests.pop().body)
        assert (told["event"], told["added"], told["events"]) == ("retirement_near", [], [NOTICE.as_json()])
        notify_change(settings, with_events(bench, NOTICE._replace(kind="absent"), change=None), stop)
        assert hook.requests == [], "an absence alone is in the history, and no notification"
    assert not (tmp_path / "run").exists()


def test_events_of_failed_notifications_are_sent_later(bench, stop, tmp_path):
    """What could not be sent goes with the next one, the latest events of it, and a notice does not hide a change."""
    failing, settings = (
        bench.settings(COPILOT_ON_CHANGE="false"),
        bench.settings(COPILOT_ON_CHANGE=f"tee {tmp_path}/told"),
    )
    for events, change in (
        (SEEN, CHANGE),
        ([NOTICE], None),
        ([SEEN[0]._replace(model=f"m{n}") for n in range(150)], CHANGE),
    ):
        with pytest.raises(LiteLLMError):
            notify_change(failing, with_events(bench, *events, change=change), stop)
    with pytest.raises(LiteLLMError):
        notify_change(failing, with_events(bench, NOTICE, change=None), stop)
    notify_change(settings, with_events(bench, change=None), stop)
    told = json.loads((tmp_path / "told").read_text())
    assert told["event"] == "models_changed" and told["added"] == ["new"] and told["events_omitted"] == 54
    assert len(told["events"]) == 100 and told["events"][-1] == NOTICE.as_json()


GUNICORN = """
import sys
sys.argv = ["gunicorn", "-b", "127.0.0.1:0", "-p", sys.argv[1], sys.argv[2]]
from gunicorn.app.wsgiapp import run
run()
"""


def application(environ, start_response):
    """What gunicorn serves in the test."""
    start_response("200 OK", [])
    return [b""]


@pytest.fixture
def master(tmp_path):
    """A real gunicorn with one worker, and its pidfile."""
    pytest.importorskip("gunicorn")
    pidfile = tmp_path / "gunicorn.pid"
    with (tmp_path / "gunicorn.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", GUNICORN, str(pidfile), f"{__name__}:application"], stdout=log, stderr=log
        )
    try:
        until(lambda: "Booting worker" in (tmp_path / "gunicorn.log").read_text(), what="gunicorn")
        yield process, pidfile, tmp_path / "gunicorn.log"
    finally:
        process.terminate()
        process.wait(60)


def test_gunicorn_master_reloads(master, bench, stop):
    """A gunicorn master gets SIGHUP and starts new workers; one of its workers would not get it."""
    process, pidfile, log = master
    notify_change(bench.settings(COPILOT_ON_CHANGE_GUNICORN=str(pidfile)), synced(bench), stop)
    until(lambda: log.read_text().count("Booting worker") == 2, what="a new worker")
    assert process.poll() is None
    workers = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    for worker in workers.stdout.split():
        assert not is_gunicorn_master(int(worker))


@pytest.mark.parametrize(
    "code",
    [
        "import time; print(flush=True); time.sleep(60)",
        # Named so, and without the handlers: a worker, or somebody's gunicorn_wrapper.py.
        "import time; gunicorn = 1; print(flush=True); time.sleep(60)",
        # With the handlers, and not named so: uvicorn's supervisor of several workers.
        "import signal, time\n"
        "for n in (1, 3, 10, 12, 21, 22, 28): signal.signal(n, lambda *_: open('/dev/null'))\n"
        "print(flush=True); time.sleep(60)",
    ],
    ids=["other", "named", "handlers"],
)
def test_no_signal_for_others(bench, stop, tmp_path, code):
    """No process that is not a gunicorn master is ever sent a signal."""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        (tmp_path / "pid").write_text(f"{process.pid}\n")
        with pytest.raises(LiteLLMError, match="is not a gunicorn master; no SIGHUP was sent"):
            notify_change(bench.settings(COPILOT_ON_CHANGE_GUNICORN=str(tmp_path / "pid")), synced(bench), stop)
        assert process.poll() is None
        process.kill()


@pytest.mark.parametrize("content", [None, "", "0", "-1", "x", "99999999999999999999", "4194304"])
def test_no_pidfile(bench, stop, tmp_path, content):
    """A pidfile that names no process, or a whole group of them, means no signal."""
    if content is not None:
        (tmp_path / "pid").write_text(content)
    with pytest.raises(LiteLLMError, match="no SIGHUP was sent"):
        notify_change(bench.settings(COPILOT_ON_CHANGE_GUNICORN=str(tmp_path / "pid")), synced(bench), stop)


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"5",
        b'{"added": 5}',
        b'{"events": 5}',
        b'{"events_omitted": "x"}',
        b'{"added": {"a": 1}}',
        b'{"removed": [["a"]]}',
        b"[" * 100_000,
        b"\xff",
        b'"x"',
    ],
)
def test_a_pending_notification_that_is_none(bench, stop, tmp_path, content):
    """A damaged record of what is pending is left out; the change itself is notified."""
    (bench.shared / ".copilot_models.yaml.untold.json").write_bytes(content)
    notify_change(bench.settings(COPILOT_ON_CHANGE=f"tee {tmp_path}/told"), synced(bench), stop)
    assert json.loads((tmp_path / "told").read_text())["added"] == ["new"]


@pytest.mark.parametrize("content", [b"-1", b"0", b"9" * 30, b"9" * 5000, b"\xff", b"1e3", b""])
def test_a_pid_file_that_is_none(tmp_path, content):
    """What is not the number of a process gets no signal."""
    (tmp_path / "pid").write_bytes(content)
    assert "does not name a running process" in send_sighup(tmp_path / "pid")


def test_a_pid_file_that_is_a_pipe(tmp_path):
    """A named pipe is not waited for."""
    os.mkfifo(tmp_path / "pid")
    assert "does not name a running process" in send_sighup(tmp_path / "pid")


def test_no_proxy_sees_an_address_on_this_machine(bench, stop, monkeypatch):
    """The change is posted directly to an address of this machine, whose path may be a secret."""
    with Hook() as hook, HttpServer(lambda _: (200, {}, None)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        notify_change(bench.settings(COPILOT_ON_CHANGE_URL=hook.url), synced(bench), stop)
        assert len(hook.requests) == 1 and proxy.requests == []


def test_a_notice_reloads_nothing(bench, stop, tmp_path):
    """A notice about the credit goes to the address: no command is run, nothing restarted; what fails is an error."""
    notice = {"event": "credit_used", "quota": "chat", "level": 80}
    with Hook(answers=(200, 404)) as hook:
        settings = bench.settings(
            COPILOT_ON_CHANGE=f"touch {tmp_path}/run",
            COPILOT_ON_CHANGE_URL=hook.url,
            COPILOT_ON_CHANGE_GUNICORN="/nowhere",
        )
        notify_notice(settings, notice, stop)
        assert json.loads(hook.requests[0].body) == notice and not (tmp_path / "run").exists()
        with pytest.raises(LiteLLMError, match="404"):
            notify_notice(settings, notice, stop)
    assert not list(bench.shared.iterdir())
