"""The access token: where it is found, what is no token, and how it is stored."""

from __future__ import annotations

import json
import os
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.errors import LoginNeeded, StorageError
from sidecar.github.access_token import (
    AccessToken,
    check_owner,
    ensure_token_dir,
    find_access_token,
    store_access_token,
)
from sidecar.litellm_hot_reload import exchange
from sidecar.litellm_hot_reload.exchange import JSON_FILE
from sidecar.secret import Secret
from sidecar.service.sync import Session
from tests.support import canary
from tests.support.files import put_secret, unprivileged
from tests.support.hostile import json_bytes

PLAIN, JSON, ENVIRONMENT = canary.new("a"), canary.new("a"), canary.new("a")


def put(bench, plain=None, json_text=None):
    if plain is not None:
        put_secret(bench.token_file, plain)
    if json_text is not None:
        put_secret(bench.tokens / JSON_FILE, json_text)


@pytest.mark.parametrize("environment", [False, True])
@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("plain", [False, True])
def test_first_place_wins(bench, plain, as_json, environment):
    """LiteLLM's own file comes before `github_token.json`, and that before GITHUB_TOKEN."""
    put(bench, PLAIN if plain else None, json.dumps({"access_token": JSON}) if as_json else None)
    settings = bench.settings(GITHUB_TOKEN=ENVIRONMENT if environment else "")
    expected = [value for there, value in [(plain, PLAIN), (as_json, JSON), (environment, ENVIRONMENT)] if there]
    if expected:
        assert find_access_token(settings).value == Secret(expected[0])
    else:
        with pytest.raises(LoginNeeded, match="no access token in") as caught:
            find_access_token(settings)
        assert str(bench.tokens) in str(caught.value) and "login" in caught.value.hint


def test_directory_alone(bench):
    """The login only looks in the token directory: LiteLLM cannot use a token in the environment."""
    with pytest.raises(LoginNeeded):
        find_access_token(bench.settings(GITHUB_TOKEN=ENVIRONMENT), environment=False)


@pytest.mark.parametrize("form", ["{}", "{}\n", "  {} \r\n\r\n", "\ufeff{}", "\ufeff{}\r\n"], ids=repr)
def test_blanks_do_not_count(bench, form):
    """A byte order mark, blanks and line ends around a token do not matter, in either file."""
    text = form.format(PLAIN)
    put(bench, text)
    assert find_access_token(bench.settings()).value == Secret(PLAIN)
    bench.token_file.unlink()
    put(bench, json_text="\ufeff" + json.dumps({"access_token": text.strip("\ufeff"), "token_type": "bearer"}))
    found = find_access_token(bench.settings())
    assert found.value == Secret(PLAIN) and found.source == str(bench.tokens / JSON_FILE)


NONE = "does not contain a token"


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ("", "is empty"), (" \n\t", "is empty"), ("\ufeff", "is empty"), (b"\xff\xfe\x00", NONE),
        ("two tokens", NONE), ("ghu_a\nghu_b", NONE), ("x" * 1001, NONE),
        ("ghu_\x00nul", NONE), ("Grüße", NONE), (b"x" * 100_000, NONE),
        ("abc", NONE),
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_no_token(bench, plain, said):
    """A file without a token is named, and the next place is looked at."""
    put(bench, plain)
    with pytest.raises(LoginNeeded) as caught:
        find_access_token(bench.settings())
    assert f"{bench.token_file} {said}" in str(caught.value) and "\n" not in str(caught.value)
    assert find_access_token(bench.settings(GITHUB_TOKEN=ENVIRONMENT)).source == "GITHUB_TOKEN"


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "5", '"ghu_string"', "{}", '{"access_token": null}', '{"access_token": 5}',
             '{"access_token": ""}', '{"access_token": "a b"}', '{"token": "ghu_0123"}', "[" * 60_000,
             '{"access_token": "\\ud800x"}']
)  # fmt: skip
def test_no_token_in_json(bench, text):
    """A JSON file without a token is named."""
    put(bench, json_text=text)
    with pytest.raises(LoginNeeded, match=JSON_FILE):
        find_access_token(bench.settings())


def test_token_in_the_environment_that_is_none(bench):
    """A GITHUB_TOKEN that is no token is named, and not shown."""
    with pytest.raises(LoginNeeded, match="GITHUB_TOKEN does not contain a token") as caught:
        find_access_token(bench.settings(GITHUB_TOKEN="two wordsofsecret"))
    assert "wordsofsecret" not in str(caught.value)


def test_directory_in_place_of_the_file(bench):
    """A directory in place of the token file, as a bind mount makes it, is named with the cure."""
    bench.token_file.mkdir()
    with pytest.raises(StorageError, match=str(bench.token_file)) as caught:
        find_access_token(bench.settings())
    assert caught.value.hint


def test_file_in_place_of_the_directory(bench, tmp_path):
    """A token directory that is a file is named."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="Not a directory"):
        find_access_token(bench.settings(GITHUB_COPILOT_TOKEN_DIR=str(tmp_path / "file")))


@pytest.mark.parametrize("name", ["access-token", JSON_FILE])
def test_unreadable(bench, outside, name):
    """A token that belongs to somebody else is named with the cure, rather than taken for none."""
    file = outside / name
    put_secret(file, PLAIN)
    file.chmod(0o000)
    with unprivileged(), pytest.raises(StorageError, match="Permission denied") as caught:
        find_access_token(bench.settings(GITHUB_COPILOT_TOKEN_DIR=str(outside)))
    assert str(file) in str(caught.value) and "0600" in caught.value.hint


def test_the_owner_that_the_entry_point_becomes(bench, anothers):
    """It is that of the first file that is there, as in entrypoint/sidecar.sh, or else of the directory."""
    settings = bench.settings()
    check_owner(settings)
    (bench.tokens / JSON_FILE).symlink_to(anothers)
    with pytest.raises(StorageError, match=r"belongs to uid \d+ now, and this is uid \d+") as caught:
        check_owner(settings)
    assert "started again" in caught.value.hint
    put(bench, PLAIN)
    check_owner(settings)
    bench.token_file.unlink()
    bench.token_file.symlink_to(bench.token_file)  # what cannot be looked at
    (bench.tokens / JSON_FILE).unlink()
    check_owner(settings)
    with pytest.raises(StorageError, match="belongs to uid"):
        check_owner(bench.settings(GITHUB_COPILOT_TOKEN_DIR=str(anothers)))


def test_other_name(bench):
    """GITHUB_COPILOT_ACCESS_TOKEN_FILE names the file, for finding and for storing."""
    settings = bench.settings(GITHUB_COPILOT_ACCESS_TOKEN_FILE="my-token")
    path = canary.may_hold(bench.tokens / "my-token", "a", "the name that is set here")
    assert store_access_token(settings, Secret(PLAIN)) == path
    assert find_access_token(settings).source == str(bench.tokens / "my-token")


@pytest.mark.parametrize("as_json", [False, True])
def test_stored_token(bench, as_json):
    """What is stored is found again, and LiteLLM's file holds the token and nothing else."""
    path = store_access_token(bench.settings(), Secret(PLAIN), as_json=as_json)
    assert find_access_token(bench.settings()) == AccessToken(Secret(PLAIN), str(path))
    assert os.listdir(bench.tokens) == [path.name]
    assert (json.loads(path.read_text()) == {"access_token": PLAIN}) if as_json else (path.read_text() == PLAIN)


def test_private_from_the_first_byte(bench, monkeypatch):
    """At no moment may anybody else read the token: each file that is made is 0600 from its first byte to its last."""
    modes = []
    real_open = os.open

    def opened(path, flags, *mode, **more):
        descriptor = real_open(path, flags, *mode, **more)
        if flags & os.O_CREAT:
            modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    def synced(descriptor):
        about = os.fstat(descriptor)
        if stat.S_ISREG(about.st_mode):
            modes.append(stat.S_IMODE(about.st_mode))

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "fsync", synced)
    before = os.umask(0)
    try:
        path = store_access_token(bench.settings(), Secret(PLAIN))
    finally:
        os.umask(before)
    assert set(modes) == {0o600} and len(modes) >= 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_replaces_a_file_that_everybody_may_read(bench):
    """A token file that was open to all is private after the next login."""
    bench.log_in()
    bench.token_file.chmod(0o666)
    store_access_token(bench.settings(), Secret(PLAIN))
    assert stat.S_IMODE(bench.token_file.stat().st_mode) == 0o600


def test_directory_is_made(bench, tmp_path):
    """A token directory that is missing is made, for its owner alone."""
    directory = tmp_path / "tokens" / "deep" / "er"
    store_access_token(bench.settings(GITHUB_COPILOT_TOKEN_DIR=str(directory)), Secret(PLAIN))
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_directory_that_cannot_be_written(bench, outside):
    """A read-only token directory is found out before anybody is asked to log in."""
    outside.chmod(0o555)
    settings = bench.settings(GITHUB_COPILOT_TOKEN_DIR=str(outside))
    with unprivileged(), pytest.raises(StorageError, match=str(outside)) as caught:
        ensure_token_dir(settings)
    assert "GITHUB_COPILOT_TOKEN_DIR" in caught.value.hint and os.listdir(outside) == []


def test_read_again_on_every_sync(bench, stop):
    """A token that is replaced in its file is the one that the next sync uses."""
    settings = bench.settings()
    used = []
    for _ in range(2):
        token = bench.log_in()
        Session().fetch(settings, stop)
        used.append(bench.gh.requests[-2].headers["authorization"] == f"token {token}")
    bench.token_file.unlink()
    with pytest.raises(LoginNeeded):
        Session().fetch(settings, stop)
    assert used == [True, True]


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=60))
def test_any_bytes(bench, data):
    """Whatever the files hold, the answer is a token that fits into a header, or LoginNeeded."""
    put(bench, data)
    (bench.tokens / JSON_FILE).write_bytes(data)
    try:
        found = find_access_token(bench.settings()).value.reveal()
    except LoginNeeded:
        return
    assert found.isascii() and found.isprintable() and " " not in found


@pytest.mark.parametrize("name", ["access-token", "github_token.json"])
@pytest.mark.parametrize("kind", ["fifo", "device", "directory"])
def test_a_token_file_that_is_no_file(bench, name, kind):
    """A named pipe, an endless device or a directory is a file that cannot be read, and is said so at once."""
    path = bench.tokens / name
    {"fifo": lambda: os.mkfifo(path), "device": lambda: path.symlink_to("/dev/zero"), "directory": path.mkdir}[kind]()
    reason = "Is a directory" if kind == "directory" else "it is not a regular file"
    with pytest.raises(StorageError, match=f"{name} cannot be read: {reason}"):
        find_access_token(bench.settings())


def test_a_huge_token_file(bench):
    """Of a file that is far too large only the beginning is read."""
    with bench.token_file.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(LoginNeeded, match="does not contain a token"):
        find_access_token(bench.settings())


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=80) | json_bytes("access_token"), st.booleans())
def test_any_token_file(data, is_json):
    """Whatever a token file holds, it is a token that can be sent, or none."""
    token = exchange.access_token_in(data, is_json=is_json)
    assert token is None or exchange.is_token(token)
