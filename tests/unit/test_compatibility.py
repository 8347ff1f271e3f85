"""The table of LiteLLM versions: what a test run records, and the page that is made of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from scripts import compatibility
from scripts.compatibility import (
    FEATURES,
    KUBERNETES,
    PYTHONS,
    WORKFLOW,
    Run,
    load,
    load_pythons,
    page,
    read,
    read_pythons,
)
from scripts.litellm_versions import ROOT, Version, versions
from tests.support.named_tests import missing, named

LISTED = [Version("1.8.0", "oldest", "why"), Version("1.9.0", "default", "why"), Version("1.10.0", "newest", "why")]
TESTS = """
    import pytest

    @pytest.mark.feature("follows")
    @pytest.mark.parametrize("silence", [41, 120, 7])
    def test_that_measures(record_figure, silence):
        record_figure("silence, ms", silence)

    @pytest.mark.feature("follows", "updates")
    def test_that_passes(): ...

    @pytest.mark.feature("updates")
    def test_that_fails(): assert False

    @pytest.mark.feature("guards")
    def test_whose_fixture_fails(nobody): ...

    @pytest.mark.feature("per-user")
    def test_that_is_skipped(): pytest.skip("there since 1.9")

    @pytest.mark.feature("early refusal")
    @pytest.mark.xfail(reason="LiteLLM ignores it")
    def test_that_is_known_to_fail(): assert False
"""


@pytest.fixture
def run(tmp_path):
    """Runs tests with the plugin, as a LiteLLM of version 1.9.0, and returns what it wrote and said."""
    (tmp_path / "python").write_text("#!/bin/sh\necho 1.9.0\n")
    (tmp_path / "python").chmod(0o755)

    def go(tests: str, *flags: str) -> tuple[dict | None, str]:
        (tmp_path / "test_it.py").write_text("\n".join(line[4:] for line in tests.splitlines()))
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "COPILOT_TEST_LITELLM": str(tmp_path / "litellm"),
            "COPILOT_TEST_RESULTS": str(tmp_path / "results"),
        }
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        command = [sys.executable, "-m", "pytest", "-p", "tests.litellm.results", "test_it.py", *flags]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
        file = tmp_path / "results" / "1.9.0.jsonl"
        return json.loads(file.read_text()) if file.exists() else None, done.stdout + done.stderr

    return go


@pytest.mark.parametrize("flags", [[], ["-n", "2"]], ids=["one process", "several"])
def test_a_run_records_features_and_figures(flags, run):
    """A feature is there if a test of it passed and none failed; of several values the greatest counts."""
    found, _ = run(TESTS, *flags)
    assert found is not None
    assert found["litellm"] == "1.9.0" and found["tests"] == "all"
    assert found["features"] == {
        "follows": "passed",
        "updates": "failed",
        "guards": "failed",
        "per-user": "skipped",
        "early refusal": "failed",
    }
    assert found["reasons"] == {"per-user": "there since 1.9", "early refusal": "LiteLLM ignores it"}
    assert found["figures"] == {"silence, ms": 120}


def test_the_core_is_called_so(run):
    """A run of the core says that it was no more."""
    found, _ = run(
        "    import pytest\n    @pytest.mark.core\n    @pytest.mark.feature('follows')\n    def test_it(): ...",
        "-m",
        "core and not alone",
    )
    assert found is not None and found["tests"] == "core"


def test_a_feature_that_the_table_lacks_stops_the_run(run):
    """A slip of the pen does not vanish in silence."""
    found, said = run("    import pytest\n    @pytest.mark.feature('folows')\n    def test_it(): ...")
    assert found is None and "folows" in said and "follows" in said


def test_a_run_without_marks_leaves_nothing(run):
    """A run of some other tests does not overwrite what was recorded."""
    assert run("    def test_it(): ...")[0] is None


def test_the_page_shows_each_version_once(tmp_path):
    """The page has a row and a column per version, notes below, and the two parts of a run put together."""
    parts = [
        {
            "litellm": "1.9.0",
            "tests": "core",
            "seconds": 60,
            "features": {"follows": "passed", "updates": "failed", "per-user": "skipped"},
            "reasons": {"per-user": "there since 1.10"},
            "figures": {"silence, ms": 41.25},
        },
        {
            "litellm": "1.9.0",
            "tests": "core",
            "seconds": 30,
            "features": {"follows": "skipped", "updates": "passed"},
            "reasons": {},
            "figures": {"silence, ms": 40, "served again after, s": 0.5},
        },
    ]
    (tmp_path / "1.9.0.jsonl").write_text("".join(json.dumps(part) + "\n" for part in parts))
    runs = load(tmp_path)
    text = page(LISTED, runs, {})
    assert "| 1.9.0 (default) | yes | **no** | not run | not run | – | not run |" in text
    assert "| 1.8.0 (oldest) |" + " not run |" * len(FEATURES) in text
    assert "| silence, ms |  | 41.25 |  |" in text and "| served again after, s |  | 0.5 |  |" in text
    assert "| tests |  | core |  |\n| minutes |  | 1.5 |  |" in text
    assert "- 1.9.0, per-user: there since 1.10\n" in text
    again = read(text)
    assert again == {"1.8.0": Run(), "1.10.0": Run(), **runs}
    assert page(LISTED, again, {}) == text


def test_the_page_names_the_versions_of_the_list():
    """docs/compatibility.md shows every listed version, in its order, and no other."""
    shown = read(compatibility.PAGE.read_text("utf-8"))
    assert list(shown) == [version.number for version in versions()], "run scripts/matrix.sh"


def test_the_page_shows_what_ran_on_each_python(tmp_path):
    """A Python that was run has its counts; one that was not has those of the page, or where it is run."""
    suite = (
        '<testsuites><testsuite name="pytest" errors="1" failures="2" skipped="3" tests="106" time="1"/></testsuites>'
    )
    (tmp_path / "python-3.12.9.xml").write_text(suite)
    (tmp_path / "1.9.0.jsonl").write_text("")
    ran = load_pythons(tmp_path)
    assert ran == {"3.12": ["3.12.9", "100", "3", "3"]}
    text = page(LISTED, {}, ran)
    assert "| 3.12 | 3.12.9 | 100 | 3 | 3 |" in text
    assert "| 3.14 | not run here: `.github/workflows/ci.yml` |" in text
    assert read_pythons(text) == ran


def test_the_pythons_are_those_that_are_promised():
    """The oldest is that of the package, and what the public workflow runs is what the page says that it does."""
    assert f'requires-python = ">={next(iter(PYTHONS))}"' in (ROOT / "pyproject.toml").read_text("utf-8")
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    assert workflow["jobs"]["unit"]["strategy"]["matrix"]["python"] == list(PYTHONS)


def test_the_kubernetes_versions_are_those_that_are_checked():
    """From the oldest that a variant takes to the newest whose schemas there are; what runs is in the list of nodes."""
    linters = (ROOT / "tests" / "k8s" / "requirements-linters.in").read_text("utf-8")
    (newest,) = map(int, re.findall(r"^kubernetes-validate==1\.(\d+)\.", linters, re.MULTILINE))
    (needed,) = re.findall(r"^\| Kubernetes \|(.*)", (ROOT / "docs" / "kubernetes.md").read_text("utf-8"), re.MULTILINE)
    sidecar, plain, *_ = map(int, re.findall(r"1\.(\d+) or newer", needed))
    nodes = (ROOT / "tests" / "k8s" / "kind-nodes.txt").read_text("utf-8")
    run = re.findall(r"^(1\.\d+) ", nodes, re.MULTILINE)
    others = [name for minor in range(sidecar, newest + 1) if (name := f"1.{minor}") not in run]
    assert list(KUBERNETES)[1:] == [f"1.{plain} to 1.{sidecar - 1}", ", ".join(run), ", ".join(others)]
    assert KUBERNETES[", ".join(run)][1] == WORKFLOW
    assert missing(named("".join(cell for cells in KUBERNETES.values() for cell in cells if "::" in cell))) == []
