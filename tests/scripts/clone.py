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
    "docs",
    "README.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "LICENSE",
)
TOKEN = canary.new("a")


class Clone:
    """A copy of the tree; its path has a space, a quote and a percent sign. The user's config is elsewhere: at home."""

    def __init__(self, gh, directory, venv):
        self.gh, self.home = gh, directory / "home"
        self.root = directory / "it's a 100% clone"
        self.tokens = self.home / ".config" / "litellm" / "github_copilot"
        self.home.mkdir()
        self.root.mkdir()
        for name in PARTS:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(ROOT / name, self.root / name)
        self.config = self.home / "config.yaml"
        self.config.write_text("# mine\nmodel_list: []  # kept\n")
        self.environ = {
            **gh.env(),
            "PATH": f"{venv}/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def log_in(self):
        self.gh.new_access_token(token=TOKEN)
        self.tokens.mkdir(parents=True)
        put_secret(self.tokens / "access-token", TOKEN)

    def run(self, script, *arguments, cwd=None, timeout=60, **environ):
        """A script from start to end, by its full path, in the directory of the user's config or another one."""
        process = subprocess.Popen(
            [str(self.root / "scripts" / script), *arguments],
            cwd=cwd or self.home,
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
