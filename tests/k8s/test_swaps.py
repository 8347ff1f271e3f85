"""How a kubelet changes a ConfigMap volume, done here as it does it, and the hook that has to follow."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar.litellm_hot_reload import follower as hook
from sidecar.litellm_hot_reload.adapter.provider import Guard
from sidecar.litellm_hot_reload.adapter.proxy import Knowledge
from sidecar.litellm_hot_reload.inotify import Inotify
from sidecar.litellm_hot_reload.keeper import Keeper
from sidecar.litellm_hot_reload.models_file import ModelsFile
from sidecar.litellm_hot_reload.watched import is_mounted_alone
from sidecar.models.entries import models_file_bytes
from tests.support.entries import managed_entry

pytestmark = pytest.mark.filterwarnings("ignore")  # LiteLLM's own, when it is used outside its proxy


class Volume:
    """A directory as the kubelet's atomic writer makes it: every file a link into ``..data``, which is a link to a
    directory with the time in its name; a change makes a new one, renames the link over, and removes the old."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.current: Path | None = None

    @property
    def file(self) -> Path:
        return self.root / "copilot_models.yaml"

    def swap(self, data: bytes) -> float:
        """One change; the moment at which it was done."""
        new = self.root / f"..2026_01_01_00_00_00.{secrets.randbelow(10**9):09}"
        new.mkdir(mode=0o755)
        (new / self.file.name).write_bytes(data)
        (new / self.file.name).chmod(0o644)
        temporary = self.root / "..data_tmp"
        temporary.symlink_to(new.name)
        os.rename(temporary, self.root / "..data")
        done = time.monotonic()
        if not self.file.is_symlink():
            self.file.symlink_to(Path("..data") / self.file.name)
        if self.current:
            for path in self.current.iterdir():
                path.unlink()
            self.current.rmdir()
        self.current = new
        return done


def data(*names: str) -> bytes:
    """A models file; equally many bytes for names of equal length, so that only the inode tells them apart."""
    return models_file_bytes([managed_entry(name) for name in names])


def follow(volume: Volume, script: Callable[[Any], Any], poll: float, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the hook's real follower on a real Router while ``script`` runs beside it in a thread."""
    monkeypatch.setattr(hook, "POLL", poll)
    for name in ("get_api_key", "get_api_base"):
        monkeypatch.setattr(f"litellm.llms.github_copilot.authenticator.Authenticator.{name}", lambda _: "token")
    from litellm import Router  # here, because it takes every process that collects tests longer than all the rest

    proxy = SimpleNamespace(llm_router=Router(model_list=[]), llm_model_list=[])
    guard = Guard(Keeper({"GITHUB_COPILOT_TOKEN_DIR": str(volume.root)}))
    guard.guarded.append("get_api_key")

    async def both() -> Any:
        follower = hook.Follower(proxy, guard, Knowledge(guard), ModelsFile(volume.file), None)
        task = asyncio.create_task(follower.run())
        try:
            return await asyncio.to_thread(script, proxy)
        finally:
            task.cancel()

    return asyncio.run(both())


def served(proxy: Any, name: str, seconds: float = 5.0) -> float:
    """Wait until the router has exactly that model; the moment."""
    end = time.monotonic() + seconds
    while {item["model_name"] for item in proxy.llm_model_list} != {f"github_copilot/{name}"}:
        assert time.monotonic() < end, f"{name} was missed"
        time.sleep(0.001)
    return time.monotonic()


def test_200_swaps_in_a_row_none_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each version of the file is served before the next one comes."""
    volume = Volume(tmp_path / "models")

    def script(proxy: Any) -> None:
        for number in range(200):
            volume.swap(data(f"model-{number:03}"))
            served(proxy, f"model-{number:03}")

    follow(volume, script, 0.01, monkeypatch)


@pytest.mark.parametrize("tells", [True, False], ids=["as it is", "another machine's doing"])
def test_a_swap_is_followed_soon(tells: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the intervals that are shipped, also where the kernel watches and is told nothing."""
    assert hook.POLL <= 1.0 and hook.QUIET <= 2.0
    if not tells:
        monkeypatch.setattr(Inotify, "wait", lambda self, seconds: time.sleep(seconds))
    volume = Volume(tmp_path / "models")

    def script(proxy: Any) -> list[float]:
        delays = []
        for number in range(5):
            swapped = volume.swap(data(f"model-{number}"))
            delays.append(served(proxy, f"model-{number}") - swapped)
            time.sleep(hook.POLL + 0.5)  # by then nothing is left to do
        return delays

    assert max(follow(volume, script, hook.POLL, monkeypatch)) < (3.0 if tells else hook.QUIET + 3.0)


def test_swaps_faster_than_it_looks_end_with_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst between two looks: what comes last counts, even if the file system reuses the inode."""
    volume = Volume(tmp_path / "models")

    def script(proxy: Any) -> None:
        for burst in range(20):
            for number in range(10):
                volume.swap(data(f"model-{burst:02}-{number}"))
            served(proxy, f"model-{burst:02}-9")

    follow(volume, script, 0.05, monkeypatch)


def test_a_volume_that_is_still_empty_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ConfigMap before its first sync: no file at all."""
    volume = Volume(tmp_path / "models")

    def script(proxy: Any) -> None:
        time.sleep(0.1)
        assert proxy.llm_model_list == []
        volume.swap(data("first"))
        served(proxy, "first")

    follow(volume, script, 0.01, monkeypatch)


def test_a_file_that_is_a_mount_point_is_found_out(tmp_path: Path) -> None:
    """As a subPath mount or a bind mount of a single file is; `/proc` is one on every Linux."""
    file = tmp_path / "copilot_models.yaml"
    file.touch()
    assert not is_mounted_alone(file)
    assert is_mounted_alone(Path("/proc"))
    assert is_mounted_alone(Path("/proc/../proc/"))
