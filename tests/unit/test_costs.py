"""What a sync of a fixed catalog and an edit of a fixed config cost, in calls: a slow-down fails on any machine.

The figures are those of Python 3.11, which calls more than newer ones. A change that needs more has to be worth it.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sidecar.config.diff import unified
from sidecar.config.edit import update_config
from sidecar.config.file import sync_config
from sidecar.service.sync import Session, run_once
from tests.fakes.catalog import model, tier, tiered
from tests.support.counts import calls
from tests.support.entries import entries_of
from tests.support.paths import ROOT
from tests.support.waiting import Quick

MARGIN = 1.2
PRICES = tiered(tier(300, 1500, 30, cache_write_price=375, max_prompt_tokens=200_000), tier(600, 2250, 60))
CATALOG = [model(f"m-{number}", billing=PRICES, reasoning=["low", "high"], vision=True) for number in range(42)]
CHANGED = [model("m-0", context=64_000, billing=PRICES), *CATALOG[1:]]
HAND = "".join(f"- model_name: h{n}  # mine\n  litellm_params: {{model: openai/h{n}}}\n" for n in range(200))

SELDOM = {
    *("sidecar.config.edit", "sidecar.targets.kubernetes", "sidecar.user_command", "sidecar.logfile"),
    *("difflib", "html", "pickle", "ctypes", "subprocess", "argparse"),
}
"""What few syncs need."""
IMPORTS = """
import importlib, requests, yaml, tenacity, pythonjsonlogger
from tests.support.counts import calls
print(calls(lambda: importlib.import_module("sidecar.cli.sync")))
"""


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("sidecar.cli", {"requests", "yaml", "tenacity", "argparse"}),
        ("sidecar.status.healthcheck", {"requests", "yaml", "tenacity", "argparse"}),
        ("sidecar.cli.sync", {*SELDOM, "sidecar.status"}),
        ("sidecar.cli.service", {*SELDOM, "sidecar.status.page"}),
    ],
)
def test_what_is_not_needed_is_not_imported(module, without):
    """A command does not wait for what others need, nor does the service keep it in memory."""
    command = [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert module in done.stdout.split() and without & set(done.stdout.split()) == set()


def test_the_imports_of_a_sync():
    """Not a fifth more calls than when it was measured, besides those of the four packages: half of a short sync."""
    done = subprocess.run([sys.executable, "-c", IMPORTS], cwd=ROOT, capture_output=True, text=True, check=True)
    print(f"imports: {done.stdout} calls")
    assert int(done.stdout) <= MARGIN * 35_300


@pytest.fixture
def counted(bench):
    """The calls of the service's syncs: the first, the second, which finds its record, more, and one with a change."""
    bench.gh.set_catalog(CATALOG)
    bench.log_in()
    settings, session = bench.settings(), Session()

    def sync() -> int:
        return calls(lambda: run_once(settings, Quick(), session))

    found = {"the first sync": sync(), "the second": sync(), "one without a change": sync()}
    bench.gh.set_catalog(CHANGED)
    return {**found, "one with a change": sync()}


@pytest.mark.parametrize(
    ("what", "most"),
    [
        ("the first sync", 112_500),
        ("the second", 38_600),
        ("one without a change", 800),
        ("one with a change", 217_500),
    ],
)
def test_a_sync_of_42_models(counted, what, most):
    """Not a fifth more calls than when it was measured."""
    print(f"{what}: {counted[what]} calls")
    assert counted[what] <= MARGIN * most


@pytest.mark.parametrize(("what", "most"), [("nothing", 853_000), ("a model", 1_024_000), ("every model", 1_029_000)])
def test_an_edit_of_a_config(what, most):
    """42 managed entries after 200 that somebody has written: not a fifth more calls than when it was measured."""
    before = update_config(b"model_list:\n" + HAND.encode(), entries_of(CATALOG)).text
    every = [model(item["id"], context=64_000, billing=PRICES) for item in CATALOG]
    wanted = entries_of({"nothing": CATALOG, "a model": CHANGED, "every model": every}[what])
    count = calls(lambda: unified(before, update_config(before, wanted).text, "before", "after"))
    print(f"{what} changes: {count} calls")
    assert count <= MARGIN * most


def test_an_update_of_a_config_file(tmp_path):
    """Its text is plain: read with PyYAML's parser in Python as well, it would take four times as many calls."""
    config = tmp_path / "config.yaml"
    config.write_bytes(update_config(b"model_list:\n" + HAND.encode(), entries_of(CATALOG)).text)
    os.utime(config, (1e9, 1e9))
    count = calls(lambda: sync_config(config, entries_of(CHANGED)))
    print(f"{count} calls")
    assert count <= MARGIN * 526_000
