"""Runs a command of the user's: without a shell, with JSON on its standard input, for a bounded time.

What it writes goes to the log. It gets the environment but for GITHUB_TOKEN, the one variable that holds
an access token.
"""

from __future__ import annotations

import logging
import os
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from sidecar.errors import Stopped
from sidecar.text import printable

log = logging.getLogger(__name__)

LIMIT = 60.0
"""Seconds that a command may take."""
_LINES = 50
_POLL = 0.05


def run_user_command(
    command: str, stdin: bytes, stop: threading.Event, *, more: Sequence[str] = (), limit: float = LIMIT
) -> str:
    """Run ``command`` (words as a shell would split them, then ``more``); "" when it ended with 0, else what went
    wrong, in words that follow "it". Raises Stopped; then the command is ended too.

    There is no shell: who needs one writes ``sh -c '…'``.
    """
    words = shlex.split(command)
    # Files, not pipes: a service that the command leaves running would hold a pipe open for ever.
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output:
        given.write(stdin)
        given.seek(0)
        environ = {key: value for key, value in os.environ.items() if key != "GITHUB_TOKEN"}
        try:
            process = subprocess.Popen(  # noqa: S603
                [*words, *more], stdin=given, stdout=output, stderr=output, env=environ, start_new_session=True
            )
        except OSError as error:
            return f"cannot be started ({error.strerror}: {printable(words[0])})"
        try:
            code = _wait(process, stop, limit)
        finally:
            _log(words[0], output)
    if code is None:
        return f"took longer than {limit:.0f} s and was ended"
    return "" if code == 0 else f"ended with {code}" if code > 0 else f"was ended by signal {-code}"


def _wait(process: subprocess.Popen[bytes], stop: threading.Event, limit: float) -> int | None:
    """The exit code; None when the time was up. Raises Stopped."""
    deadline = time.monotonic() + limit
    while True:
        code = process.poll()
        if code is not None:
            return code
        if stop.wait(_POLL):
            _end(process)
            raise Stopped("interrupted while a command ran")
        if time.monotonic() > deadline:
            _end(process)
            return None


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _log(name: str, output: IO[bytes]) -> None:
    output.seek(0)
    for line in output.read(65536).decode("utf-8", "replace").splitlines()[:_LINES]:
        log.info("%s: %s", printable(os.path.basename(name)), printable(line, 500))
