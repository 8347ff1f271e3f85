"""The GitHub Actions workflow that users copy: its steps, run as Actions would, on a clone with a remote."""

from __future__ import annotations

import re
import subprocess

import yaml

from tests.fakes.catalog import model
from tests.scripts.conftest import ROOT, TOKEN

WORKFLOW = ROOT / "docs" / "examples" / "sync-models.yml"


def git(directory, *arguments):
    done = subprocess.run(["git", *arguments], cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout


def test_actions_are_pinned():
    """Every action is pinned by commit, with the version beside it."""
    uses = re.findall(r"uses: (.*)", WORKFLOW.read_text())
    assert len(uses) == 3
    for line in uses:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


def test_commits_only_changes(clone, tmp_path):
    """The steps commit and push a changed config, nothing else, and nothing at all when nothing has changed."""
    clone.gh.new_access_token(token=TOKEN)
    remote = tmp_path / "remote.git"
    git(tmp_path, "init", "--quiet", "--bare", "-b", "main", str(remote))
    git(clone.root, "init", "--quiet", "-b", "main")
    git(clone.root, "add", "-A")
    git(clone.root, "-c", "user.name=me", "-c", "user.email=me@example.org", "commit", "--quiet", "-m", "mine")
    git(clone.root, "push", "--quiet", "-u", str(remote), "main")
    git(clone.root, "config", "remote.origin.url", str(remote))
    git(clone.root, "config", "branch.main.remote", "origin")
    workflow = yaml.safe_load(WORKFLOW.read_text())
    steps = [step for step in workflow["jobs"]["sync"]["steps"] if step.get("name", "").startswith(("Sync", "Commit"))]
    assert len(steps) == 2

    def run():
        for step in steps:
            environ = {**workflow["env"], **step.get("env", {}), **clone.environ}
            if "GITHUB_TOKEN" in environ:
                assert environ["GITHUB_TOKEN"] == "${{ secrets.COPILOT_ACCESS_TOKEN }}"
                environ["GITHUB_TOKEN"] = TOKEN
            done = subprocess.run(
                ["bash", "-e", "-c", step["run"]],
                cwd=clone.root,
                env=environ,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert TOKEN not in done.stdout + done.stderr
        return git(remote, "log", "--format=%s", "main").splitlines()

    assert run() == ["Sync the models of GitHub Copilot", "mine"]
    assert git(clone.root, "show", "--name-only", "--format=", "HEAD").split() == ["config.yaml"]
    assert len(run()) == 2
    clone.gh.set_catalog([model("gpt-4o"), model("gpt-5-mini"), model("gpt-6")])
    assert len(run()) == 3
    assert not list(clone.root.glob("*.bak-*"))
