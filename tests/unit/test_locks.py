"""Locks next to a file: one update at a time, and nobody held up by somebody who is gone."""

from __future__ import annotations

import errno
import fcntl
import logging
import threading

import pytest

from sidecar import locks
from sidecar.errors import StorageError
from sidecar.litellm_proxy.hook_package import PACKAGE
from sidecar.locks import update_lock
from sidecar.service.loop import prepare
from sidecar.targets.base import Built
from sidecar.targets.models_file import ModelsFileTarget, publish_models
from tests.support.entries import managed_entry
from tests.support.files import files_under
from tests.support.waiting import until


def test_one_update_of_the_models_file_at_a_time(tmp_path, stop):
    """A second sync reads the record of absences only when the first has written its own: none is lost."""
    path, inside, go_on, stored = tmp_path / "m.yaml", threading.Event(), threading.Event(), []

    def first(record):
        inside.set()
        go_on.wait(60)
        return Built([managed_entry("a")], b"first")

    def second(record):
        stored.append(record)
        return Built([managed_entry("a")], b"second")

    threads = [threading.Thread(target=ModelsFileTarget(path).update, args=(make, stop)) for make in (first, second)]
    threads[0].start()
    inside.wait(60)
    threads[1].start()
    threads[1].join(0.2)
    assert stored == [] and threads[1].is_alive()
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert stored == [b"first"]
    assert files_under(tmp_path).keys() == {"m.yaml", ".m.yaml.memory.json", "changes.jsonl"}


def test_a_start_does_not_empty_what_another_has_just_published(bench):
    """While one program publishes the first models, the start of another waits, and leaves them as they are."""
    settings, done = bench.settings(), threading.Event()

    def start():
        prepare(settings)
        done.set()

    thread = threading.Thread(target=start)
    with update_lock(bench.models_file):
        thread.start()
        assert not done.wait(0.2) and not (bench.shared / PACKAGE).exists()
        publish_models(bench.models_file, [managed_entry("a")])
    thread.join(60)
    assert done.is_set() and len(bench.names()) == 1


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks(tmp_path, stop, monkeypatch, caplog, number):
    """Where there are no locks that is said once, and syncs go on as if nobody else were there."""
    locks._say_no_locks.cache_clear()

    def refused(*_):
        raise OSError(number, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refused)
    path = tmp_path / "m.yaml"
    (tmp_path / ".m.yaml.0123456789ab.tmp").write_bytes(b"perhaps somebody's at work")
    for name in ("a", "b"):
        ModelsFileTarget(path).update(lambda _, name=name: Built([managed_entry(name)], b"{}"), stop)
    assert "b" in path.read_text() and ".m.yaml.0123456789ab.tmp" in files_under(tmp_path)
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


def test_leftovers_go_under_the_lock(tmp_path, stop):
    """Whoever holds the lock knows that temporary files are nobody's any more, however young; others' stay."""
    for name in ("m.yaml", ".m.yaml.memory.json", "changes.jsonl", "n.yaml"):
        (tmp_path / f".{name}.0123456789ab.tmp").write_bytes(b"part")
    ModelsFileTarget(tmp_path / "m.yaml").update(lambda _: Built([managed_entry("a")], b"{}"), stop)
    assert files_under(tmp_path).keys() == {
        *("m.yaml", ".m.yaml.memory.json", "changes.jsonl", ".n.yaml.0123456789ab.tmp")
    }


def test_a_lock_is_waited_for_without_end_by_nobody(tmp_path):
    """The lock of somebody who never ends, a stopped process, is given up with a message."""
    path = tmp_path / "m.yaml"
    with update_lock(path), pytest.raises(StorageError, match="still running"), update_lock(path, timeout=0.1):
        pass
    until(lambda: files_under(tmp_path) == {})
