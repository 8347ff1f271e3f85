"""`run` makes LiteLLM's master key once, keeps it, and shows it nowhere."""

from __future__ import annotations

import os
import stat
import threading

import pytest

from sidecar.errors import StorageError
from sidecar.files import create_file
from sidecar.litellm_proxy.master_key import master_key, prepare_key
from sidecar.parsers import SECRET
from sidecar.settings import Settings

EXAMPLE = "sk-" + "k" * 43


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys" / "master-key"


@pytest.fixture
def settings(path):
    path.parent.mkdir()
    return Settings(litellm_key_file=path)


def test_a_key_is_made_once(settings, path, caplog):
    """0600, long, random, and the same from then on; the log says how to show it, and does not."""
    caplog.set_level("INFO")
    prepare_key(settings)
    key = master_key(settings).reveal()
    assert path.read_text() == key + "\n" and len(key) == len("sk-") + 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.stat()
    prepare_key(settings)
    assert path.stat() == before and os.listdir(path.parent) == ["master-key"]
    assert "docker compose exec -T copilot-sync cat" in caplog.text and key not in caplog.text
    path.unlink()
    prepare_key(settings)
    assert master_key(settings).reveal() != key


def test_a_given_key_wins(path):
    """With LITELLM_MASTER_KEY no file is made or read."""
    settings = Settings(litellm_key_file=path, litellm_key=SECRET.parse("sk-mine"))
    prepare_key(settings)
    assert not path.parent.exists() and master_key(settings).reveal() == "sk-mine"
    assert master_key(Settings()) is None


@pytest.mark.parametrize("case", ["empty", "open", "unreadable", "dangling", "directory missing"])
def test_a_wrong_file_is_an_error_and_stays(settings, path, case):
    """An empty or wide-open file, a symlink to nothing, a missing directory: named, with a hint, not overwritten."""
    if case == "empty":
        path.write_text("")
        path.chmod(0o600)
    elif case == "open":
        path.write_text(EXAMPLE)
        path.chmod(0o644)
    elif case == "unreadable":
        path.mkdir()
    elif case == "dangling":
        path.symlink_to("elsewhere")
    else:
        path.parent.rmdir()
    with pytest.raises(StorageError, match="master-key") as caught:
        prepare_key(settings)
    assert caught.value.hint and EXAMPLE not in str(caught.value)
    assert case != "empty" or path.read_text() == ""
    assert case != "dangling" or path.is_symlink()


def test_two_at_once_have_one_key(path):
    """Whoever comes second keeps what the first has made."""
    path.parent.mkdir()
    barrier = threading.Barrier(8)

    def make(number):
        barrier.wait()
        create_file(path, f"sk-{number}".encode() * 8, mode=0o600)
        seen.add(path.read_bytes())

    seen = set()
    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 1


def test_the_service_has_it_before_it_is_ready(bench, path):
    """`run` makes the key; `doctor` sends it; neither shows it, and a service that cannot make it ends with 5."""
    bench.environ["LITELLM_MASTER_KEY_FILE"] = str(path)
    failed = bench.run("run")
    assert failed.code == 5 and "master-key" in failed.stderr
    path.parent.mkdir()
    service = bench.start("run")
    service.saw("published an empty models file")
    assert path.is_file()
    assert service.signal() == 0
    assert path.read_text().strip() not in service.stdout + service.stderr
