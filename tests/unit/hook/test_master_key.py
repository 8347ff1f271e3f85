"""LiteLLM gets its master key from the file, or does not start; without LiteLLM."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

import sidecar.litellm_hot_reload as hook
from sidecar.litellm_hot_reload import startup
from sidecar.litellm_hot_reload.master_key import FILE, KEY, WITHOUT, NoMasterKey, provide, read

GOOD = "sk-" + "k" * 43


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "master-key"
    path.write_text(GOOD + "\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("given", [{}, {KEY: ""}, {KEY: " "}, {WITHOUT: "false"}, {WITHOUT: "1"}, {WITHOUT: ""}])
def test_the_key_of_the_file_is_used_where_none_is_given(file: Path, given: dict[str, str]) -> None:
    """An empty key counts as none, and only what LiteLLM takes for "true" is a wish to have none."""
    environ = {FILE: str(file), **given}
    provide(environ)
    assert environ[KEY] == GOOD


@pytest.mark.parametrize("given", [{KEY: "sk-mine"}, {WITHOUT: "true"}, {WITHOUT: " True "}])
def test_whoever_has_chosen_needs_no_file(given: dict[str, str]) -> None:
    """A given key wins, and so does the wish to have none; the file is not even opened."""
    environ = {FILE: "/nonexistent", **given}
    provide(environ)
    assert environ == {FILE: "/nonexistent", **given}


def test_without_the_variable_nothing_happens() -> None:
    """Where nobody has asked for a key file, LiteLLM is left as it is."""
    environ: dict[str, str] = {}
    provide(environ)
    assert environ == {}


BAD = {
    "empty": b"",
    "blank": b"\n \n",
    "short": b"sk-short",
    "no key": b"password-password-password",
    "two lines": GOOD.encode() + b"\n" + GOOD.encode(),
    "NUL": GOOD.encode() + b"\0",
    "not ASCII": GOOD.encode() + "é".encode(),
    "a space": GOOD.encode() + b" x",
    "huge": b"sk-" + b"k" * (1 << 20),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_what_is_no_key_is_refused_and_not_shown(file: Path, content: bytes) -> None:
    """Anything but one key on one line raises, with the file's name and nothing of its content."""
    file.write_bytes(content)
    environ = {FILE: str(file)}
    with pytest.raises(NoMasterKey, match="master-key") as caught:
        provide(environ)
    assert KEY not in environ
    assert "kkk" not in str(caught.value) and "password" not in str(caught.value)


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo", "device", "NUL"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    """A named pipe does not make LiteLLM wait, a device is not read."""
    path = str(tmp_path / kind)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        os.mkdir(path)
    elif kind == "device":
        path = "/dev/zero"
    elif kind == "NUL":
        path += "\0"
    with pytest.raises(NoMasterKey):
        read(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_private_key_is_closed_to_others(file: Path, mode: int) -> None:
    """Where it has to be private, a file that others may read or write is refused."""
    assert read(str(file), private=True) == GOOD
    file.chmod(mode)
    assert read(str(file)) == GOOD
    with pytest.raises(NoMasterKey, match=f"{mode:04o}"):
        read(str(file), private=True)


def test_the_hook_raises_rather_than_let_litellm_start_without_a_key(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    """`start`, which otherwise never raises, does; with a key it goes on, whatever else fails."""
    failed: list[str] = []

    async def fails() -> None:
        failed.append(os.environ[KEY])
        raise RuntimeError

    monkeypatch.setattr(startup, "start", fails)
    monkeypatch.delenv(WITHOUT, raising=False)
    monkeypatch.setenv(KEY, "")
    monkeypatch.setenv(FILE, str(file.with_name("missing")))
    with pytest.raises(NoMasterKey):
        asyncio.run(hook.start())
    assert failed == []
    monkeypatch.setenv(FILE, str(file))
    asyncio.run(hook.start())
    assert failed == [GOOD]
