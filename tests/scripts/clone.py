"""A clean clone, as a user has it."""

from __future__ import annotations

import shutil
import subprocess

from tests.support import canary
from tests.support.files import put_secret
from tests.support.paths import ROOT

PARTS = (
    "sidecar",
    "entrypoint",
    "scripts",
    "requirements.lock",
    "config.yaml",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
TOKEN = canary.new("a")


class Clone:
    """A copy of the tree; its path has a space, a quote and a percent sign."""

    def __init__(self, gh, directory, venv):
        self.gh, self.home = gh, directory / "home"
        self.root = directory / "it's a 100% clone"
        self.tokens = self.home / ".config" / "litellm" / "github_copilot"
        self.home.mkdir()
        self.root.mkdir()
        for name in PARTS:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, self.root / name)
        for left in self.root.rglob("__pycache__"):
            shutil.rmtree(left)
        self.environ = {
            **gh.env(),
            "PATH": f"{venv}/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    @property
    def config(self):
        return self.root / "config.yaml"

    def log_in(self):
        self.gh.new_access_token(token=TOKEN)
        self.tokens.mkdir(parents=True)
        put_secret(self.tokens / "access-token", TOKEN)

    def run(self, script, *arguments, cwd="/", timeout=60, **environ):
        """A script from start to end, by its full path, in another directory."""
        process = subprocess.Popen(
            [str(self.root / "scripts" / script), *arguments],
            cwd=cwd,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process, canary.Watch(process.pid):
            try:
                out, err = process.communicate(timeout=timeout)
            finally:
                process.kill()
        canary.search(f"the output of {script}", out + err)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)
