"""One sync: from the access token to the models file, and on any failure nothing on disk has changed."""

from __future__ import annotations

import json
import logging
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from sidecar import http_client
from sidecar.cli import main
from sidecar.errors import AccessRefused, BadAnswer, LoginNeeded, SidecarError, StorageError, Unreachable, UsageError
from sidecar.litellm_hot_reload.text import remember
from sidecar.models.absences import absences_file
from sidecar.service import sync
from sidecar.service.sync import TOKEN_MARGIN, Session, run_once
from tests.fakes.catalog import demo_catalog, model
from tests.support.files import files_under
from tests.support.github_paths import EXCHANGE, MODELS
from tests.support.waiting import Quick

A, B, C = model("a"), model("b"), model("c")


def run(bench, **changes):
    return run_once(bench.settings(**changes), Quick())


def state(directory):
    """Every file with its content, inode and time."""
    return {
        path: (path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns)
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def synced(bench):
    """A bench with one sync of the models a and b done."""
    bench.gh.set_catalog([A, B])
    bench.log_in()
    run(bench)
    bench.gh.clear()
    return bench


def test_first_sync(bench):
    """The account's models are published; one exchange and one catalog are asked for."""
    bench.log_in()
    result = run(bench)
    assert result.models == 2 and result.change.added == ("github_copilot/gpt-4o", "github_copilot/gpt-5-mini")
    assert bench.names() == list(result.change.added)
    assert [request.path for request in bench.gh.requests] == [EXCHANGE, MODELS] and not bench.gh.refusals
    modes = {stat.S_IMODE(path.stat().st_mode) for path in bench.shared.iterdir()}
    assert modes == {0o644}


def test_unchanged(synced):
    """When nothing changed no file is touched; only the record of absences, not written either, has the new time."""
    before, record = state(synced.shared), absences_file(synced.models_file)
    os.utime(record, (1e9, 1e9))
    result = run(synced)
    assert result.change is None and result.models == 2 and record.stat().st_mtime > 1e9
    os.utime(record, ns=(0, before[record][2]))
    assert state(synced.shared) == before


def test_changed(synced):
    """A changed catalog changes the file, and what changed is named."""
    synced.gh.set_catalog([A, model("b", output=1), C])
    change = run(synced).change
    assert (change.added, change.removed, change.changed) == (("github_copilot/c",), (), ("github_copilot/b",))


def test_business_plan(bench):
    """A plan with a host of its own is served from there."""
    bench.gh.plan = "business"
    bench.log_in()
    assert run(bench).models == 2 and not bench.gh.refusals


FAULTS = [
    {"status": 401}, {"status": 403}, {"status": 403, "body": {"message": "API rate limit exceeded"}}, {"status": 404},
    {"status": 408}, {"status": 429}, {"status": 429, "headers": {"Retry-After": "1"}}, {"status": 500},
    {"status": 503},
    {"status": 301, "how": "redirect"}, {"how": "reset"}, {"how": "hang"}, {"how": "truncate"}, {"how": "garbage"},
    {"body": {}}, {"body": "[]"}, {"body": "null"}, {"body": ""}, {"body": {"data": [], "token": ""}},
    {"body": {"data": [{"id": "*"}]}}, {"body": {"data": "x"}},
    {"body": b"[" * 100_000}, {"body": b'{"data": 1e9999999999999999999}'},
]  # fmt: skip


@pytest.mark.parametrize("hop", [EXCHANGE, MODELS])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: " ".join(str(value)[:20] for value in fault.values()))
def test_failures_change_nothing(synced, monkeypatch, hop, fault):
    """Whatever goes wrong on either hop, the last good file stays untouched, requests are few, and it heals."""
    if fault.get("how") == "hang":
        monkeypatch.setattr("sidecar.http_client.READ_TIMEOUT", 0.05)
    synced.gh.set_catalog([C])
    synced.gh.fail(hop, **fault)
    before = state(synced.shared)
    with pytest.raises(SidecarError) as caught:
        run(synced)
    assert caught.value.exit_code in {3, 4} and str(caught.value)
    assert state(synced.shared) == before
    assert synced.gh.count(hop) <= 3
    synced.gh.heal()
    monkeypatch.undo()
    assert run(synced).change.added == ("github_copilot/c",)


def test_catalog_without_a_callable_model(synced):
    """A catalog in which nothing can be called never empties the file, however often it comes."""
    before = synced.models_file.read_bytes()
    synced.gh.set_catalog([model("m", endpoints=[])])
    for _ in range(3):  # until the loss of the others has repeated often enough
        assert run(synced, COPILOT_ACCEPT_LOSS_AFTER="4").change is None
    for accept_loss in (False, False, True):
        with pytest.raises(BadAnswer):
            run_once(synced.settings(COPILOT_ACCEPT_LOSS_AFTER="4"), Quick(), accept_loss=accept_loss)
        assert synced.models_file.read_bytes() == before


@pytest.mark.parametrize("hop", [EXCHANGE, MODELS])
@pytest.mark.parametrize("fault", [{"how": "slow", "delay": 0.01}, {"delay": 0.1}])
def test_slow_answers(synced, hop, fault):
    """A slow answer is an answer."""
    synced.gh.fail(hop, **fault)
    assert run(synced).models == 2


@pytest.mark.parametrize("hop", [EXCHANGE, MODELS])
@pytest.mark.parametrize("fault", [{"status": 502}, {"how": "reset"}, {"how": "garbage"}])
def test_second_try(synced, hop, fault):
    """What fails once works the second time."""
    synced.gh.fail(hop, times=1, **fault)
    assert run(synced).models == 2 and synced.gh.count(hop) == 2


@pytest.mark.parametrize(
    ("prepare", "kind"),
    [
        (lambda bench: bench.token_file.unlink(), LoginNeeded),
        (lambda bench: bench.token_file.write_text(""), LoginNeeded),
        (lambda bench: bench.gh.revoke(bench.token_file.read_text()), LoginNeeded),
        (lambda bench: bench.gh.no_subscription(), AccessRefused),
        (lambda bench: bench.gh.set_catalog([]), BadAnswer),
        (lambda bench: bench.gh.set(plan_host="https://evil.example"), BadAnswer),
        (lambda bench: bench.gh.down(), Unreachable),
    ],
)
def test_refusals(synced, prepare, kind):
    """No login, no subscription, no models, no network: each is its own error, and the models stay."""
    prepare(synced)
    before = state(synced.shared)
    with pytest.raises(kind):
        run(synced)
    assert state(synced.shared) == before


def test_expired_copilot_token(synced):
    """No command keeps a Copilot token for the next: expired ones do not matter."""
    synced.gh.expire_copilot_tokens()
    assert run(synced).models == 2 and synced.gh.count(EXCHANGE) == 1


@pytest.fixture
def session(synced):
    """The service's session after its second sync."""
    session = Session(attempts=1)
    for _ in range(2):
        run_once(synced.settings(), Quick(), session)
    synced.gh.clear()
    return session


def asked(bench):
    return [request.path for request in bench.gh.requests]


def test_a_good_copilot_token_serves_the_next_sync(synced, session):
    """While it lasts a sync is one request; two minutes before its end it is exchanged anew."""
    run_once(synced.settings(), Quick(), session)
    assert asked(synced) == [MODELS]
    synced.gh.set(token_lifetime=TOKEN_MARGIN - 1)
    synced.log_in()
    for _ in range(2):
        run_once(synced.settings(), Quick(), session)
    assert asked(synced) == [MODELS, *[EXCHANGE, MODELS] * 2]


def test_a_new_login_gets_a_copilot_token_of_its_own(synced, session):
    """The token of one login never serves another's."""
    synced.log_in()
    run_once(synced.settings(), Quick(), session)
    assert asked(synced) == [EXCHANGE, MODELS]


def test_a_kept_copilot_token_that_is_refused_is_exchanged_anew(synced, session):
    """The same sync succeeds with a new one; if GitHub gives none, it says why."""
    synced.gh.refuse_copilot_tokens()
    assert run_once(synced.settings(), Quick(), session).models == 2
    assert asked(synced) == [MODELS, EXCHANGE, MODELS]
    synced.gh.refuse_copilot_tokens()
    synced.gh.revoke(synced.token_file.read_text().strip())
    with pytest.raises(LoginNeeded):
        run_once(synced.settings(), Quick(), session)


def test_the_same_catalog_is_not_built_again(synced, session, monkeypatch):
    """A sync that finds the same catalog mends the file with what was built; its time is that of this sync."""
    monkeypatch.setattr(sync, "build_entries", lambda *_: 1 / 0)
    assert run_once(synced.settings(), Quick(), session).change is None
    synced.models_file.unlink()
    monkeypatch.setattr(sync, "now", lambda: datetime.now(UTC) + timedelta(seconds=1))
    mended = run_once(synced.settings(), Quick(), session)
    assert mended.created and synced.names() == ["github_copilot/a", "github_copilot/b"]
    assert {event.time for event in mended.events} == {mended.built.time}


def test_the_same_answer_is_not_read_again(synced, session, monkeypatch):
    """Neither parsed nor searched for secrets: its bytes are those of the last one."""
    monkeypatch.setattr(http_client, "parse_json", lambda *_: 1 / 0)
    monkeypatch.setattr(sync, "catalog_items", lambda *_: 1 / 0)
    for _ in range(2):
        assert run_once(synced.settings(), Quick(), session).change is None
    monkeypatch.undo()
    synced.gh.set_catalog([A, C])
    assert run_once(synced.settings(), Quick(), session).change.added == ("github_copilot/c",)


def test_a_secret_that_becomes_known_is_taken_out_of_the_same_answer(synced, session):
    """What was shown before it was known for a secret is not shown from then on."""
    synced.gh.set_catalog([model("a", vendor="Hide & Seek Inc"), B])
    run_once(synced.settings(), Quick(), session)
    assert b"Hide & Seek" in synced.models_file.read_bytes()
    remember("Hide & Seek Inc")
    run_once(synced.settings(), Quick(), session)
    assert b"Seek" not in synced.models_file.read_bytes()


def change_the_catalog(bench, settings):
    bench.gh.set_catalog([A, model("b", output=1)])
    return settings


def damage_the_record(bench, settings):
    absences_file(bench.models_file).write_text("{}")
    return settings


def add_an_alias(bench, settings):
    Path(settings.aliases_file).write_text("mine: a\n")
    return settings


def change_a_setting(bench, settings):
    return bench.settings(COPILOT_MODEL_NAMES="both")


@pytest.mark.parametrize("change", [change_the_catalog, damage_the_record, add_an_alias, change_a_setting])
def test_whatever_has_changed_is_built(synced, session, tmp_path, change):
    """The catalog, the record, the user's own files, the settings: each has it built anew, as a new session would."""
    (tmp_path / "aliases.yaml").write_text("")
    settings = synced.settings(COPILOT_ALIASES_FILE=str(tmp_path / "aliases.yaml"))
    for _ in range(2):
        run_once(settings, Quick(), session)
    before = session._built
    settings = change(synced, settings)
    assert before is not None and run_once(settings, Quick(), session).built is not before
    assert run_once(settings, Quick()).change is None


def test_another_day_is_built_anew(synced, session, monkeypatch):
    """A retirement comes nearer by itself."""
    before = run_once(synced.settings(), Quick(), session).built
    monkeypatch.setattr(sync, "now", lambda: datetime.now(UTC) + timedelta(days=1))
    assert run_once(synced.settings(), Quick(), session).built is not before


def test_filters_that_leave_nothing(synced):
    """Filters that leave nothing are refused by name, and the models stay."""
    before = state(synced.shared)
    with pytest.raises(UsageError, match="COPILOT_MODELS_INCLUDE"):
        run(synced, COPILOT_MODELS_INCLUDE="x-*")
    assert state(synced.shared) == before


def test_absent_model_leaves_later(synced):
    """A model leaves with its third absence in a row, and not before."""
    synced.gh.set_catalog([A])
    seen = []
    for _ in range(4):
        run(synced)
        seen.append(len(synced.names()))
    assert seen == [2, 2, 1, 1]


def test_absences_in_between(synced, caplog):
    """A model that comes and goes stays, and its file is not touched; the log says that it is absent."""
    caplog.set_level(logging.INFO, "sidecar")
    synced.gh.flicker = ["b"]
    before = synced.models_file.stat().st_mtime_ns
    for _ in range(6):
        assert run(synced).change is None
    assert synced.models_file.stat().st_mtime_ns == before
    assert [record.absent for record in caplog.records if hasattr(record, "absent")] == [["b"]] * 3


def test_failures_do_not_count_as_absences(synced):
    """A catalog that could not be read says nothing about its models."""
    synced.gh.set_catalog([A])
    run(synced)
    synced.gh.fail(MODELS, status=500)
    for _ in range(4):
        with pytest.raises(SidecarError):
            run(synced)
    synced.gh.heal()
    run(synced)
    assert len(synced.names()) == 2
    run(synced)
    assert len(synced.names()) == 1


@pytest.fixture(params=["models file", "config"])
def account(request, bench, monkeypatch, tmp_path):
    """Ten models, published to either target by the command line; ``said`` is what a command prints."""
    items = [model(f"m-{number}") for number in range(10)]
    bench.gh.set_catalog(items)
    bench.log_in()
    environ = dict(bench.environ)
    if request.param == "config":
        environ["CONFIG_FILE"] = str(tmp_path / "config.yaml")
        (tmp_path / "config.yaml").write_text("model_list: []\n")

    def sync(*flags, code=0):
        assert main(["sync", *flags], environ) == code
        written = yaml.safe_load(Path(environ.get("CONFIG_FILE", bench.models_file)).read_bytes())["model_list"]
        return len(written)

    assert sync() == 10
    return bench, items, sync


def test_an_implausible_loss_is_said_each_time(account, capsys):
    """What the catalog loses at once is kept; each sync says how much of how much, for how long, and what to do."""
    bench, items, sync = account
    bench.gh.set_catalog(items[:4])
    for left in (23, 22, 21, 20):
        assert sync() == 10
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("warning: the catalog has lost 6 of 10 models, which is implausible: 6 of them are kept")
        assert f" for {left} more syncs (hint=" in line and "`sync --accept-loss` removes" in line
        assert "absent=['m-4', 'm-5', 'm-6', 'm-7', 'm-8', 'm-9']" in line


def test_a_person_accepts_it(account, capsys):
    """`sync --accept-loss` removes them in that sync, says which, and there is nothing to warn of afterwards."""
    bench, items, sync = account
    bench.gh.set_catalog(items[:4])
    assert sync() == sync("--dry-run", code=0) == 10
    assert sync("--dry-run", "--accept-loss", code=1) == 10
    capsys.readouterr()
    assert sync("--accept-loss") == 4
    printed = capsys.readouterr()
    assert printed.out.count("  removed github_copilot/") == 6 and printed.err == ""
    assert sync() == 4 and capsys.readouterr().err == ""


def test_unusable_at_once(account, capsys):
    """Models that are all listed, but disabled by policy, are a loss too; a filter of one's own is not."""
    bench, items, sync = account
    bench.gh.set_catalog(items[:5] + [model(f"m-{number}", policy="disabled") for number in range(5, 10)])
    assert sync() == 10 and "lost 5 of 10" in capsys.readouterr().err


def test_the_service_says_it(synced):
    """`run` logs the loss as JSON, with the hint, and stays ready; a filter of one's own takes effect at once."""
    synced.gh.set_catalog([C])
    process = synced.start("run").saw("implausible")
    assert process.signal() == 0
    (said,) = [record for record in process.records if "implausible" in record["message"]]
    assert said["level"] == "WARNING" and "--accept-loss" in said["hint"] and said["absent"] == ["a", "b"]
    assert synced.names() == ["github_copilot/a", "github_copilot/b", "github_copilot/c"]
    assert run(synced, COPILOT_MODELS_EXCLUDE="[ab]").models == 1


def test_at_once_when_asked_for(synced):
    """COPILOT_REMOVE_AFTER=1 removes a model with its first absence."""
    synced.gh.set_catalog([A])
    assert run(synced, COPILOT_REMOVE_AFTER="1").change.removed == ("github_copilot/b",)


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff" * 50, b'{"schema": 9}', b"[" * 100_000])
def test_damaged_record(synced, caplog, damage):
    """A damaged record is logged and costs at most one early removal."""
    absences_file(synced.models_file).write_bytes(damage)
    assert run(synced).change is None
    assert "damaged" in caplog.text
    caplog.clear()
    run(synced)
    assert "damaged" not in caplog.text


@pytest.mark.parametrize("garbage", [b"", b"\x00", b"{", b"x: 2001-99-99", b"model_list: [5]", b"[" * 1000])
def test_garbage_models_file(synced, garbage):
    """A damaged models file is replaced by the next sync."""
    good = synced.models_file.read_bytes()
    synced.models_file.write_bytes(garbage)
    assert run(synced).models == 2 and synced.models_file.read_bytes() == good


def test_missing_models_file(synced):
    """A models file that is gone comes back."""
    good = synced.models_file.read_bytes()
    synced.models_file.unlink()
    run(synced)
    assert synced.models_file.read_bytes() == good


@pytest.mark.parametrize("which", ["models", "record"])
def test_directory_in_place_of_a_file(bench, which):
    """A directory in place of either file is named."""
    bench.log_in()
    path = bench.models_file if which == "models" else absences_file(bench.models_file)
    path.mkdir()
    with pytest.raises(StorageError, match=str(path)):
        run(bench)


def test_deterministic(bench, tmp_path):
    """The same catalog gives the same bytes, whatever came before, and the record contains nothing but the catalog."""
    bench.gh.set_catalog(demo_catalog())
    bench.log_in()
    run(bench)
    expected = files_under(bench.shared)
    bench.gh.set_catalog(demo_catalog()[::-1])
    assert run(bench).change is None and files_under(bench.shared) == expected
    kept = json.loads(absences_file(bench.models_file).read_bytes())["models"]
    assert kept.keys() == {item["id"] for item in demo_catalog()}


@pytest.mark.parametrize("depth", [50, 300, 900, 960, 980, 990, 2000])
def test_deeply_nested_catalog(synced, depth):
    """However deep a catalog is nested, it is published or refused."""
    nested = "[" * depth + "]" * depth
    synced.gh.fail(MODELS, body=f'{{"data": [{{"id": "c", "model_picker_enabled": true, "policy": {nested}}}]}}')
    before = state(synced.shared)
    try:
        run(synced)
    except SidecarError:
        assert state(synced.shared) == before
    else:
        assert "github_copilot/c" in synced.names()


def test_hostile_catalog(bench, caplog):
    """Ids and texts that are meant to do harm end as refusals and as harmless text."""
    caplog.set_level(logging.DEBUG, "sidecar")
    bad = ["x\ny", "\x1b[2J", "!!python/object:os.system", "*", "a" * 1024, "../../etc", "${HOME}", "\ud800"]
    named = model("ok", name="\x1b]0;owned\x07", vendor="!!python/name:os.system ", category="\n---\nmodel_list: []")
    bench.gh.set_catalog([named, *(model(key) for key in bad)])
    bench.log_in()
    assert run(bench).models == 1 and bench.names() == ["github_copilot/ok"]
    assert "\x1b" not in caplog.text and "\x1b" not in bench.models_file.read_text()
    assert yaml.safe_load(bench.models_file.read_bytes()).keys() == {"model_list"}
    omitted = [record.model for record in caplog.records if hasattr(record, "model")]
    assert len(omitted) == len(bad) and all(label.isprintable() for label in omitted)


def test_another_app_s_token(bench, caplog):
    """A token of another app reads the catalog; that LiteLLM cannot use it is said."""
    bench.log_in(kind="gho_")
    assert run(bench).models == 2 and "another OAuth app" in caplog.text
