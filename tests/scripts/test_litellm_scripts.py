"""The commands around the list of LiteLLM versions, with stand-ins for what takes long: uv, Python and the tests."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.scripts.conftest import ROOT

LIST = "1.8.0 oldest why\n1.9.0 default why\n1.10.0 newest why\n"
UV = """
    case "$*" in
      *--no-deps*) cat >/dev/null; echo litellm==1.12.0 ;;
      *compile*) in=$(cat); while [ $# -gt 1 ]; do shift; done; echo "$in" >"$1" ;;
    esac"""
PYTEST = """
    case "$*" in
      scripts/*) exec /usr/bin/env python3 "$@" ;;
      *pytest*) echo "results in $COPILOT_TEST_RESULTS" >>"$NOTES"; [[ "$*" != *"$FAILS"* ]] || exit "${CODE:-3}" ;;
      *"-m venv"*) mkdir -p "${@: -1}/bin" && cp "$0" "${@: -1}/bin/python" ;;
    esac"""


class Tree:
    """The scripts and a short list of versions in a directory of their own; what is called is noted."""

    def __init__(self, home):
        self.home, self.notes = home, home / "notes"
        (home / "scripts").mkdir()
        (home / "docs").mkdir()
        (home / "bin").mkdir()
        (home / "requirements-litellm").mkdir()
        (home / "requirements-litellm" / "versions.txt").write_text(LIST)
        for name in (
            "_uv.sh",
            "compatibility.py",
            "litellm_versions.py",
            "lock_litellm.sh",
            "matrix.sh",
            "pythons.sh",
            "test.sh",
        ):
            shutil.copy(ROOT / "scripts" / name, home / "scripts")
        self.stand_in(home / "bin" / "uv", UV)
        self.stand_in(home / "bin" / "python", PYTEST)

    def stand_in(self, file, text):
        file.write_text('#!/bin/bash\necho "${0##*/} $*" >>"$NOTES"\n' + text + "\n")
        file.chmod(0o755)

    def run(self, script, *arguments, **environ):
        """A script from start to end; its result, and the calls that it made."""
        self.notes.write_text("")
        done = subprocess.run(
            [str(self.home / "scripts" / script), *arguments],
            cwd="/",
            env={
                "PATH": f"{self.home / 'bin'}:/usr/local/bin:/usr/bin:/bin",
                "PYTHON": str(self.home / "bin" / "python"),
                "NOTES": str(self.notes),
                "FAILS": "no part",
                "COPILOT_TEST_WORKERS": "4",
                **environ,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done, self.notes.read_text().splitlines()


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def pytest_calls(calls):
    return [call.partition("-m pytest")[2].strip() for call in calls if "-m pytest" in call]


def test_a_version_is_locked(tree):
    """The lock asks for that version and the test tools; one that the list lacks is said to need a line."""
    done, _ = tree.run("lock_litellm.sh", "1.9.0", "1.11.0")
    assert done.returncode == 0, done.stderr
    lock = (tree.home / "requirements-litellm" / "1.9.0.lock").read_text()
    assert lock.splitlines() == ["-r requirements-test.in", "litellm[proxy]==1.9.0", "prisma"]
    assert done.stdout == "" and done.stderr.count("versions.txt") == 1


def test_all_and_the_latest_are_locked(tree):
    """--all locks the list; --latest prints what the index has as newest, and nothing else, for other scripts."""
    assert tree.run("lock_litellm.sh", "--all")[0].returncode == 0
    assert {file.stem for file in tree.home.rglob("*.lock")} == {"1.8.0", "1.9.0", "1.10.0"}
    done, _ = tree.run("lock_litellm.sh", "--latest")
    assert done.stdout == "1.12.0\n" and (tree.home / "requirements-litellm" / "1.12.0.lock").exists()


@pytest.mark.parametrize("version", ["newest", "1", "../1.9.0", "1.9.0 --index-url x"])
def test_what_is_no_version_is_not_locked(tree, version):
    """It is refused by name before anything is written."""
    done, _ = tree.run("lock_litellm.sh", version)
    assert done.returncode == 2 and f"'{version}' is not a LiteLLM version" in done.stderr
    assert not list(tree.home.rglob("*.lock"))


def test_the_tests_run_on_the_version_that_is_asked_for(tree):
    """In an environment of its own, made once for a lock; tests/litellm, or what the arguments name."""
    tree.run("lock_litellm.sh", "--all")
    done, calls = tree.run("test.sh", "--litellm", "1.9.0")
    assert done.returncode == 0, done.stderr
    assert pytest_calls(calls) == [
        "-n 4 -m not alone --durations=15 tests/litellm",
        "-m alone --durations=15 tests/litellm",
    ]
    assert calls.count(f"results in {tree.home}/build/compatibility") == 2
    assert (tree.home / ".venv-litellm-1.9.0").is_dir()
    assert any(call.startswith("uv pip install") and "--require-hashes" in call for call in calls)
    _, calls = tree.run("test.sh", "--litellm=1.9.0", "--core")
    assert pytest_calls(calls) == ["-n 4 -m core and not alone --durations=15 tests/litellm"]
    assert not any(call.startswith("uv") for call in calls)
    _, calls = tree.run("test.sh", "--litellm", "1.9.0", "-k", "renewal")
    assert pytest_calls(calls) == ["tests/litellm -k renewal"]
    assert "results in " in calls
    _, calls = tree.run("test.sh", "--litellm", "1.9.0", "--core", "-k", "renewal")
    assert pytest_calls(calls) == ["-m core tests/litellm -k renewal"]
    _, calls = tree.run("test.sh", "--litellm", "1.9.0", "scripts::test_x", "-x")
    assert pytest_calls(calls) == ["scripts::test_x -x"]
    _, calls = tree.run("test.sh", "-k", "renewal")
    assert pytest_calls(calls) == ["-k renewal"] and (tree.home / ".venv-litellm-1.10.0").is_dir()


@pytest.mark.parametrize("part", ["-m not", "-m alone", "no part"])
def test_a_failure_of_any_part_is_one_of_the_run(tree, part):
    """What comes last is run all the same, and what an earlier run recorded of the version is gone."""
    tree.run("lock_litellm.sh", "--all")
    recorded = tree.home / "build" / "compatibility"
    recorded.mkdir(parents=True)
    for version in ("1.8.0", "1.9.0"):
        (recorded / f"{version}.jsonl").touch()
    done, calls = tree.run("test.sh", "--litellm", "1.9.0", FAILS=part)
    assert done.returncode == (0 if part == "no part" else 3) and len(pytest_calls(calls)) == 2
    assert [file.name for file in recorded.iterdir()] == ["1.8.0.jsonl"]


def test_the_quick_ones_and_all(tree):
    """Without arguments: checks, and what needs no engine, cluster or quiet. --all: all tests; --checks: none."""
    tree.run("lock_litellm.sh", "--all")
    for tool in ("ruff", "mypy", "shellcheck", "git"):
        tree.stand_in(tree.home / "bin" / tool, "")
    for check in ("structure.py", "reference.py", "messages.py", "compatibility.py"):
        (tree.home / "scripts" / check).write_text("")
    quick, all_parts = tree.run("test.sh")[1], tree.run("test.sh", "--all")[1]
    (call,) = pytest_calls(quick)
    left_out = "not (long or alone or containers or cluster)"
    assert call == f"-n 4 -m (core or not litellm) and {left_out} --durations=15"
    assert "results in " in quick
    assert pytest_calls(all_parts) == [
        "-n 4 -m not alone and not nightly --durations=15",
        "-m alone and not nightly --durations=15",
    ]
    checks = tree.run("test.sh", "--checks")[1]
    assert pytest_calls(checks) == []
    for calls in (quick, all_parts, checks):
        assert {"ruff check .", "ruff format --check .", "mypy "} <= set(calls)


@pytest.mark.parametrize(
    ("part", "core", "code"),
    [("-m core", ["--core"], 5), ("-m alone", [], 5), ("-m not", [], 5)],
)
def test_no_part_may_be_without_tests(tree, part, core, code):
    """No tests at all is pytest's exit code 5, and a failure. The core has nothing that measures."""
    tree.run("lock_litellm.sh", "--all")
    done, _ = tree.run("test.sh", "--litellm", "1.9.0", *core, FAILS=part, CODE="5")
    assert done.returncode == code


def test_a_version_without_a_lock_is_refused(tree):
    """The message names the command that makes one."""
    done, _ = tree.run("test.sh", "--litellm", "1.11.0")
    assert done.returncode == 2 and "scripts/lock_litellm.sh 1.11.0" in done.stderr


def test_the_matrix_goes_on_after_a_failure(tree):
    """All but the newest by default; how long each took, which failed, and the page, come at the end."""
    tree.stand_in(tree.home / "scripts" / "test.sh", '[ "$2" != 1.8.0 ] || exit 3')
    done, calls = tree.run("matrix.sh")
    assert sorted(call for call in calls if call.startswith("test.sh")) == [
        *("test.sh --litellm 1.8.0 --core", "test.sh --litellm 1.8.0 --install"),
        *("test.sh --litellm 1.9.0 --core", "test.sh --litellm 1.9.0 --install"),
    ]
    assert done.returncode == 1 and "LiteLLM 1.8.0\n" in done.stderr
    assert "LiteLLM 1.8.0: 0 s\nLiteLLM 1.9.0: 0 s\n" in done.stdout
    assert "| 1.9.0 (default) |" in (tree.home / "docs" / "compatibility.md").read_text()
    done, calls = tree.run("matrix.sh", "1.9.0")
    assert done.returncode == 0 and len([call for call in calls if call.startswith("test.sh")]) == 1


def test_the_pythons_go_on_after_a_failure(tree):
    """Each Python that is here has an environment of its own; one that fails is named, one that is not here too."""
    (tree.home / "requirements-test.lock").write_text("pytest")
    for version in ("3.12", "3.13"):
        text = f'[ "$1" != -c ] || {{ echo {version}.7; exit; }}'
        tree.stand_in(tree.home / "bin" / f"python{version}", text + PYTEST)
    done, calls = tree.run("pythons.sh", "3.12", "3.13", "3.99", FAILS="python-3.12.7.xml")
    assert done.returncode == 1 and "the unit tests do not pass on Python 3.12\n" in done.stderr
    assert "there is no python3.99 here" in done.stdout
    made = [call for call in calls if " -m venv " in call]
    assert made == [f"python{version} -m venv --clear .venv-python-{version}" for version in ("3.12", "3.13")]
    assert len([call for call in calls if "--require-hashes -r requirements-test.lock" in call]) == 2
    runs = pytest_calls(calls)
    assert [run.rpartition("/")[2] for run in runs] == ["python-3.12.7.xml", "python-3.13.7.xml"]
    named = [word for word in runs[0].split() if word.startswith("tests/")]
    assert len(named) == 5 and all((ROOT / name).exists() for name in named)
    assert "3.14" in (tree.home / "docs" / "compatibility.md").read_text()
