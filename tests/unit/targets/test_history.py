"""The history next to a models file or a config: written when something changes, and never in the way of a sync."""

from __future__ import annotations

import json
import logging
import resource
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest

from sidecar.cli import main
from sidecar.errors import StorageError
from sidecar.models.history import MAX_BYTES, MAX_LINES, Event, dump_events
from sidecar.service import sync
from sidecar.service.sync import run_once
from sidecar.targets.history import config_history, history_file, models_history, read_history, write_history
from tests.fakes.catalog import model, warning
from tests.support.files import HUGE, PLACES
from tests.support.waiting import Quick

NOW = "2026-11-26T03:17:22Z"
A, B = Event(NOW, "added", "a"), Event(NOW, "added", "b")


@pytest.fixture
def file(tmp_path):
    return models_history(tmp_path / "copilot_models.yaml")


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING)
    return lambda: [record.message for record in caplog.records if "not recorded" in record.message]


def test_written_and_read(file):
    """Events are appended, and the latest can be read alone."""
    assert read_history(file) == []
    write_history(file, [A])
    write_history(file, [B])
    assert file.read_bytes() == dump_events([A, B]) and file.name == "changes.jsonl"
    assert read_history(file) == [A, B] and read_history(file, 1) == [B] and read_history(file, 0) == []
    assert (file.stat().st_mode & 0o777) == 0o644


def test_untouched(file):
    """Without an event, and where there is nothing new, the file stays as it is."""
    write_history(file, [])
    assert not file.exists()
    write_history(file, [A])
    before = file.stat()
    write_history(file, [])
    write_history(file, [A])
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_ten_thousand_changes(file):
    """Many changes, all at once or one after another, leave a file of bounded size with the latest ones."""
    events = [Event(NOW, "price", f"m{number}", "model_info.x_cost", 1, "x" * 200) for number in range(10_000)]
    for start in range(0, 10_000, 2500):
        write_history(file, events[start : start + 2500])
    found = read_history(file)
    assert file.stat().st_size <= MAX_BYTES and 2000 < len(found) <= MAX_LINES and found == events[-len(found) :]


@pytest.mark.parametrize("kind", PLACES)
def test_anything_in_place_of_the_history(file, kind, warnings):
    """Whatever is there is not waited for and not read without end; a file is replaced, else it is said once."""
    PLACES[kind](file)
    tracemalloc.start()
    write_history(file, [A])
    write_history(file, [B])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < HUGE / 20
    if kind == "400 MB":
        assert read_history(file) == [A, B] and warnings() == [] and file.stat().st_size < 1000
        return
    (said,) = warnings()
    assert str(file) in said
    with pytest.raises(StorageError):
        read_history(file)


def test_a_link_in_place_of_the_history(file, tmp_path):
    """What a link points to is neither shown nor written to: the link is replaced."""
    other = tmp_path / "other"
    other.write_text("mine\n")
    file.symlink_to(other)
    assert read_history(file) == []
    write_history(file, [A])
    assert other.read_text() == "mine\n" and not file.is_symlink() and read_history(file) == [A]


def test_the_latest_of_a_giant(file):
    """Of a file that is larger than any of ours the end is read."""
    with file.open("wb") as content:
        content.truncate(HUGE)
        content.seek(HUGE)
        content.write(b"\n" + dump_events([A]))
    assert read_history(file) == [A]


def test_a_disk_that_is_full(bench, warnings):
    """A full disk costs the lines of that time and one message, and no sync fails for it; then it goes on."""
    bench.log_in()
    file = history_file(bench.settings())
    run_once(bench.settings(), Quick())
    file.write_bytes(dump_events([Event(NOW, "added", f"m{number}") for number in range(3000)]))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The models file fits, and no history with another line.
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size, before[1]))
    try:
        for name in "cde":
            bench.gh.set_catalog([*bench.gh.catalog, model(name)])
            assert run_once(bench.settings(), Quick()).change.added == (f"github_copilot/{name}",)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(warnings()) == 1 and "File too large" in warnings()[0]
    bench.gh.set_catalog([*bench.gh.catalog, model("f")])
    run_once(bench.settings(), Quick())
    assert [event.model for event in read_history(file, 2)] == ["m2999", "f"] and len(warnings()) == 1


def test_a_sync_records_what_it_has_changed(bench):
    """Models that come, change, are absent and go are in the history of the models file, once each."""
    bench.log_in()
    settings = bench.settings(COPILOT_REMOVE_AFTER="2")
    seen = []
    for items in (
        [model("a"), model("b"), model("c")],
        [model("a", output=32_000), model("b"), model("c")],
        [model("a", output=32_000), model("b", policy="unconfigured"), model("c")],
        *[[model("a", output=32_000), model("b", policy="unconfigured")]] * 3,
    ):
        bench.gh.set_catalog(items)
        seen += run_once(settings, Quick()).events
    said = [(event.kind, event.model, event.path.rpartition(".")[2]) for event in seen]
    assert said == [
        *(("added", name, "") for name in "abc"),
        ("limits", "a", "max_input_tokens"),
        ("limits", "a", "max_output_tokens"),
        ("policy", "b", "policy"),
        ("absent", "c", "absences"),
        ("removed", "c", ""),
    ]
    assert read_history(history_file(settings)) == seen
    moment = datetime.fromisoformat(seen[0].time)
    assert abs(moment - datetime.now(UTC)) < timedelta(hours=1)


def test_a_dry_run_records_nothing(bench):
    """A dry run writes no history."""
    bench.log_in()
    assert run_once(bench.settings(), Quick(), dry_run=True).events == ()
    assert not history_file(bench.settings()).exists()


def test_a_notice_comes_once_also_after_a_restart(bench, monkeypatch, caplog):
    """A retirement that comes near is one line of the log and of the history, however often a process is started."""
    bench.log_in()
    bench.gh.set_catalog([model("a", warnings=[warning("model_deprecated", "Until 2026-12-31.")]), model("b")])
    days = iter(["2026-11-01", "2026-12-01", "2026-12-02", "2026-12-24", "2026-12-30", "2026-12-31"])
    said = []
    for day in days:
        monkeypatch.setattr(sync, "now", lambda day=day: datetime.fromisoformat(day).replace(tzinfo=UTC))
        said += [event.path for event in run_once(bench.settings(), Quick()).events if event.is_notice()]
    assert said == ["notice.30", "notice.7", "notice.1"]
    assert [event.path for event in read_history(history_file(bench.settings())) if event.is_notice()] == said
    logged = [record.getMessage() for record in caplog.records if "retires" in record.getMessage()]
    assert logged == [
        "a retires in 30 days, on 2026-12-31",
        "a retires in 7 days, on 2026-12-31",
        "a retires tomorrow, on 2026-12-31",
    ]


def test_many_notices_are_one_line(bench, monkeypatch, caplog):
    """A hundred models that retire on one day do not flood the log."""
    bench.log_in()
    soon = [warning("model_deprecated", "Until 2026-12-31.")]
    bench.gh.set_catalog([model(f"m{number}", warnings=soon) for number in range(100)])
    monkeypatch.setattr(sync, "now", lambda: datetime(2026, 12, 20, tzinfo=UTC))
    run_once(bench.settings(), Quick())
    (line,) = [record.getMessage() for record in caplog.records if "retires" in record.getMessage()]
    assert line.count("retires") == 20 and line.endswith("(and 80 more)")


def test_a_configs_history_has_its_name(bench, tmp_path):
    """Two configs in one directory have a history each, found through a link too, and a rejected change is in none."""
    bench.log_in()
    one, other, link = tmp_path / "config.yaml", tmp_path / "config.yml", tmp_path / "link.yaml"
    for path in (one, other):
        path.write_text("model_list: []\n")
    link.symlink_to(one)
    with pytest.raises(Exception, match="validation"):
        run_once(bench.settings(CONFIG_FILE=str(one), COPILOT_VALIDATE="false"), Quick())
    assert not config_history(one).exists()
    settings = bench.settings(CONFIG_FILE=str(link))
    run_once(settings, Quick())
    assert history_file(settings) == tmp_path / ".config.yaml.changes.jsonl"
    assert [event.model for event in read_history(history_file(settings))] == ["gpt-4o", "gpt-5-mini"]
    assert not config_history(other).exists()


def changes(bench, capsys, *flags, code=0):
    assert main(["changes", *flags], bench.environ) == code
    output = capsys.readouterr()
    return output.err if code else output.out


def test_the_command(bench, capsys):
    """`changes` shows all, or since when, as a table or as JSON, and asks nobody."""
    file = models_history(bench.models_file)
    assert changes(bench, capsys) == f"{file} has no changes\n"
    old = Event("2026-01-01T00:00:00Z", "removed", "old")
    write_history(file, [old, A])
    assert changes(bench, capsys).splitlines() == ["2026-01-01 00:00  old  removed", "2026-11-26 03:17  a    added"]
    assert changes(bench, capsys, "--since", "2026-11-26").splitlines() == ["2026-11-26 03:17  a  added"]
    assert changes(bench, capsys, "--since", "2999-01-01") == f"{file} has no changes since then\n"
    assert json.loads(changes(bench, capsys, "--json")) == {"changes": [old.as_json(), A.as_json()]}
    assert json.loads(changes(bench, capsys, "--json", "--since=2999-01-01")) == {"changes": []}
    assert "--since" in changes(bench, capsys, "--since", "soon", code=2) and bench.gh.requests == []


def test_the_command_of_a_config(bench, capsys, tmp_path):
    """`changes --config` shows the history of that config."""
    config = tmp_path / "config.yaml"
    write_history(config_history(config), [A])
    assert changes(bench, capsys, "--config", str(config)) == "2026-11-26 03:17  a  added\n"


def test_the_command_cannot_read(bench, capsys):
    """A history that cannot be read is exit code 5 and a cure; one in a ConfigMap is exit code 2 and where it is."""
    models_history(bench.models_file).mkdir()
    assert "rename or remove" in changes(bench, capsys, code=5)
    bench.environ["COPILOT_CONFIGMAP"] = "copilot-models"
    assert "kubectl" in changes(bench, capsys, code=2)
