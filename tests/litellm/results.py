"""Records what a test run shows of a LiteLLM version, for the table in docs/compatibility.md.

A test says with ``@pytest.mark.feature("follows")`` what it stands for, and with the fixture ``record_figure`` what it
measured. At the end of a run with COPILOT_TEST_RESULTS set, a directory, a line with both is added to VERSION.jsonl
there; scripts/compatibility.py makes the page of these files.
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

import pytest

from scripts.compatibility import FEATURES, verdict

from .proxy import litellm_command

FEATURE, FIGURE = "feature", "figure"


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
    """Collects outcomes and figures from the reports, also from those of other processes, and adds them at the end."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.began = directory, time.monotonic()
        self.outcomes: dict[str, set[str]] = {}
        self.reasons: dict[str, str] = {}
        self.figures: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        for name, value in report.user_properties:
            if name == FEATURE:
                self._outcome(str(value), report)
            if name == FIGURE:
                figure, number = value
                self.figures[figure] = max(number, self.figures.get(figure, number))

    def _outcome(self, feature: str, report: pytest.TestReport) -> None:
        """An expected failure is a failure here: the feature is not there."""
        expected = hasattr(report, "wasxfail")
        self.outcomes.setdefault(feature, set()).add("failed" if expected else report.outcome)
        if expected or report.skipped:
            reason = report.wasxfail if expected else report.longrepr
            self.reasons[feature] = str(reason[2] if isinstance(reason, tuple) else reason).removeprefix("Skipped: ")

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """A run that was broken off, or that nothing was marked in, leaves nothing."""
        if exitstatus > pytest.ExitCode.TESTS_FAILED or not (self.outcomes or self.figures):
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        found = {
            "litellm": litellm_version(),
            "python": sys.version.split()[0],
            "tests": "core" if session.config.option.markexpr.startswith("core") else "all",
            "seconds": round(time.monotonic() - self.began),
            "features": {name: verdict(seen) for name, seen in self.outcomes.items()},
            "reasons": self.reasons,
            "figures": self.figures,
        }
        with (self.directory / f"{found['litellm']}.jsonl").open("a") as file:
            file.write(json.dumps(found) + "\n")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A feature that the table does not have is a slip of the pen."""
    for item in items:
        for mark in item.iter_markers("feature"):
            unknown = set(mark.args) - set(FEATURES)
            if unknown or not mark.args:
                known = ", ".join(FEATURES)
                raise pytest.UsageError(f"{item.nodeid}: feature {unknown or '?'} is none of {known}")
            item.user_properties += [(FEATURE, feature) for feature in mark.args]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "feature(name, …): what the test stands for in docs/compatibility.md")
    directory = os.environ.get("COPILOT_TEST_RESULTS")
    if directory and not hasattr(config, "workerinput"):  # with -n, the process that has everybody's reports
        config.pluginmanager.register(Results(Path(directory)))


@pytest.fixture
def record_figure(record_property: Callable[[str, object], None]) -> Callable[[str, float], None]:
    """``record_figure("longest silence, ms", 41)``: a row of the table of figures; the greatest value counts."""
    return lambda name, value: record_property(FIGURE, (name, value))
