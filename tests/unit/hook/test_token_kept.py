"""A Copilot token that cannot be stored, or is not where it was: who has one goes on with it, and puts it back."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.litellm_hot_reload import keeper as hook
from sidecar.litellm_hot_reload.keeper import Keeper
from tests.fakes.github import GitHub
from tests.support.files import PLACES, put, put_secret
from tests.support.github_paths import EXCHANGE


@pytest.fixture
def keeper(gh: GitHub, tmp_path: Path) -> Keeper:
    """One that has obtained a token; GitHub has gone since."""
    gh.clear()
    gh.heal()
    gh.set(clock_skew=0.0, plan_host=None, token_lifetime=1800, refresh_in=1500)
    put_secret(tmp_path / "access-token", gh.new_access_token())
    keeper = Keeper({"GITHUB_COPILOT_TOKEN_DIR": str(tmp_path), **gh.env()})
    keeper.turn()
    assert gh.copilot_token(keeper.current()) == "valid"
    gh.fail(EXCHANGE, status=500)
    return keeper


def another_logins(keeper: Keeper) -> None:
    keeper.shared.write(replace(keeper.shared.read(), login="0123456789abcdef", token="tid=theirs"))


def another_users(keeper: Keeper) -> None:
    keeper.shared.file.write_text(json.dumps({"token": "tid=theirs", "expires_at": 4e9}))
    keeper.shared._owners.clear()
    if os.geteuid() == 0:
        keeper.shared._owners.add(0)
        os.chown(keeper.shared.file, 12345, -1)


def place(what: str) -> Callable[[Keeper], None]:
    def put_there(keeper: Keeper) -> None:
        keeper.shared.file.unlink()
        PLACES[what](keeper.shared.file)

    return put_there


INSTEAD: dict[str, Callable[[Keeper], None]] = {
    "nothing": lambda keeper: keeper.shared.file.unlink(),
    "an empty file": lambda keeper: put(keeper.shared.file, b""),
    "garbage": lambda keeper: put(keeper.shared.file, b"\xff{]" * 100),
    "half of it": lambda keeper: put(keeper.shared.file, keeper.shared.file.read_bytes()[:40]),
    "no token": lambda keeper: put(keeper.shared.file, '{"expires_at": 4000000000}'),
    "another login's token": another_logins,
    "another user's token": another_users,
    **{what: place(what) for what in PLACES},
}


@pytest.mark.parametrize("what", INSTEAD)
def test_whatever_takes_the_files_place(what, gh, keeper):
    """No request goes without its token for that, none is sent with another, and GitHub need not be asked."""
    token, base = keeper.current(), keeper.api_base()
    INSTEAD[what](keeper)
    for _ in range(3):
        assert keeper.current() == token and keeper.api_base() == base
        keeper.turn()
    assert gh.count(EXCHANGE) == 1
    if what == "a directory":
        keeper.shared.file.rmdir()
        keeper._store_from = 0.0
        keeper.turn()
    assert keeper.shared.file.is_file() and keeper.shared.read().token == token
    fresh = Keeper({"GITHUB_COPILOT_TOKEN_DIR": str(keeper.directory), **gh.env()})
    assert fresh.current() == token, "a worker that starts only now has it too"


def test_a_newer_token_of_another_worker_counts(gh, keeper):
    """What is kept in memory is for want of a better one."""
    stored = keeper.shared.read()
    keeper.shared.write(replace(stored, token="tid=newer", obtained_at=stored.obtained_at + 1))
    assert keeper.current() == "tid=newer"
    keeper.turn()
    assert keeper.shared.read().token == "tid=newer"


def test_a_kept_token_is_not_used_beyond_its_end(keeper, monkeypatch):
    """It ends when it would have with the file."""
    end = keeper.shared.read().expires_at
    keeper.shared.file.unlink()
    assert keeper.current()
    monkeypatch.setattr(hook.time, "time", lambda: end + 1)
    assert keeper.current() is None


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB in memory, as a container's /tmp may be."""
    directory = tmp_path / "small"
    directory.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=20", "tmpfs", str(directory)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


def fill(directory: Path) -> None:
    with (directory / "full").open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return


def use_up_inodes(directory: Path) -> None:
    try:
        for number in range(100):
            (directory / f"full{number}").touch()
    except OSError:
        return


@pytest.mark.parametrize("how", [fill, use_up_inodes])
def test_a_full_disk_costs_no_request(how, gh, keeper, small, caplog, monkeypatch):
    """The token serves from memory, is asked for once, is said to be unsaved once, and is stored when there is room."""
    monkeypatch.setattr(hook.log, "propagate", True)
    caplog.set_level(logging.INFO, logger=hook.log.name)
    gh.heal()
    gh.clear()
    environ = {"GITHUB_COPILOT_TOKEN_DIR": str(keeper.directory), **gh.env()}
    full = Keeper({**environ, "GITHUB_COPILOT_API_KEY_FILE": str(small / "api-key.json")})
    full.shared.forget_failure()
    how(small)
    for _ in range(5):
        full.turn()
        full._store_from = 0.0
        assert gh.copilot_token(full.current()) == "valid"
    assert gh.count(EXCHANGE) == 1 and not full.shared.file.exists()
    assert len([message for message in caplog.messages if "cannot be written (No space left" in message]) == 1
    for path in small.glob("full*"):
        path.unlink()
    full.turn()
    assert full.shared.read().token == full.current() and gh.count(EXCHANGE) == 1
    assert sorted(path.name for path in small.iterdir()) == [".api-key.json.lock", "api-key.json"]
