"""The whole stack, and real clients that use it with nothing but what `connect` gave them."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

from sidecar.cli import main
from tests.fakes.catalog import demo_catalog
from tests.fakes.github import GitHub
from tests.fakes.state import Recorded
from tests.litellm.proxy import KEY, Proxy
from tests.support.paths import ROOT
from tests.support.tools import missing
from tests.support.waiting import until

INSTALL = "tests/clients/install.sh, or with another place as argument and COPILOT_TEST_CLIENTS naming it"
PLACE = Path(os.environ.get("COPILOT_TEST_CLIENTS") or ROOT / "build" / "clients")
"""Where the clients are, which LiteLLM's environment does not hold."""
SETTINGS = {"COPILOT_CLAUDE_NAMES": "true", "COPILOT_EMBEDDINGS": "true", "COPILOT_QUOTA": "false"}
NOTE = "marigold"


def program(*places: str) -> str:
    """A client's program by the first of the places that it may have; skips the test where there is none."""
    found = next((PLACE / place for place in places if (PLACE / place).exists()), None)
    if found is None:
        missing(f"{places[0]} is not installed: {INSTALL}")
    return str(found)


class Stack:
    """Login, sync, LiteLLM with the hook, and a home for each client; a context manager."""

    def __init__(self, place: Path) -> None:
        self.place, self.gh = place, GitHub(demo_catalog())
        self._ending = contextlib.ExitStack()

    def __enter__(self) -> Stack:
        self._ending.enter_context(self.gh)
        self.proxy = Proxy(self.place, self.gh.env())
        self.proxy.login(self.gh.new_access_token())
        files = {
            "GITHUB_COPILOT_TOKEN_DIR": str(self.proxy.token_dir),
            "COPILOT_MODELS_FILE": str(self.proxy.models_file),
        }
        self.environ = {**self.gh.env(), **SETTINGS, **files}
        self._command("sync")
        self._ending.callback(self.proxy.stop)
        self.proxy.start()
        until(lambda: "claude-opus-4-7" in self.proxy.models(), 60, "the models")
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    def _command(self, *argv: str, **environ: str) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(argv, {**self.environ, **environ}) == 0
        return out.getvalue()

    def connect(self, client: str, *argv: str, home: Path) -> str:
        """What `connect` prints."""
        before, os.environ["HOME"] = os.environ["HOME"], str(home)
        try:
            return self._command("connect", client, "--url", self.proxy.url, *argv, HOME=str(home))
        finally:
            os.environ["HOME"] = before


class Home:
    """Somebody's home, where one client is set up, with a directory that has a note in it."""

    def __init__(self, stack: Stack, place: Path) -> None:
        self.stack, self.place, self.work = stack, place, place / "work"
        stack.gh.clear()
        self.work.mkdir(parents=True)
        (self.work / "note.txt").write_text(f"{NOTE}\n")

    def write(self, client: str) -> None:
        """Let `connect` set the client up."""
        self.stack.connect(client, "--write", home=self.place)

    def text(self, client: str) -> str:
        """What it prints for copying, without the commands that follow."""
        return self.stack.connect(client, home=self.place).rpartition("\nTo use it:\n")[0]

    def run(self, *command: str, seconds: float = 120, **environ: str) -> str:
        """The output of a client, which has the key in its environment, and reaches this machine only."""
        nobody = "http://127.0.0.1:9"  # whatever asks for anything else fails at once
        result = subprocess.run(
            command,
            cwd=self.work,
            env={
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": str(self.place),
                "LANG": "C.UTF-8",
                "LITELLM_API_KEY": KEY,
                "HTTPS_PROXY": nobody,
                "HTTP_PROXY": nobody,
                "NO_PROXY": "127.0.0.1,localhost",
                **environ,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
        text = result.stdout.decode("utf-8", "replace")
        assert result.returncode == 0, f"it ended with {result.returncode}:\n{text[-4000:]}\n{self.refused}"
        return text

    @property
    def refused(self) -> list[tuple[str, str]]:
        """What Copilot has refused."""
        return list(self.stack.gh.refusals)

    def asked(self, path: str) -> list[Recorded]:
        """What Copilot was asked at an endpoint."""
        return self.stack.gh.requests_to(path)
