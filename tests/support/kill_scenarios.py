"""The runs that tests/support/kill_points.py kills: what was there, what each does, and who else reads its files."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from sidecar.config.edit import update_config
from sidecar.config.file import restore_backup
from sidecar.errors import LiteLLMError
from sidecar.github.access_token import store_access_token
from sidecar.litellm_hot_reload.record import Failure, Record, Shared
from sidecar.litellm_proxy import hook_package, master_key
from sidecar.litellm_proxy.notify import notify_change
from sidecar.models.absences import absences_file
from sidecar.models.changes import Change
from sidecar.models.entries import models_file_bytes
from sidecar.models.history import Event, dump_events, load_events
from sidecar.secret import Secret
from sidecar.service.leader import leading
from sidecar.service.loop import prepare
from sidecar.settings import Settings
from sidecar.status.state import Status
from sidecar.targets.base import Built, Synced
from sidecar.targets.config import ConfigTarget
from sidecar.targets.history import write_history
from sidecar.targets.models_file import ModelsFileTarget

from .entries import managed_entry

Files = Mapping[str, bytes]

STOP = threading.Event()
MODELS, CONFIG = Path("m.yaml"), Path("config.yaml")
BACKUP = "config.yaml.bak-20260101T000000Z"
OLD_MODELS = models_file_bytes([managed_entry("old")])
CONFIGS = [update_config(b"x: 1 # mine\n", [managed_entry(name)]).text for name in ("old", "new")]


@dataclass(frozen=True)
class Scenario:
    """``old`` is there before ``act``, which is given the directory; ``watched`` is what others read of it.

    ``shape`` is what must be the same after any run. Without a lock only ``aged`` leftovers go.
    """

    old: Files
    act: Callable[[Path], object]
    watched: tuple[str, ...] = ()
    shape: Callable[[Files], object] = dict
    aged: bool = False

    def reset(self, place: Path) -> None:
        """Put what is old into ``place``, each file in one step, and nothing else."""
        for path in sorted(place.rglob("*"), reverse=True):
            if str(path.relative_to(place)) not in self.old and not (path.is_dir() and any(path.iterdir())):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name, data in self.old.items():
            side, path = place.with_name("side"), place / name
            side.write_bytes(data)
            side.chmod(0o600)
            os.utime(side, (0, 0))
            path.parent.mkdir(exist_ok=True)
            side.replace(path)


def _models(place: Path) -> None:
    ModelsFileTarget(place / MODELS).update(lambda _: Built([managed_entry("new")], b"new"), STOP)


def _config(place: Path) -> None:
    target = ConfigTarget(Settings(), place / CONFIG)
    target.update(lambda _: Built([managed_entry("new")], b"new"), STOP)


def _restore(place: Path) -> None:
    restore_backup(place / CONFIG, BACKUP)


def _history_aside(files: Files) -> object:
    """A run that was killed after it had published may have recorded nothing; but whatever there is, is whole."""
    found = {name: data for name, data in files.items() if name.endswith("changes.jsonl")}
    return dict(files.items() - found.items()), [_is_whole(data) for data in found.values() if not _is_whole(data)]


def _is_whole(history: bytes) -> bool:
    return dump_events(load_events(history)) == history


def _backups_aside(files: Files) -> object:
    """A killed run may leave a backup, and the next make another."""
    found = {name: data for name, data in files.items() if name.startswith(f"{CONFIG}.bak-")}
    return _history_aside(dict(files.items() - found.items())), set(found.values())


def _history(place: Path) -> None:
    write_history(place / HISTORY, EVENTS[1:])


def _prepare(place: Path) -> None:
    source = place.with_name("source") / hook_package.PACKAGE
    if not source.exists():
        (source / "adapter").mkdir(parents=True)
        for name in ("__init__.py", "adapter/__init__.py"):
            (source / name).write_bytes(b"new = True\n")
    hook_package.SOURCE = source
    prepare(Settings(models_file=place / MODELS))


def _notify(place: Path) -> None:
    settings = Settings(models_file=place / MODELS, on_change_gunicorn=place / "missing.pid")
    synced = Synced("m.yaml", Built([], b""), Change(added=("b",)))
    with contextlib.suppress(LiteLLMError):  # it stays pending: nobody can be told
        notify_change(settings, synced, STOP)


def _token(place: Path) -> None:
    store_access_token(Settings(token_dir=place), Secret("new"))


def _key(place: Path) -> None:
    master_key.secrets = SimpleNamespace(token_urlsafe="k".__mul__)  # type: ignore[assignment]
    master_key.prepare_key(Settings(litellm_key_file=place / "key"))


def _record(token: str) -> Record:
    return Record(token, 2e9, 1.9e9, 1.8e9, "login")


def _renewal(place: Path) -> None:
    shared = Shared(place / "api-key.json")
    with shared.try_lock() as locked:
        assert locked
        shared.write(_record("new"))
        shared.share(Failure("login", 2e9, "kind", 1, "problem"), [1.8e9])


def _old_renewal() -> Files:
    # As Shared writes it, but for what differs.
    return {"api-key.json": b'{"token": "old", "expires_at": 2000000000, "login": "login"}'}


def _lead(place: Path) -> None:
    with leading(Settings(models_file=place / MODELS), STOP, Status()) as leads:
        assert leads


HISTORY = "changes.jsonl"
EVENTS = [Event("2026-11-26T00:00:00Z", "added", name) for name in ("old", "new")]
HOOK = {f"{hook_package.PACKAGE}/{name}": b"new = False\n" for name in ("__init__.py", "gone.py", "adapter/x.py")}
RECORD, CONFIG_RECORD = str(absences_file(MODELS)), str(absences_file(CONFIG))

SCENARIOS = {
    "models file": Scenario({str(MODELS): OLD_MODELS, RECORD: b"old"}, _models, (str(MODELS), RECORD), _history_aside),
    "history": Scenario({HISTORY: dump_events(EVENTS[:1])}, _history, (HISTORY,), aged=True),
    "config": Scenario(
        {str(CONFIG): CONFIGS[0], CONFIG_RECORD: b"old"},
        _config,
        (str(CONFIG), CONFIG_RECORD),
        _backups_aside,
        aged=True,
    ),
    "restored config": Scenario(
        {str(CONFIG): CONFIGS[1], BACKUP: CONFIGS[0]}, _restore, (str(CONFIG), BACKUP), _backups_aside
    ),
    "hook": Scenario(HOOK, _prepare, (f"{hook_package.PACKAGE}/__init__.py", str(MODELS))),
    "first hook": Scenario({}, _prepare, (f"{hook_package.PACKAGE}/__init__.py", str(MODELS))),
    "pending notification": Scenario(
        {".m.yaml.untold.json": b'{"added": ["a"]}'}, _notify, (".m.yaml.untold.json",), aged=True
    ),
    "access token": Scenario({"access-token": b"old"}, _token, ("access-token",), aged=True),
    "master key": Scenario({}, _key, ("key",), aged=True),
    "Copilot token": Scenario(_old_renewal(), _renewal, ("api-key.json",)),
    "leader": Scenario({}, _lead),
}
