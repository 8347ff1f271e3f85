"""Faults on the disk: what can stand in the place of the token file, the models file and the record beside it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from sidecar.models.absences import absences_file
from tests.support.files import PLACES

from .stage import Fault, Stage
from .wire import Mend

Place = Callable[[Path], object]
REPLACED = ("a pipe", "400 MB", "a device without an end")
"""What a sync takes for nothing of ours where it keeps a file of its own, and replaces."""


def written(data: bytes) -> Place:
    return lambda path: path.write_bytes(data)


def replaced(where: Callable[[Stage], Path], put: Place) -> Callable[[Stage], Mend]:
    """Something else in a file's place; what was there comes back as it was, unless it is there again by itself."""

    def on(stage: Stage) -> Mend:
        path = where(stage)
        aside = stage.directory / "aside"
        path.rename(aside)
        put(path)

        def mend() -> None:
            _remove(path)
            aside.rename(path)

        return mend

    return on


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def token_file(stage: Stage) -> Path:
    return stage.token_file


def models_file(stage: Stage) -> Path:
    return stage.models_file


def record(stage: Stage) -> Path:
    return absences_file(stage.models_file)


def tokens() -> Iterator[Fault]:
    def row(name: str, put: Place, code: int = 3) -> Fault:
        return Fault("token file", name, replaced(token_file, put), exit=code)

    yield row("missing", lambda _: None)
    yield row("empty", written(b""))
    yield row("only white space", written(b" \n\t\n"))
    yield row("binary", written(bytes(range(256))))
    yield row("two lines", written(b"one\ntwo\n"))
    yield row("1 MB of letters", written(b"a" * 2**20))
    yield row("UTF-16", written("token".encode("utf-16")))
    yield row("a control character", written(b"token\x1b[2J"))
    yield row("a dangling link", lambda path: path.symlink_to("nowhere"))
    yield row("a link to a missing directory", lambda path: path.symlink_to("/nowhere/token"))
    for name, put in PLACES.items():
        yield row(name, put, 3 if name == "400 MB" else 5)
    yield Fault("token file", "its directory gone", moved(lambda stage: stage.tokens), exit=3)
    yield Fault("token file", "its directory a file", replaced(lambda stage: stage.tokens, written(b"")), exit=5)
    yield row("github_token.json instead, broken", lambda path: path.with_name("github_token.json").write_bytes(b"{"))


def moved(where: Callable[[Stage], Path]) -> Callable[[Stage], Mend]:
    """It goes away as a volume does, and comes back."""

    def on(stage: Stage) -> Mend:
        path = where(stage)
        aside = path.rename(path.with_name("away"))
        return lambda: aside.rename(path) and None

    return on


def published() -> Iterator[Fault]:
    def row(name: str, put: Place, code: int = 0, *, changes: bool = False) -> Fault:
        return Fault("models file", name, replaced(models_file, put), exit=code, side="sidecar", changes=changes)

    yield row("deleted", lambda _: None)
    yield row("empty", written(b""))
    yield row("cut in the middle", lambda path: path.write_bytes((path.parents[1] / "aside").read_bytes()[:500]))
    yield row("binary", written(bytes(range(256))))
    yield row(
        "a bomb of aliases", written(b"a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nmodel_list: *c\n")
    )
    yield row("a dangling link", lambda path: path.symlink_to("nowhere"))
    for name, put in PLACES.items():
        yield row(name, put, 0 if name in REPLACED else 5)
    yield Fault(
        "models file", "its volume gone", moved(lambda stage: stage.shared), exit=5, side="sidecar", changes=True
    )


def records() -> Iterator[Fault]:
    def row(name: str, put: Place, code: int = 0) -> Fault:
        return Fault("record of absences", name, replaced(record, put), exit=code, side="sidecar")

    yield row("deleted", lambda _: None)
    yield row("empty", written(b""))
    yield row("not JSON", written(b"{"))
    yield row("a list", written(b"[]"))
    yield row(
        "numbers that are none", written(b'{"schema": 1, "models": {"a": {"absences": 1e999, "item": {"id": "a"}}}}')
    )
    yield row("nested 100,000 times", written(b"[" * 100_000))
    yield row("binary", written(os.urandom(1000)))
    for name, put in PLACES.items():
        yield row(name, put, 0 if name in REPLACED else 5)


def faults() -> list[Fault]:
    return [*tokens(), *published(), *records()]
