"""Records what a test run shows of a LiteLLM version, for the table in docs/compatibility.md.

A test says with ``@pytest.mark.feature("follows")`` what it stands for, and with the fixture ``record_figure`` what it
measured. At the end of a run with COPILOT_TEST_RESULTS set, a directory, both are in VERSION.json there;
scripts/compatibility.py makes the page of these files.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.compatibility import FEATURES

from .proxy import litellm_command

PLUGIN = "litellm-results"


def litellm_python() -> str:
    """The Python that the LiteLLM under test runs in: the one beside its command."""
    beside = Path(litellm_command()).with_name("python")
    return str(beside) if beside.exists() else sys.executable


@functools.cache
def litellm_version() -> str:
    """The version of the LiteLLM under test."""
    ask = "import importlib.metadata as m; print(m.version('litellm'))"
    done = subprocess.run([litellm_python(), "-c", ask], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


class Results:
    """Collects outcomes and figures while the tests run, and writes them at the end."""

    def __init__(self, directory: Path | None) -> None:
        self.directory, self.began = directory, time.monotonic()
        self.outcomes: dict[str, set[str]] = {}
        self.reasons: dict[str, str] = {}
        self.figures: dict[str, float] = {}

    def record(self, name: str, value: float) -> None:
        """Of several values under one name the greatest counts."""
        self.figures[name] = max(value, self.figures.get(name, value))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """A feature that the table does not have is a slip of the pen."""
        for item in items:
            for mark in item.iter_markers("feature"):
                unknown = set(mark.args) - set(FEATURES)
                if unknown or not mark.args:
                    known = ", ".join(FEATURES)
                    raise pytest.UsageError(f"{item.nodeid}: feature {unknown or '?'} is none of {known}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Any:
        report: pytest.TestReport = yield
        if report.when == "call" or not report.passed:
            for mark in item.iter_markers("feature"):
                for feature in mark.args:
                    self._outcome(feature, report)
        return report

    def _outcome(self, feature: str, report: pytest.TestReport) -> None:
        """An expected failure is a failure here: the feature is not there."""
        expected = hasattr(report, "wasxfail")
        self.outcomes.setdefault(feature, set()).add("failed" if expected else report.outcome)
        if expected or report.skipped:
            reason = report.wasxfail if expected else report.longrepr
            self.reasons[feature] = str(reason[2] if isinstance(reason, tuple) else reason).removeprefix("Skipped: ")

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """A run that was broken off, or that nothing was marked in, leaves nothing."""
        if self.directory is None or exitstatus > pytest.ExitCode.TESTS_FAILED or not (self.outcomes or self.figures):
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        found = {
            "litellm": litellm_version(),
            "python": sys.version.split()[0],
            "tests": "core" if session.config.option.markexpr == "core" else "all",
            "seconds": round(time.monotonic() - self.began),
            "features": {name: self._verdict(seen) for name, seen in self.outcomes.items()},
            "reasons": self.reasons,
            "figures": self.figures,
        }
        (self.directory / f"{found['litellm']}.json").write_text(json.dumps(found, indent=1) + "\n")

    @staticmethod
    def _verdict(seen: set[str]) -> str:
        """One failure counts more than any success, and a success more than what was skipped."""
        return next(outcome for outcome in ("failed", "passed", "skipped") if outcome in seen)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "feature(name, …): what the test stands for in docs/compatibility.md")
    directory = os.environ.get("COPILOT_TEST_RESULTS")
    config.pluginmanager.register(Results(Path(directory) if directory else None), PLUGIN)


@pytest.fixture
def record_figure(request: pytest.FixtureRequest) -> Callable[[str, float], None]:
    """``record_figure("longest silence, ms", 41)``: a row of the table of figures; the greatest value counts."""
    results = request.config.pluginmanager.get_plugin(PLUGIN)
    assert isinstance(results, Results)
    return results.record
