"""Files that change while the hook looks at them: whatever it sees of that, it follows no half and forgets nothing."""

from __future__ import annotations

import errno
import logging
import os
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.litellm_hot_reload import watched as hook
from sidecar.litellm_hot_reload.bounded import read_bounded, read_up_to
from sidecar.litellm_hot_reload.config_file import ConfigFile
from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX
from sidecar.litellm_hot_reload.models_file import ModelsFile, entries_in
from sidecar.models.entries import models_file_bytes
from tests.fakes.catalog import model
from tests.support.entries import entries_of
from tests.support.files import put, unprivileged

ITEMS = [model(f"m{number}") for number in range(4)]
OLD, NEW = (models_file_bytes(entries_of(items)) for items in (ITEMS, [*ITEMS[:3], model("other", context=64_000)]))


@pytest.fixture
def models(tmp_path: Path) -> ModelsFile:
    """One that has read a good file."""
    models = ModelsFile(tmp_path / "models.yaml")
    put(models.path, OLD)
    models.refresh()
    assert models.wanted == entries_in(OLD)
    return models


@pytest.mark.parametrize("pieces", [2, 7, 40])
def test_a_file_that_is_written_in_place_counts_when_it_is_whole(pieces, models):
    """At no look of ours is a part of it followed, though some parts are valid: with fewer models, or half a number."""
    before = models.wanted
    size, valid = -(-len(NEW) // pieces), 0
    # Begin with a cut between two entries: that is a models file, only of fewer models.
    boundary = NEW.rindex(b"- model_name")
    with models.path.open("wb", buffering=0) as file:
        for piece in (NEW[:boundary], *(NEW[at : at + size] for at in range(boundary, len(NEW), size))):
            file.write(piece)
            try:
                valid += 0 < len(entries_in(models.path.read_bytes())) < len(ITEMS)
            except Exception:
                valid += 0
            models.refresh()
            assert models.wanted is before and models.problem == ""
    assert valid, "the control: something that was there in between could have been followed"
    models.refresh()
    assert models.wanted == entries_in(NEW)


def test_a_config_that_is_written_in_place_counts_when_it_is_whole(tmp_path):
    """The same for LiteLLM's config, and for what it includes: an editor that truncates removes nobody's models."""
    config = ConfigFile(tmp_path / "config.yaml", lambda raw: raw)
    item = {"model_name": "x", "litellm_params": {"model": "openai/x"}}
    config.path.write_text("include: [more.yaml]\n" + yaml.safe_dump({"model_list": [item]}))
    more = tmp_path / "more.yaml"
    more.write_text(yaml.safe_dump({"model_list": [item, item]}))
    for _ in range(2):
        config.refresh()
    assert len(config.entries) == 3
    more.write_text("")
    config.refresh()
    more.write_text(yaml.safe_dump({"model_list": [item]}))
    config.refresh()
    assert len(config.entries) == 3 and config.problem == ""
    config.refresh()
    assert len(config.entries) == 2


def test_a_replaced_file_counts_at_once(models):
    """Who replaces it whole, as the sidecar does, waits for no second look; nor does a file that was away meanwhile."""
    put(models.path, NEW)
    models.refresh()
    assert models.wanted == entries_in(NEW)
    models.path.unlink()
    models.refresh()
    assert models.problem and models.wanted == entries_in(NEW)
    models.path.write_bytes(OLD)
    models.refresh()
    assert models.wanted == entries_in(OLD) and models.problem == ""


def test_a_file_that_goes_between_a_look_and_the_reading(models, monkeypatch):
    """What was known stays, and the next file counts."""
    load, before = ModelsFile._load, models.wanted

    def gone_by_then(self: ModelsFile) -> None:
        self.path.unlink()
        load(self)

    with monkeypatch.context() as patched:
        patched.setattr(ModelsFile, "_load", gone_by_then)
        put(models.path, NEW)
        models.refresh()
    assert models.wanted is before and "FileNotFoundError" in models.problem
    put(models.path, NEW)
    for _ in range(2):  # it may have been given the inode of the one that went, and look as if written in place
        models.refresh()
    assert models.wanted == entries_in(NEW)


def test_a_file_that_grows_while_it_is_read_is_not_read_without_end(tmp_path):
    """A writer that is as fast as we are: no more than the limit is taken."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1000)

    class Growing(FileIO):
        def read(self, size: int = -1, /) -> bytes:
            with path.open("ab") as file:
                file.write(b"x" * 2**16)
            return super().read(size)

    with Growing(path) as file:
        assert len(read_up_to(file, 300_000)) == 300_000
    with pytest.raises(OSError, match="larger than"):
        read_bounded(path, 300_000)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.EIO, errno.ESTALE])
def test_a_file_that_cannot_be_read_for_a_while(number, models, monkeypatch, caplog):
    """Mode 000, no descriptor left, a failing disk: said once, and read as soon as it can be, though it is the same."""
    before, opened = models.wanted, os.open
    monkeypatch.setattr(hook.log, "propagate", True)

    def fails(path: Any, *how: Any) -> int:
        if path == models.path:
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, *how)

    put(models.path, NEW)
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING, logger=hook.log.name):
        patched.setattr(os, "open", fails)
        for _ in range(3):
            models.refresh()
        assert models.wanted is before and os.strerror(number) in models.problem and len(caplog.messages) == 1
    models.refresh()
    assert models.wanted == entries_in(NEW) and models.problem == ""


def test_a_file_of_mode_000(outside):
    """As a careless umask or a restored backup leaves it; who mends its mode need not touch it."""
    models = ModelsFile(outside / "models.yaml")
    put(models.path, OLD)
    with unprivileged():
        models.refresh()
    put(models.path, NEW)
    models.path.chmod(0)
    with unprivileged():
        models.refresh()
    assert models.wanted == entries_in(OLD) and "PermissionError" in models.problem
    models.path.chmod(0o644)
    with unprivileged():
        models.refresh()
    assert models.wanted == entries_in(NEW) and models.problem == ""


def test_a_directory_link_that_is_swapped(tmp_path):
    """As Kubernetes does with a ConfigMap: the new file counts at once; a link to nothing, or to itself, is no file."""
    for name, data in (("..one", OLD), ("..two", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "models.yaml").write_bytes(data)

    def point(target: str) -> None:
        (tmp_path / "..new").symlink_to(target)
        os.rename(tmp_path / "..new", tmp_path / "..data")

    (tmp_path / "models.yaml").symlink_to("..data/models.yaml")
    models = ModelsFile(tmp_path / "models.yaml")
    for target, wanted in (("..one", OLD), ("..two", NEW), ("..none", NEW), ("..data", NEW), ("..one", OLD)):
        point(target)
        models.refresh()
        assert models.wanted == entries_in(wanted)
        assert bool(models.problem) == (target in ("..none", "..data"))
    assert MANAGED_PREFIX + "m3" in models.wanted
