"""A look over LiteLLM's shoulder: what blocks on the thread of its event loop, and names that misbehave.

``Sentinel(home, names)`` prepares a proxy's home so that each of its processes arms itself before anything else
is loaded (this file goes there, beside a ``sitecustomize.py``). In such a process, whenever the main thread runs
an event loop, each of these is noted with its stack: connecting a socket that blocks, sending, receiving or
shaking hands on one, resolving a name, sleeping, and, for our code or LiteLLM's Copilot provider, waiting for
another thread. What a loop does by itself is none of it: it connects without blocking and looks names up in
threads.

It also plays the resolver for chosen names, in every thread, as ``Sentinel.names`` says from one moment to the
next: an address, "refuse" (nothing listens there), "silent" (it accepts and never answers), "dns" (the lookup
takes ``LOOKUP`` seconds and fails; if the name comes back meanwhile, the answer comes late) or "blackhole"
(connecting never ends).

Standard library only, because it runs inside any LiteLLM.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

LOOKUP = 5.0
BLACKHOLE = "192.0.2.1"  # reserved for documentation: nobody has it
CLOSED = ("127.0.0.1", 1)
GITHUB = ("api.github.com", "github.com", "api.githubcopilot.com", "api.individual.githubcopilot.com")
WAITS_OF = ("github_copilot", "litellm_hot_reload")
DEPTH = 25
LOOKUPS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"}

FOUND, NAMES, LOOKED_UP = "sentinel.jsonl", "sentinel-names.json", "sentinel-lookups"
SITE = "import sentinel\n\nsentinel.arm()\n"


class Sentinel:
    """The test's side. ``home`` is the home of a proxy that has not been started yet; it is on its PYTHONPATH."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.found_file, self.names_file, self.lookups_file = home / FOUND, home / NAMES, home / LOOKED_UP
        self._silent = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.places = {"refuse": CLOSED, "silent": self._silent.getsockname(), "blackhole": (BLACKHOLE, 443)}
        shutil.copy(__file__, home / "sentinel.py")
        (home / "sitecustomize.py").write_text(SITE)
        self.names(**dict.fromkeys(GITHUB, "refuse"))

    def names(self, **behaviour: str | tuple[str, int]) -> None:
        """From now on these names behave like this; what is not named is left to the real resolver."""
        known = {name: self.places.get(how, how) if isinstance(how, str) else how for name, how in behaviour.items()}
        temporary = self.names_file.with_suffix(".new")
        temporary.write_text(json.dumps(known))
        temporary.replace(self.names_file)

    def github(self, how: str | tuple[str, int]) -> None:
        """All of GitHub's and Copilot's names behave like this."""
        self.names(**dict.fromkeys(GITHUB, how))

    def found(self) -> list[dict[str, Any]]:
        """What was noted so far: ``kind``, ``what``, ``stack`` (innermost first), ``pid``."""
        lines = self.found_file.read_text().splitlines() if self.found_file.exists() else []
        return [item for item in map(json.loads, lines) if item["kind"] != "armed"]

    def armed(self) -> set[str]:
        """The processes that looked."""
        lines = self.found_file.read_text().splitlines() if self.found_file.exists() else []
        return {str(item["pid"]) for item in map(json.loads, lines) if item["kind"] == "armed"}

    def lookups(self) -> int:
        """How often a name that misbehaves was looked up, and so how many attempts to reach GitHub have begun."""
        return self.lookups_file.stat().st_size if self.lookups_file.exists() else 0

    def __enter__(self) -> Sentinel:
        return self

    def __exit__(self, *_: object) -> None:
        self._silent.close()


class _Watch:
    """The process's side: the audit hook sees calls wherever they come from, the rest is what has no audit event."""

    def __init__(self, home: Path) -> None:
        self.found_file, self.names_file, self.lookups_file = home / FOUND, home / NAMES, home / LOOKED_UP
        self.main = threading.main_thread().ident
        self._asleep = threading.local()  # what this module itself does meanwhile is not noted
        self._noted: set[tuple[str, str, tuple[str, ...]]] = set()
        self._sleep, self._getaddrinfo, self._connect = time.sleep, socket.getaddrinfo, socket.socket.connect

    def arm(self) -> None:
        self._write({"kind": "armed", "pid": os.getpid()})
        sys.addaudithook(self._audit)
        socket.getaddrinfo = self._resolve
        for name in ("connect", "connect_ex", "recv", "recv_into", "send", "sendall"):
            setattr(socket.socket, name, self._seen_on_sockets(name, getattr(socket.socket, name)))
        wait = threading.Condition.wait

        def waiting(condition: Any, timeout: float | None = None) -> Any:
            if (timeout is None or timeout > 0) and self._on_the_loop():
                stack = self._stack()
                ours = [line for line in stack if any(part in line for part in WAITS_OF)]
                if ours and not any("threading.py" in line and line.endswith(" start") for line in stack):
                    self._note("wait", ours[0])
            return wait(condition, timeout)

        def sleep(seconds: float) -> None:
            if seconds > 0 and self._on_the_loop():
                self._note("sleep", f"{seconds} s")
            self._sleep(seconds)

        threading.Condition.wait = waiting  # type: ignore[method-assign]
        time.sleep = sleep
        import ssl

        for name in ("do_handshake", "read", "write"):
            setattr(ssl.SSLSocket, name, self._seen_on_sockets(name, getattr(ssl.SSLSocket, name)))

    def _on_the_loop(self) -> bool:
        if threading.get_ident() != self.main or getattr(self._asleep, "now", False):
            return False
        asyncio = sys.modules.get("asyncio")
        return asyncio is not None and asyncio._get_running_loop() is not None

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in LOOKUPS and self._on_the_loop() and not _is_address(arguments[0]):
            self._note("resolve", _text(arguments[0]))

    def _seen_on_sockets(self, name: str, original: Any) -> Any:
        def method(sock: Any, *args: Any, **named: Any) -> Any:
            if sock.gettimeout() != 0 and sock.type == socket.SOCK_STREAM:
                if self._on_the_loop():
                    self._note(name, _text(args[0] if name.startswith("connect") else _peer(sock)))
                if name.startswith("connect") and isinstance(args[0], tuple) and args[0][0] == BLACKHOLE:
                    self._hang(sock.gettimeout() or 130.0, lambda: False)
                    raise TimeoutError("timed out")
            return original(sock, *args, **named)

        return method

    def _resolve(self, host: Any, port: Any, *args: Any, **named: Any) -> Any:
        name = _text(host).lower().rstrip(".")
        behaviour = self._behaviour(name)
        if behaviour is None:
            return self._getaddrinfo(host, port, *args, **named)
        if self._on_the_loop():
            self._note("resolve", name)
        self._append(self.lookups_file, b".")
        if behaviour == "dns":
            self._hang(LOOKUP, lambda: self._behaviour(name) != "dns")
            behaviour = self._behaviour(name)
            if behaviour in ("dns", None):
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        address, given_port = behaviour
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, given_port))]

    def _behaviour(self, name: str) -> Any:
        try:
            return json.loads(self.names_file.read_text()).get(name)
        except (OSError, ValueError):
            return None

    def _hang(self, seconds: float, over: Any) -> None:
        self._asleep.now = True
        try:
            end = time.monotonic() + seconds
            while time.monotonic() < end and not over():
                self._sleep(0.02)
        finally:
            self._asleep.now = False

    def _stack(self) -> tuple[str, ...]:
        """The callers, innermost first."""
        frame, lines = sys._getframe(1), []
        while frame is not None and len(lines) < DEPTH:
            if frame.f_code.co_filename != __file__:
                place = "/".join(frame.f_code.co_filename.split("/")[-3:])
                lines.append(f"{place}:{frame.f_lineno} {frame.f_code.co_name}")
            frame = frame.f_back  # type: ignore[assignment]
        return tuple(lines)

    def _note(self, kind: str, what: str) -> None:
        self._asleep.now = True
        try:
            stack = self._stack()
            if (kind, what, stack) not in self._noted:
                self._noted.add((kind, what, stack))
                self._write({"kind": kind, "what": what, "stack": stack, "pid": os.getpid()})
        finally:
            self._asleep.now = False

    def _write(self, item: dict[str, Any]) -> None:
        self._append(self.found_file, json.dumps(item).encode() + b"\n")

    def _append(self, path: Path, data: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return ":".join(map(str, value[:2])) if isinstance(value, tuple) else str(value)


def _peer(sock: Any) -> Any:
    with contextlib.suppress(OSError):
        return sock.getpeername()
    return "nobody"


def _is_address(host: Any) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, TypeError, ValueError):
            socket.inet_pton(family, _text(host).partition("%")[0])
            return True
    return not host


def arm() -> None:
    """What ``sitecustomize`` calls in each process of the proxy."""
    _Watch(Path(__file__).parent).arm()
