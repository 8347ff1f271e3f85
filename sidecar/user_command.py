"""Runs a user's command: without a shell, with JSON on its standard input, and with a time limit.

Its output goes to the log. It gets the environment except GITHUB_TOKEN, the one variable that contains an
access token.
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

MAX_SECONDS = 60.0
_MAX_LINES = 50
_POLL_INTERVAL = 0.05


def run_user_command(
    command: str, stdin: bytes, stop: threading.Event, *, more: Sequence[str] = (), limit: float = MAX_SECONDS
) -> str:
    """Run ``command`` (split into words as by a shell, plus ``more``); "" if it exited with 0, else what went wrong,
    worded to follow "it". Raises Stopped; then the command is terminated too.

    There is no shell; a command that needs one is written as ``sh -c '…'``.
    """
    words = shlex.split(command)
    environ = {key: value for key, value in os.environ.items() if key != "GITHUB_TOKEN"}
    try:
        # Files, not pipes: a service that the command leaves running would keep a pipe open forever.
        with tempfile.TemporaryFile(buffering=0) as stdin_file, tempfile.TemporaryFile() as output:
            stdin_file.write(stdin)
            stdin_file.seek(0)
            process = subprocess.Popen(  # noqa: S603
                [*words, *more], stdin=stdin_file, stdout=output, stderr=output, env=environ, start_new_session=True
            )
            try:
                code = _wait(process, stop, limit)
            finally:
                _log(words[0], output)
    except OSError as error:  # nor can it be where there is no room for its files, in TMPDIR
        return f"cannot be started ({error.strerror}: {printable(error.filename or words[0])})"
    if code is None:
        return f"took longer than {limit:.0f} s and was terminated"
    return "" if code == 0 else f"exited with {code}" if code > 0 else f"was terminated by signal {-code}"


def _wait(process: subprocess.Popen[bytes], stop: threading.Event, limit: float) -> int | None:
    """The exit code; None on timeout. Raises Stopped."""
    deadline = time.monotonic() + limit
    while True:
        code = process.poll()
        if code is not None:
            return code
        if stop.wait(_POLL_INTERVAL):
            _terminate(process)
            raise Stopped("interrupted while a command was running")
        if time.monotonic() > deadline:
            _terminate(process)
            return None


def _terminate(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _log(name: str, output: IO[bytes]) -> None:
    output.seek(0)
    for line in output.read(65536).decode("utf-8", "replace").splitlines()[:_MAX_LINES]:
        log.info("%s: %s", printable(os.path.basename(name)), printable(line, 500), extra={"event": "command.output"})
