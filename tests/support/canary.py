"""The canary: every secret of a test is unique and marked, and is looked for wherever it may not be.

``new`` makes one. ``tests/conftest.py`` searches by itself, after each test: what it has logged and printed, all files
below its directories with their modes, all answers that its clients got. Whatever runs a program hands over what only
it can see (``search``, ``search_files``, ``search_process``, ``Watch``). The places where a secret belongs are the
tables below, and nothing else is allowed but by ``may_hold`` and ``may_see``, with a reason.

Left out by place: what the stand-in for GitHub, and other servers of the tests, keep, answer and are told.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import re
import stat
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import urllib3

from tests.fakes.marked import KINDS, MARK, marked

PREFIXES = {"a": "ghu_", "k": "sk-"}

# Files that may hold a secret, only with mode 0600: the kinds, and why.
FILES = {
    "access-token": ("a", "the token directory's file, as LiteLLM names it"),
    "github_token.json": ("a", "the same for this project's older users"),
    "api-key.json": ("c", "LiteLLM's own file for the Copilot token"),
    "master-key": ("k", "the key that is made for LiteLLM at the first start"),
}
# Variables of a process's environment: the kinds, and why.
VARIABLES = {
    "GITHUB_TOKEN": ("a", "how Codespaces and CI hand over the access token"),
    "LITELLM_MASTER_KEY": ("k", "how LiteLLM takes it"),
    "LITELLM_SALT_KEY": ("k", "how LiteLLM takes it"),
    "DATABASE_URL": ("o", "how LiteLLM takes its database's password"),
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), ("o", "an address with a password")),
}
# Servers of the tests, by the Server field of their answers.
OWN_SERVERS = ("github-fake", "test-server")

_mark = MARK.encode()


def _base64(part: bytes) -> Iterator[bytes]:
    """What every base64 text of something with this part has in it, wherever the part begins."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + part)
        yield encoded[-(-8 * before // 6) : 8 * (before + len(part)) // 6]


_FORMS = {
    "plain": [_mark, _mark.upper()],
    "base64": list(_base64(_mark)),
    "hexadecimal": [_mark.hex().encode(), _mark.hex().upper().encode()],
    "percent": ["".join(f"%{byte:02{x}}" for byte in _mark).encode() for x in "xX"],
    "UTF16": [MARK.encode("utf-16-le")],
}
# A search for each is ten times as fast as one for all of them, and nearly always it ends there.
_NEEDLES = [form for forms in _FORMS.values() for form in forms]
_SEARCHED = re.compile(
    b"|".join(b"(?P<%s>%s)" % (name.encode(), b"|".join(map(re.escape, forms))) for name, forms in _FORMS.items())
)

found: list[str] = []
made: list[Path] = []
_searched: set[Path] = set()
_in_files: set[str] = set()
_added: dict[bytes, tuple[str, str]] = {}
_files: dict[Path, str] = {}
_may_see = ""


def new(kind: str, prefix: str | None = None) -> str:
    """A secret that nobody else has; ``kind`` is a letter of KINDS, ``prefix`` what stands before its mark."""
    return (PREFIXES.get(kind, "") if prefix is None else prefix) + marked(kind)


def add(kind: str, secret: str) -> None:
    """Look also for a secret that was made elsewhere, and so has no mark."""
    assert kind in KINDS and len(secret) >= 16
    raw = secret.encode()
    forms = {"plain": [raw, raw[: len(raw) // 2], raw[len(raw) // 2 :]], "base64": list(_base64(raw))}
    forms |= {"hexadecimal": [raw.hex().encode()], "URL": [quote(secret, safe="").encode()]}
    for form, needles in reversed(forms.items()):
        _added.update((needle, (kind, form)) for needle in needles)


def leaks(data: bytes, allowed: str = "") -> list[str]:
    """What secrets are in the data, and how; those of the ``allowed`` kinds may be there as they are."""
    result = [
        f"{KINDS[kind]} that was made elsewhere, as {form}"
        for needle, (kind, form) in _added.items()
        if not (form == "plain" and kind in allowed) and needle in data
    ]
    if not any(needle in data for needle in _NEEDLES):
        return result
    for match in _SEARCHED.finditer(data):
        kind = data[match.end() : match.end() + 1].decode("ascii", "replace").lower()
        if match.lastgroup == "plain" and kind and kind in allowed:
            continue
        what = KINDS.get(kind, "secret") if match.lastgroup == "plain" else f"secret as {match.lastgroup}"
        around = data[max(0, match.start() - 60) : match.end() + 12]
        result.append(f"{what}: …{around.decode('utf-8', 'replace')!r}…")
    return result


def search(place: str, data: bytes | str, allowed: str = "") -> None:
    """Note what is found; the test that is running, or ends next, fails for it."""
    raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    # One of each sort says it: a secret has three marks.
    sorts = {leak.partition(":")[0]: leak for leak in reversed(leaks(raw, allowed))}
    found.extend(f"{place}: {leak}" for leak in sorts.values())


def may_hold(path: Path, kinds: str, why: str) -> Path:
    """A file that the test has put there with a secret in it; also its own may read it, and nobody else."""
    assert why and set(kinds) <= KINDS.keys()
    _files[path] = kinds
    return path


@contextlib.contextmanager
def may_see(kinds: str, why: str) -> Iterator[None]:
    """Answers, and output of commands, that the test gets in here may hold secrets of these kinds."""
    global _may_see
    assert why and set(kinds) <= KINDS.keys()
    before, _may_see = _may_see, kinds
    try:
        yield
    finally:
        _may_see = before


def search_file(place: str, name: str, mode: int, data: bytes, allowed: str | None = None) -> None:
    """A file by its name, its mode and what is in it."""
    search(f"the name of {place}", name)
    if allowed is None:
        allowed = FILES.get(name.rpartition("/")[2], ("", ""))[0]
    search(place, data, allowed)
    if allowed and mode & 0o077 and leaks(data):
        found.append(f"{place} holds a secret, and its mode is {stat.S_IMODE(mode):04o}")


def search_files(directory: Path) -> None:
    """All files below a directory."""
    for here, _, names in os.walk(directory):
        for name in names:
            path = Path(here, name)
            with contextlib.suppress(FileNotFoundError, PermissionError):
                about = path.lstat()
                if stat.S_ISREG(about.st_mode):
                    data = _written(path)
                    search_file(str(path), str(path.relative_to(directory)), about.st_mode, data, _files.get(path))


def _written(path: Path) -> bytes:
    """What was written into a file: its holes, which can be larger than any memory, have nothing to find."""
    parts, position = [], 0
    with path.open("rb", buffering=0) as file, contextlib.suppress(OSError):  # ENXIO: from here on only a hole
        while True:
            position = file.seek(position, os.SEEK_DATA)
            end = file.seek(position, os.SEEK_HOLE)
            file.seek(position)
            while position < end and (data := file.read(end - position)):
                parts.append(data)
                position += len(data)
    return b"".join(parts)


def search_environment(place: str, environ: Mapping[str, str]) -> None:
    """A process's environment, or a container's."""
    for name, value in environ.items():
        search(f"the variable {name} of {place}", f"{name}={value}", VARIABLES.get(name, ("", ""))[0])


def search_process(pid: int) -> None:
    """The arguments and the environment of a process that may be running."""
    with contextlib.suppress(OSError):
        words = Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ")
        search(f"the arguments of process {pid}", words)
        pairs = Path("/proc", str(pid), "environ").read_bytes().decode("utf-8", "surrogateescape").split("\0")
        search_environment(f"process {pid} ({words[:60]!r})", dict(pair.partition("=")[::2] for pair in pairs))


def descendants(pid: int) -> Iterator[int]:
    """A process and all below it, as far as they have not ended."""
    yield pid
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                yield from descendants(int(child))


class Watch(threading.Thread):
    """Looks at a process and all below it until it is told to end; a context manager.

    A process that lives for less than ``EVERY`` seconds may be missed.
    """

    EVERY = 0.01

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self._over = pid, threading.Event()
        self._known: dict[int, bytes] = {}

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.wait(self.EVERY):
            for pid in descendants(self.pid):
                with contextlib.suppress(OSError):
                    words = Path("/proc", str(pid), "cmdline").read_bytes()
                    if self._known.get(pid) != words:  # a process that becomes another program keeps its number
                        self._known[pid] = words
                        search_process(pid)


def _answer(headers: Any, content: bytes) -> None:
    if not str(headers.get("server", "")).startswith(OWN_SERVERS):
        search("an answer's header", "\n".join(f"{name}: {value}" for name, value in headers.items()), _may_see)
        search("an answer's body", content, _may_see)


def watch_answers() -> None:
    """Search, from now on, whatever a client of this process reads: of requests and urllib3, http.client and urllib."""
    stream, read = urllib3.response.HTTPResponse.stream, http.client.HTTPResponse.read

    def streamed(self: urllib3.response.HTTPResponse, *how: Any, **more: Any) -> Iterator[bytes]:
        kept = bytearray()
        try:
            for chunk in stream(self, *how, **more):
                kept += chunk
                yield chunk
        finally:
            _answer(self.headers, bytes(kept))

    def whole(self: http.client.HTTPResponse, amt: int | None = None) -> bytes:
        content = read(self, amt)
        _answer(self.headers, content)
        return content

    urllib3.response.HTTPResponse.stream = streamed  # type: ignore[assignment, method-assign]
    http.client.HTTPResponse.read = whole  # type: ignore[method-assign]


def watch_commands() -> None:
    """Search, from now on, the arguments and the output of every command that this process runs to its end."""
    communicate = subprocess.Popen.communicate

    def searched(self: subprocess.Popen[Any], *how: Any, **more: Any) -> tuple[Any, Any]:
        result = communicate(self, *how, **more)
        words = self.args if isinstance(self.args, str | bytes) else " ".join(map(str, self.args))  # type: ignore[arg-type]
        search("a command", words, _may_see)
        for text in filter(None, result):
            search(f"the output of {words!r:.200}", text, _may_see)
        return result

    subprocess.Popen.communicate = searched  # type: ignore[method-assign]


def watch_directories() -> None:
    """Keep, from now on, the directories that pytest makes, in ``made``."""
    make = pytest.TempPathFactory.mktemp

    def noted(self: pytest.TempPathFactory, basename: str, numbered: bool = True) -> Path:
        made.append(make(self, basename, numbered))
        return made[-1]

    pytest.TempPathFactory.mktemp = noted  # type: ignore[method-assign]


def search_made(own: Path | None, *, others: bool) -> None:
    """All files in new directories and a test's own, which is over with it; where asked for, in those that go on."""
    for directory in made:
        if directory == own or others or directory not in _searched:
            search_files(directory)
            _searched.add(directory)
    if own in made:
        made.remove(own)


def taken() -> list[str]:
    """What was found since the last time; what a file that goes on has told once it does not tell again."""
    leaked = [leak for leak in dict.fromkeys(found) if leak not in _in_files]
    _in_files.update(leak for leak in leaked if leak.startswith(tuple(map(str, made))))
    found.clear()
    return leaked
