"""The GitHub Actions workflows: the one that users copy, run as Actions would, and the one that tries new LiteLLMs."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml

from tests.fakes.catalog import model
from tests.scripts.clone import TOKEN
from tests.support.paths import ROOT

WORKFLOW = ROOT / "docs" / "examples" / "sync-models.yml"
NIGHTLY = ROOT / ".github" / "workflows" / "litellm-nightly.yml"
SECURITY = ROOT / ".github" / "workflows" / "security.yml"


def git(directory, *arguments):
    done = subprocess.run(["git", *arguments], cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(("workflow", "count"), [(WORKFLOW, 3), (NIGHTLY, 5), (SECURITY, 3)])
def test_actions_are_pinned(workflow, count):
    """Every action is pinned by commit, with the version beside it."""
    uses = re.findall(r"uses: (.*)", workflow.read_text())
    assert len(uses) == count
    for line in uses:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


def test_all_workflows_use_the_same_actions():
    """An action has one pin in this repository."""
    assert {NIGHTLY, SECURITY} == set(NIGHTLY.parent.iterdir())
    pins = set(re.findall(r"uses: (.*)", "".join(file.read_text() for file in (WORKFLOW, NIGHTLY, SECURITY))))
    assert len(pins) == len({pin.partition("@")[0] for pin in pins})


@pytest.mark.parametrize("file", [NIGHTLY, SECURITY], ids=lambda file: file.stem)
def test_a_workflow_may_no_more_than_it_must(file):
    """Only the job that runs no LiteLLM may write, and only issues; no text from elsewhere gets into a command."""
    workflow = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {}
    assert "pull_request_target" not in file.read_text()
    checkouts = []
    for name, job in workflow["jobs"].items():
        issues = {"issues": "write"} if name == "report" else {}
        assert job["permissions"] == {"contents": "read", **issues}
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            if step.get("uses", "").startswith("actions/checkout@"):
                checkouts.append(step["with"]["persist-credentials"])
    assert set(checkouts) == {False}
    assert "secrets." not in file.read_text()


@pytest.fixture
def nightly(tmp_path):
    """Runs scripts/nightly.sh among stand-ins that note how they are called; returns exit code, calls and output."""
    scripts, commands, notes = tmp_path / "scripts", tmp_path / "bin", tmp_path / "notes"
    scripts.mkdir()
    commands.mkdir()
    shutil.copy(ROOT / "scripts" / "nightly.sh", scripts)
    note = f'#!/bin/bash\necho "$(basename "$0") $*" >>{notes}\n'
    stand_ins = {
        scripts / "lock_litellm.sh": "echo 1.111.0",
        scripts / "test.sh": 'printf "%b" "$TEST_OUTPUT"; exit "${TEST_CODE:-0}"',
        commands / "docker": '[ "$1" != run ] || echo 1.111.1',
        commands / "gh": f"""
            [ "$2" != list ] || echo "$OPEN_ISSUE"
            while [ $# -gt 0 ]; do [ "$1" != --body-file ] || cat "$2" >{tmp_path}/body; shift; done""",
    }
    for file, text in stand_ins.items():
        file.write_text(note + text + "\n")
        file.chmod(0o755)

    def run(what, **environ):
        output = tmp_path / "output"
        for file in (notes, output, tmp_path / "body"):
            file.write_text("")
        env = {"PATH": f"{commands}:/usr/bin:/bin", "GITHUB_OUTPUT": str(output), "RUN_URL": "https://run", **environ}
        command = [str(scripts / "nightly.sh"), what]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        return done.returncode, notes.read_text().splitlines(), output.read_text(), (tmp_path / "body").read_text()

    return run


def test_a_night_tells_what_it_tried_and_what_failed(nightly):
    """The release and the image are named with their version; lines of failed tests are told, and the step fails."""
    failed = "some text\\nFAILED tests/x.py::test_y - assert 1\\nERROR tests/z.py\\n"
    code, calls, output, _ = nightly("release", TEST_OUTPUT=failed, TEST_CODE="1")
    assert code == 1 and calls == ["lock_litellm.sh --latest", "test.sh --litellm 1.111.0"]
    told = re.findall(r"(\w+)<<(end-[0-9a-f]{32})\n(.*?)\n\2\n", output, re.DOTALL)
    assert [(name, text) for name, _, text in told] == [
        ("what", "LiteLLM 1.111.0"),
        ("failures", "FAILED tests/x.py::test_y - assert 1\nERROR tests/z.py"),
    ]
    code, calls, output, _ = nightly("image", TEST_OUTPUT="all well")
    assert code == 0 and calls[-1] == "test.sh tests/containers"
    assert "main-stable (LiteLLM 1.111.1)" in output


OUTCOME = {
    "RELEASE_RESULT": "failure",
    "RELEASE_WHAT": "LiteLLM 1.111.0",
    "RELEASE_FAILURES": "FAILED tests/x.py::test_y - ```\n@everybody",
    "IMAGE_RESULT": "success",
    "IMAGE_WHAT": "the image",
    "IMAGE_FAILURES": "",
}
WELL = {**OUTCOME, "RELEASE_RESULT": "success", "RELEASE_FAILURES": ""}


def test_one_issue_says_what_broke(nightly):
    """It is opened once and updated from then on; what is quoted stays quoted, and what works is not mentioned."""
    _, calls, _, body = nightly("report", OPEN_ISSUE="", **OUTCOME)
    assert [call for call in calls if "issue create" in call] and not [call for call in calls if "issue edit" in call]
    assert "## LiteLLM 1.111.0\n\n```\nFAILED tests/x.py::test_y - \n@everybody\n```" in body
    assert "https://run" in body and "the image" not in body
    _, calls, _, again = nightly("report", OPEN_ISSUE="12", **OUTCOME)
    assert calls[-1].startswith("gh issue edit 12 ") and again == body
    _, _, _, body = nightly("report", OPEN_ISSUE="12", **{**WELL, "IMAGE_RESULT": "failure"})
    assert "## the image\n\nThe tests were not reached, or did not finish: failure." in body


def test_the_issue_is_closed_when_all_works(nightly):
    """Nothing is opened for good news."""
    _, calls, _, _ = nightly("report", OPEN_ISSUE="12", **WELL)
    assert calls[-1].startswith("gh issue close 12 ")
    _, calls, _, _ = nightly("report", OPEN_ISSUE="", **WELL)
    assert [call.split()[:3] for call in calls] == [["gh", "issue", "list"]]


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

    assert [step.get("env", {}).get("GITHUB_TOKEN", "") for step in steps] == [
        "${{ secrets.COPILOT_ACCESS_TOKEN }}",
        "",
    ]

    def run():
        for step in steps:
            environ = {**workflow["env"], **step.get("env", {}), **clone.environ}
            if "GITHUB_TOKEN" in environ:
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
        return git(remote, "log", "--format=%s", "main").splitlines()

    assert run() == ["Sync the models of GitHub Copilot", "mine"]
    assert git(clone.root, "show", "--name-only", "--format=", "HEAD").split() == ["config.yaml"]
    assert len(run()) == 2
    clone.gh.set_catalog([model("gpt-4o"), model("gpt-5-mini"), model("gpt-6")])
    assert len(run()) == 3
    assert not list(clone.root.glob("*.bak-*"))
