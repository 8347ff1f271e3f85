"""What the hook makes of files that somebody else could have put there: it neither raises, hangs, nor believes them."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sidecar.litellm_hot_reload import record as hook
from sidecar.litellm_hot_reload.allowed import MAX_ENTRIES, MAX_FILE_SIZE
from sidecar.litellm_hot_reload.bounded import map_bounded, read_bounded
from sidecar.litellm_hot_reload.config_file import ConfigFile
from sidecar.litellm_hot_reload.exchange import fingerprint
from sidecar.litellm_hot_reload.keeper import Keeper
from sidecar.litellm_hot_reload.models_file import ModelsFile
from sidecar.litellm_hot_reload.startup import OneLine
from sidecar.models.entries import models_file_bytes
from tests.fakes.catalog import model, tier, tiered
from tests.fakes.github import GitHub
from tests.support.entries import entries_of, entry_text, managed_entry
from tests.support.files import PLACES, put, put_secret
from tests.support.github_paths import EXCHANGE


@pytest.fixture
def keeper(gh: GitHub, tmp_path: Path) -> Keeper:
    gh.clear()
    gh.heal()
    gh.set(clock_skew=0.0, plan_host=None, token_lifetime=1800, refresh_in=1500)
    keeper = Keeper({"GITHUB_COPILOT_TOKEN_DIR": str(tmp_path), **gh.env()})
    put_secret(tmp_path / "access-token", gh.new_access_token())
    return keeper


def make(gh: GitHub, keeper: Keeper) -> Keeper:
    """A worker that has just begun, beside another."""
    return Keeper({"GITHUB_COPILOT_TOKEN_DIR": str(keeper.directory), **gh.env()})


@pytest.mark.parametrize("what", PLACES)
@pytest.mark.parametrize("read", [read_bounded, map_bounded])
def test_only_a_regular_file_of_a_sensible_size_is_read(read, what, tmp_path):
    """Everything else is an OSError at once, and no memory is taken for it."""
    path = tmp_path / "file"
    PLACES[what](path)
    with pytest.raises(OSError, match=r".") as caught:
        read(path, 1000)
    assert caught.value.strerror


@pytest.mark.parametrize("size", [0, 1, 2**16, 2**16 + 1, 200_000])
@pytest.mark.parametrize("read", [read_bounded, map_bounded])
def test_a_file_is_read_whole_up_to_the_limit(read, size, tmp_path):
    """And one byte more is too much."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    assert read(path, size) == b"x" * size
    path.write_bytes(b"x" * (size + 1))
    with pytest.raises(OSError, match="larger than"):
        read(path, size)


@pytest.mark.parametrize("what", PLACES)
@pytest.mark.parametrize("name", ["access-token", "github_token.json"])
def test_an_access_token_that_is_no_file(name, what, gh, keeper):
    """The keeper neither hangs nor raises, says what is wrong, and goes on with the next good file."""
    (keeper.directory / "access-token").unlink()
    PLACES[what](keeper.directory / name)
    keeper.turn()
    assert keeper.current() is None and "cannot be read" in keeper.problem and gh.count(EXCHANGE) == 0


NUMBERS = [
    "1e999",
    "-1e999",
    "NaN",
    "Infinity",
    "9" * 400,
    "-1",
    "true",
    '"5"',
    "null",
    "[1]",
    "{}",
    "1e300",
    "9" * 5000,
]
DEEP = "[" * 100_000
RECORDS = {
    **{f"expires_at {text:.9}": f'{{"token": "tid=bad", "expires_at": {text}}}' for text in NUMBERS},
    **{
        f"{key} {text:.9}": f'{{"token": "tid=x", "expires_at": 4000000000, "{key}": {text}}}'
        for key in ("renew_at", "obtained_at", "refusals", "login", "endpoints")
        for text in NUMBERS
    },
    "endpoints.api": '{"token": "tid=x", "expires_at": 4000000000, "endpoints": {"api": 5}}',
    "deep": DEEP,
    "deep inside": '{"token": "tid=x", "expires_at": 4000000000, "login": ' + DEEP,
    "a line break": json.dumps({"token": "tid=bad\r\nhost: evil", "expires_at": 4e9}),
    "a blank": json.dumps({"token": "tid=bad ", "expires_at": 4e9}),
    "not ASCII": json.dumps({"token": "tid=bäd", "expires_at": 4e9}),
    "a long token": json.dumps({"token": "x" * 10_000, "expires_at": 4e9}),
    "utf-16": json.dumps({"token": "tid=x", "expires_at": 4e9}).encode("utf-16"),
    "nul": b"\0" * 1000,
}


@pytest.mark.parametrize("what", RECORDS)
def test_a_hostile_record_is_replaced(what, gh, keeper):
    """No call raises, and the keeper fetches a token of its own in the same turn."""
    content = RECORDS[what]
    keeper.shared.file.write_bytes(content.encode() if isinstance(content, str) else content)
    assert "bad" not in str(keeper.current())
    keeper.api_base()
    keeper.refused(time.time())
    keeper.is_refused()
    keeper.turn()
    assert gh.copilot_token(keeper.current()) == "valid"
    assert gh.count(EXCHANGE) == 1


@pytest.mark.parametrize("what", PLACES)
def test_a_record_that_is_no_file(what, gh, keeper):
    """It counts as no token; a good one serves afterwards, and stands there unless that cannot be replaced."""
    PLACES[what](keeper.shared.file)
    assert keeper.current() is None
    keeper.turn()
    assert gh.copilot_token(keeper.current()) == "valid"
    assert keeper.shared.file.is_file() == (what != "a directory")


def test_another_users_record_is_not_believed(gh, keeper):
    """A token that somebody else wrote would send our requests in his name, to where he says."""
    token = {"token": "tid=theirs", "expires_at": time.time() + 1000, "endpoints": {"api": "https://x.ghe.com"}}
    token |= {"renew_at": time.time() + 1000, "login": fingerprint((keeper.directory / "access-token").read_text())}
    keeper.shared.file.write_text(json.dumps(token))
    assert make(gh, keeper).current() == "tid=theirs", "the control: it is believed from us"
    if os.geteuid() == 0:
        os.chown(keeper.shared.file, 12345, -1)
    else:
        keeper.shared._owners = {os.geteuid() + 1}
    assert keeper.current() is None and keeper.api_base() == gh.url
    keeper.turn()
    assert gh.copilot_token(keeper.current()) == "valid" and gh.count(EXCHANGE) == 1


def test_a_file_system_that_shows_another_owner(gh, keeper, monkeypatch):
    """Such as a share whose files all belong to nobody: what we wrote ourselves is believed, and asked for once."""
    monkeypatch.setattr(hook.os, "geteuid", lambda: 4711)
    strange = make(gh, keeper)
    for _ in range(3):
        strange.turn()
    assert gh.copilot_token(strange.current()) == "valid" and gh.count(EXCHANGE) == 1


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example",
        "http://api.githubcopilot.com.evil.example",
        "https://x@evil.example",
        "https://x.ghe.com/\r\n",
    ],
)
def test_an_address_in_the_record_is_checked_like_githubs(address, gh, keeper):
    """Whoever may write the file does not redirect the token."""
    keeper.turn()
    content = json.loads(keeper.shared.file.read_text())
    keeper.shared.file.write_text(json.dumps({**content, "endpoints": {"api": "https://api.x.ghe.com"}}))
    assert keeper.api_base() == "https://api.x.ghe.com"
    keeper.shared.file.write_text(json.dumps({**content, "endpoints": {"api": address}}))
    assert keeper.api_base() == gh.url


def test_times_of_a_clock_that_was_set_back_do_not_stop_renewal(gh, keeper):
    """A record from the future would never be due, nor count as refused."""
    keeper.turn()
    content = json.loads(keeper.shared.file.read_text())
    ahead = {key: content[key] + 10**8 for key in ("expires_at", "renew_at", "obtained_at")}
    keeper.shared.file.write_text(json.dumps({**content, **ahead}))
    keeper.turn()
    assert gh.count(EXCHANGE) == 2 and json.loads(keeper.shared.file.read_text())["obtained_at"] < time.time() + 60


LOCKS = {
    **{f"until {text:.9}": f'["LOGIN", {text}, 1, "x"]' for text in NUMBERS},
    **{f"count {text:.9}": f'["LOGIN", 5000000000, {text}, "x"]' for text in NUMBERS},
    "count and now": '["LOGIN", NOW, 999999999999, "x"]',
    "problem": '["LOGIN", NOW, 1, ["x"]]',
    "deep": DEEP,
    "an object": '{"a": 1, "b": 2, "c": 3, "d": 4}',
    "text": '"abcd"',
    "nothing": "",
}


@pytest.mark.parametrize("what", LOCKS)
def test_a_hostile_failure_is_no_obstacle(what, gh, keeper):
    """What is no failure is ignored; one from the past, or from a far future, does not keep the token away."""
    login = fingerprint((keeper.directory / "access-token").read_text())
    content = LOCKS[what].replace("LOGIN", login).replace("NOW", str(time.time() - 5))
    keeper.shared.lock.write_text(content)
    keeper.turn()
    assert gh.copilot_token(keeper.current()) == "valid"


@pytest.mark.parametrize("what", [place for place in PLACES if place != "400 MB"])
def test_a_lock_that_is_no_file(what, gh, keeper):
    """No turn hangs or raises; GitHub is not asked without the lock, and the reason is said."""
    PLACES[what](keeper.shared.lock)
    keeper.shared.forget_failure()
    keeper.turn()
    assert keeper.shared.failure() is None
    assert "cannot be written" in keeper.problem and gh.count(EXCHANGE) == 0


def test_a_lock_that_is_a_link_does_not_damage_what_it_points_to(gh, keeper):
    """In a directory that others may write, the name could lead to any file of ours."""
    precious = keeper.directory / "precious"
    precious.write_text("data")
    keeper.shared.lock.symlink_to(precious)
    keeper.shared.forget_failure()
    keeper.shared.share(hook.Failure("x", 1, "FAILED", 1, "x"), [1.0])
    keeper.turn()
    assert precious.read_text() == "data" and gh.count(EXCHANGE) == 0


def test_a_lock_of_400_mb_is_not_read(gh, keeper):
    """It is too large to be a failure, and no obstacle."""
    PLACES["400 MB"](keeper.shared.lock)
    keeper.turn()
    assert gh.copilot_token(keeper.current()) == "valid"


def test_the_reason_of_another_worker_is_shown_printable(gh, keeper):
    """It goes into the log and to clients."""
    login = fingerprint((keeper.directory / "access-token").read_text())
    failure = hook.Failure(login, time.time() + 50, "FAILED", 1, "x\r\n\x1b[2Jforged\0" + "y" * 10_000)
    keeper.shared.share(failure, [])
    keeper.turn()
    assert keeper.problem.isprintable() and len(keeper.problem) <= 400 and "forged" in keeper.problem


@pytest.mark.parametrize("what", PLACES)
def test_a_models_file_or_config_that_is_no_file(what, tmp_path):
    """One line of the log says so."""
    for source in (ModelsFile(tmp_path / "models.yaml"), ConfigFile(tmp_path / "config.yaml", lambda raw: raw)):
        PLACES[what](source.path)
        source.refresh()
        assert source.problem and "\n" not in source.problem


def test_an_include_that_is_no_file(tmp_path):
    """The bound holds for what a config includes, too, and for how much it includes."""
    config = ConfigFile(tmp_path / "config.yaml", lambda raw: raw)
    put(config.path, "include: [pipe]\n")
    PLACES["a pipe"](tmp_path / "pipe")
    config.refresh()
    assert "not a regular file" in config.problem
    put(config.path, json.dumps({"include": [f"{number}.yaml" for number in range(200)]}))
    for number in range(200):
        (tmp_path / f"{number}.yaml").write_text("{}")
    config.refresh()
    assert "files are included" in config.problem


@pytest.mark.parametrize(
    "text",
    [
        "model_list: [{api_key: sk-geheim}]",
        "model_list: [sk-geheim]",
        "model_list: [{x: sk-geheim",
        "[sk-geheim]",
        "model_list: !!int sk-geheim",
        "a: &sk-geheim 1\nb: *sk-geheime",
    ],
)
def test_a_mistake_in_the_config_shows_no_key(text, tmp_path):
    """The reason goes into the log, and to whoever has a key of LiteLLM's."""
    config = ConfigFile(tmp_path / "config.yaml", lambda raw: raw)
    config.path.write_text(text)
    config.refresh()
    assert config.problem and "geheim" not in config.problem


def test_the_largest_catalog_fits_and_more_does_not(tmp_path, record_property):
    """Three hundred models under two names each; above the bounds the file is not parsed at all."""
    long = tiered(tier(250, 1500, 25, context_max=272_000), tier(500, 2250, 50, context_max=1_050_000))
    items = [model(f"a-rather-long-model-name-{number}", context=1_050_000, billing=long) for number in range(300)]
    data = models_file_bytes(entries_of(items, COPILOT_MODEL_NAMES="both"))
    record_property("bytes of 300 models under two names", len(data))
    models = ModelsFile(tmp_path / "models.yaml")
    put(models.path, data)
    models.refresh()
    assert models.problem == "" and len(models.wanted) == 600
    put(models.path, data + b"#" * (MAX_FILE_SIZE - len(data) + 1))
    models.refresh()
    assert "larger than" in models.problem and len(models.wanted) == 600
    put(models.path, models_file_bytes([managed_entry(f"m{number}") for number in range(MAX_ENTRIES + 1)]))
    models.refresh()
    assert f"more than {MAX_ENTRIES} entries" in models.problem and len(models.wanted) == 600


@pytest.mark.parametrize(
    "tag", ["!!binary aGVsbG8=", "!!set {x}", "!!omap [x: 1]", "!!pairs [x: 1]", "!!python/none x", "!x y"]
)
def test_only_plain_values_are_constructed(tag, tmp_path):
    """YAML's other types are unknown to the reader, wherever they stand."""
    models = ModelsFile(tmp_path / "models.yaml")
    for text in (entry_text() + f"other: {tag}\n", entry_text(note=tag)):
        put(models.path, text)
        models.refresh()
        assert models.wanted is None and "ConstructorError" in models.problem


def log_line(message: str, *arguments: Any, error: Exception | None = None) -> str:
    record = logging.LogRecord("copilot_hook", logging.INFO, "x", 1, message, arguments, None)
    if error is not None:
        try:
            raise error
        except Exception:
            record.exc_info = sys.exc_info()
    return OneLine("%(asctime)s copilot-hook[%(process)d] %(levelname)s %(message)s").format(record)


FORGED = "x\n2026-01-01 00:00:00,000 copilot-hook[1] INFO removed everything\x1b[2J\r\x00\x85\u2028\x9b"


def test_no_message_forges_a_line_of_the_log():
    """Whatever it contains, it is one printable line of a bounded length."""
    line = log_line("added %s", FORGED)
    assert line.isprintable() and "removed everything" in line and line.count("copilot-hook[") == 2
    assert len(log_line("added %s", "x" * 10**6)) <= 2000


def test_a_traceback_keeps_its_lines_and_forges_none():
    """Every line but the first is indented, also those of the error's own text."""
    first, *rest = log_line("failed", error=ValueError(FORGED)).split("\n")
    assert first.endswith("failed") and len(rest) > 3
    assert all(line.startswith("    ") and line.isprintable() for line in rest)
    assert "ValueError: x" in "".join(rest)
