"""The files next to a config or a models file: one each, by its whole name, and nobody's old one is lost."""

from __future__ import annotations

import json

import pytest

from sidecar.errors import LiteLLMError
from sidecar.litellm_proxy.notify import notify_change
from sidecar.models.changes import Change
from sidecar.targets.base import Built, Synced
from sidecar.targets.record import read_record, write_record


def names(directory):
    return sorted(path.name for path in directory.iterdir() if path.name.startswith("."))


@pytest.mark.parametrize("stem", ["config", "copilot_models"])
def test_each_file_has_its_own_record(tmp_path, stem):
    """Files that differ in their ending only do not read each other's record."""
    one, other, bare = (tmp_path / name for name in (f"{stem}.yaml", f"{stem}.yml", stem))
    for number, file in enumerate((one, other, bare)):
        file.touch()
        assert read_record(file) is None
        write_record(file, b"")
        write_record(file, b"%d" % number)
    write_record(one, b"")
    write_record(one, b"0")
    assert [read_record(file) for file in (one, other, bare)] == [b"0", b"1", b"2"]
    assert names(tmp_path) == [f".{stem}.memory.json", f".{stem}.yaml.memory.json", f".{stem}.yml.memory.json"]


def test_old_record_is_taken_over_once_by_each(tmp_path):
    """What both shared is there for each until it has a record of its own, and goes when nobody needs it any more."""
    one, other, shared = (tmp_path / name for name in ("config.yaml", "config.yml", ".config.memory.json"))
    for file in (one, other):
        file.touch()
    shared.write_bytes(b"old")
    assert read_record(one) == b"old"
    write_record(one, b"old")
    assert read_record(other) == b"old" and shared.exists()
    write_record(other, b"new")
    assert (read_record(one), read_record(other)) == (b"old", b"new")
    assert names(tmp_path) == [".config.yaml.memory.json", ".config.yml.memory.json"]
    shared.write_bytes(b"stale")
    assert read_record(one) == b"old"


def test_old_pending_notification_is_taken_over_by_whose_it_is(tmp_path, bench, stop):
    """A notification that an earlier version could not send is sent with the next one for the same config only."""
    shared = tmp_path / ".config.untold.json"
    one, other = tmp_path / "config.yaml", tmp_path / "config.yml"
    pending = {"event": "models_changed", "file": str(one), "models": 1, "added": ["early"]}
    shared.write_text(json.dumps(pending))

    def tell(file, command):
        change = Synced(str(file), Built([], b""), Change(added=(file.suffix,)))
        notify_change(bench.settings(CONFIG_FILE=str(file), COPILOT_ON_CHANGE=command), change, stop)

    tell(other, f"tee {tmp_path}/told")
    assert json.loads((tmp_path / "told").read_text())["added"] == [".yml"] and shared.exists()
    with pytest.raises(LiteLLMError):
        tell(one, "false")
    assert names(tmp_path) == [".config.yaml.untold.json"]
    tell(other, f"tee {tmp_path}/told")
    assert json.loads((tmp_path / "told").read_text())["added"] == [".yml"]
    tell(one, f"tee {tmp_path}/told")
    assert json.loads((tmp_path / "told").read_text())["added"] == ["early", ".yaml"] and names(tmp_path) == []
