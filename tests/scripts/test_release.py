"""What a release is made of: its files, the same twice, and the workflow that publishes them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from sidecar import __version__
from tests.support.paths import ROOT
from tests.support.tools import tool

IMAGE = "ghcr.io/owner/name:1.2.3@sha256:" + "a" * 64


def git(directory, *words):
    identity = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    subprocess.run(["git", *identity, *words], cwd=directory, check=True, capture_output=True)


def python():
    """The Python beside the linters, which has what makes the files."""
    return str(Path(tool("zizmor")).parent / "python")


def run(script, *words, root=ROOT, with_python=None, umask=0o022):
    command = [with_python or "python3", str(root / "scripts" / script), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, umask=umask)


@pytest.fixture
def copy(tmp_path):
    """A copy of what a release is made from, with a changelog that is ready for one."""
    root = tmp_path / "copy"
    shutil.copytree(ROOT / "sidecar", root / "sidecar", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "docs", root / "docs")
    for name in ("release.py", "sbom.py", "image.sh"):
        (root / "scripts").mkdir(exist_ok=True)
        shutil.copy(ROOT / "scripts" / name, root / "scripts")
    for name in (
        "pyproject.toml",
        "README.md",
        "SECURITY.md",
        "LICENSE",
        "requirements.lock",
        "docker-compose.yml",
        "requirements-build.lock",
    ):
        shutil.copy(ROOT / name, root)
    shutil.copy(ROOT / "config.yaml", root)
    (root / "CHANGELOG.md").write_text(
        f"# Changelog\n\n## Unreleased\n\n## {__version__} (today)\n\n- new\n\n## 0.0.9\n\n- old\n"
    )
    git(tmp_path, "init", "--quiet", str(root))
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "all")
    return root


def test_the_version_stands_in_one_place():
    """The package, its metadata and the image take it from `sidecar.__version__`."""
    assert run("release.py", "version").stdout == f"{__version__}\n"
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()
    assert re.findall(r"^ARG VERSION=(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE) == [""]


def test_a_tag_has_to_fit(copy):
    """The tag is the version's; the changelog has a section of it, which is the release's text, and nothing more."""
    assert run("release.py", "check", f"v{__version__}", root=copy).returncode == 0
    assert run("release.py", "notes", root=copy).stdout == "- new\n"
    log = (copy / "CHANGELOG.md").read_text()
    for tag, changelog, said in (
        ("v9.9.9", log, f"the tag has to be v{__version__}"),
        (__version__, log, f"the tag has to be v{__version__}"),
        (f"v{__version__}", log.replace("## Unreleased\n", "## Unreleased\n\n- more\n"), "under Unreleased"),
        (f"v{__version__}", log.replace("- new\n", ""), "or nothing in it"),
        (f"v{__version__}", log.replace(f"## {__version__} ", "## 0.0.8 "), "has no section"),
    ):
        (copy / "CHANGELOG.md").write_text(changelog)
        done = run("release.py", "check", tag, root=copy)
        assert done.returncode == 1 and said in done.stderr, done.stderr
    (copy / "CHANGELOG.md").write_text(log.replace(__version__, "1.0.0rc1"))
    (copy / "sidecar" / "__init__.py").write_text('__version__ = "1.0.0rc1"\n')
    assert "not three numbers" in run("release.py", "check", "v1.0.0rc1", root=copy).stderr


def test_the_compose_file_that_works_alone(copy):
    """It takes nothing from a clone and takes the same variables; all else is as in the file that is tested."""
    (copy / "config.yaml").write_text((ROOT / "config.yaml").read_text() + "# it costs $5\n")
    shown = run("release.py", "compose", IMAGE, root=copy).stdout
    alone, cloned = yaml.safe_load(shown), yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert alone["configs"]["litellm"]["content"].replace("$$", "$") == (copy / "config.yaml").read_text()
    assert {service.get("image") for service in alone["services"].values()} == {
        "${COPILOT_SYNC_IMAGE:-" + IMAGE + "}",
        cloned["services"]["litellm"]["image"],
    }
    assert not re.search(r"(?<!\.)\./", re.sub(r"#.*", "", shown)) and not any(
        "build" in item for item in alone["services"].values()
    )
    variables = [
        set(re.findall(r"\$\{?([A-Z_]+)", text)) for text in (shown, (ROOT / "docker-compose.yml").read_text())
    ]
    assert variables[1] - variables[0] == {"BASE_IMAGE"} and variables[0] < variables[1]
    changed = {
        ("copilot-sync", "volumes"),
        ("copilot-sync", "environment"),
        ("litellm", "command"),
        ("litellm", "volumes"),
        ("litellm", "configs"),
    }
    for name, service in cloned["services"].items():
        for key in (service.keys() | alone["services"][name].keys()) - {"image", "build"}:
            same = service.get(key) == alone["services"][name].get(key)
            assert same == ((name, key) not in changed), (name, key)
    (copy / "docker-compose.yml").write_text((copy / "docker-compose.yml").read_text().replace("config.yaml", "c.yaml"))
    broken = run("release.py", "compose", IMAGE, root=copy)
    assert broken.returncode == 1 and "times, not once" in broken.stderr and not broken.stdout


def test_wheel_and_sdist_are_the_same_twice(copy, tmp_path):
    """Neither the time, nor the umask, nor what lies about in the working tree changes a byte."""
    tool("uv")
    made = []
    for number, umask in enumerate((0o022, 0o077)):
        done = run("release.py", "dist", tmp_path / str(number), root=copy, umask=umask)
        assert done.returncode == 0, done.stderr
        made.append([Path(name) for name in done.stdout.split()])
        os.utime(copy / "sidecar" / "cli" / "__init__.py", (1, 1))
        (copy / "sidecar" / "stray.py").write_text("stray = True\n")
    assert len(made[0]) == 2 and [file.name for file in made[0]] == [file.name for file in made[1]]
    assert [file.read_bytes() for file in made[0]] == [file.read_bytes() for file in made[1]]
    wheel, sdist = made[1]
    assert "sidecar/stray.py" not in zipfile.ZipFile(wheel).namelist()
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    assert len({(member.mtime, member.uid, member.gid, member.uname) for member in members}) == 1 and len(members) > 100
    assert {f"{member.mode:o}" for member in members} == {"644", "755"}


def test_the_sbom_has_what_the_lock_has(copy, tmp_path):
    """Every package with its files, who wants it, and the same bytes twice; what is not CycloneDX is not written."""
    made = [run("sbom.py", tmp_path / name, root=copy, with_python=python()).stdout.strip() for name in "ab"]
    first, second = (Path(name).read_bytes() for name in made)
    assert first == second
    bill, lock = json.loads(first), (ROOT / "requirements.lock").read_text()
    pinned = dict(re.findall(r"^([a-z0-9][\w.-]*)==([\w.]+)", lock, re.MULTILINE))
    assert {part["name"]: part["version"] for part in bill["components"]} == pinned and len(pinned) > 4
    digests = [item["content"] for part in bill["components"] for item in part["externalReferences"][0]["hashes"]]
    assert sorted(digests) == sorted(re.findall(r"sha256:([0-9a-f]{64})", lock))
    wants = {item["ref"]: item.get("dependsOn", []) for item in bill["dependencies"]}
    own = f"pkg:pypi/litellm-copilot-model-sync@{__version__}"
    asked = [line.lower() for line in (ROOT / "requirements.in").read_text().splitlines() if not line.startswith("#")]
    assert [name.partition("@")[0] for name in wants[own]] == sorted(f"pkg:pypi/{name}" for name in asked)
    assert any(name.startswith("pkg:pypi/urllib3@") for name in wants[f"pkg:pypi/requests@{pinned['requests']}"])
    # A digest that cannot be one.
    (copy / "requirements.lock").write_text(lock.replace("sidecar", "").replace("==", "==1+ü", 1))
    sbom = (copy / "scripts" / "sbom.py").read_text()
    (copy / "scripts" / "sbom.py").write_text(sbom.replace("indent=2)", "indent=2).replace('SHA-256', 'SHA-1000')"))
    broken = run("sbom.py", tmp_path / "c", root=copy, with_python=python())
    assert broken.returncode == 1 and "not valid CycloneDX" in broken.stderr and not (tmp_path / "c").exists()


@pytest.fixture
def docker(copy, tmp_path):
    """Runs scripts/image.sh with an engine that notes how it is called, and says of image N what ``says[N]`` is."""
    commands, notes = tmp_path / "bin", tmp_path / "notes"
    commands.mkdir()
    (commands / "docker").write_text(
        """#!/bin/bash
echo "$SOURCE_DATE_EPOCH $*" >>"$NOTES"
while [ $# -gt 0 ]; do
  [ "$1" != --metadata-file ] || echo '{"containerimage.digest": "sha256:12"}' >"$2"
  [ "$*" != "${*%-2}" ] && echo "$SECOND" && exit
  shift
done
echo "$FIRST"
"""
    )
    (commands / "docker").chmod(0o755)

    def act(*words, first="", second=""):
        notes.write_text("")
        env = {"PATH": f"{commands}:{os.environ['PATH']}", "NOTES": str(notes), "FIRST": first, "SECOND": second}
        command = [str(copy / "scripts" / "image.sh"), *words]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, notes.read_text()

    return act


def test_an_image_for_both_architectures(docker, copy):
    """It is pushed with an SBOM and provenance, knows no time but the commit's, and is told by digest."""
    code, told, notes = docker("publish", "ghcr.io/owner/name")
    assert code == 0 and told == "sha256:12\n"
    words = notes.split()
    when = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=copy, capture_output=True, text=True, check=True)
    assert words[0] == when.stdout.strip() and f"VERSION={__version__}" in words
    assert {"linux/amd64,linux/arm64", "--sbom=true", "--provenance=mode=max"} <= set(words)
    output = words[words.index("--output") + 1].split(",")
    assert {"push=true", "rewrite-timestamp=true", f"name=ghcr.io/owner/name:{__version__}"} <= set(output)


def test_two_builds_are_compared(docker):
    """Neither build may use a cache; a layer that differs is a failure."""
    code, told, notes = docker("compare", first="layer", second="layer")
    assert code == 0 and "the same digest" in told and notes.count("--no-cache") == 2 and "image rm" in notes
    assert docker("compare", first="layer", second="another")[0] == 1
    assert docker("whatever")[0] == 2


def test_the_workflow_publishes_what_was_made():
    """No job that installs packages may write or sign; the package index, which keeps everything, comes last."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())["jobs"]
    assert [(name, job.get("needs")) for name, job in jobs.items()] == [
        ("files", None),
        ("image", "files"),
        ("release", "image"),
        ("pypi", "release"),
    ]
    for name, job in jobs.items():
        commands = " ".join(step.get("run", "") for step in job["steps"])
        assert ("pip install" in commands) == (name == "files")
        assert ("write" in job["permissions"].values()) == (name != "files")
        assert ("cosign sign" in commands) == (name == "image")
    steps = [step.get("uses", "").partition("@")[0] for step in jobs["pypi"]["steps"]]
    assert steps == ["actions/download-artifact", "pypa/gh-action-pypi-publish"]
