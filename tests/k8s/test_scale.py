"""The calculation of what the variants cost."""

from __future__ import annotations

import dataclasses
import importlib.util
import subprocess
import sys
from types import ModuleType

import pytest

from tests.support.paths import ROOT

SCRIPT = ROOT / "scripts" / "k8s_scale.py"


@pytest.fixture(scope="module")
def scale() -> ModuleType:
    spec = importlib.util.spec_from_file_location("k8s_scale", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["k8s_scale"] = module
    spec.loader.exec_module(module)
    return module


def test_one_catalog_read_per_interval_however_many_replicas(scale: ModuleType) -> None:
    """The CronJob reads the catalog once per interval whatever the replicas, sidecars once each."""
    a = scale.Assumptions()
    assert {scale.cronjob(replicas, a).catalog_reads for replicas in scale.REPLICAS} == {24}
    assert [scale.sidecar(replicas, a).catalog_reads for replicas in (1, 10, 100)] == [24, 240, 2400]


def test_numbers_that_can_be_checked_by_hand(scale: ModuleType) -> None:
    """Reads, exchanges, requests and bytes are what the arithmetic on paper gives."""
    a = dataclasses.replace(
        scale.Assumptions(), interval=600, changes=10, flickers=0, renewal=1440, object_bytes=100_000, pods_per_node=10
    )
    row = scale.cronjob(100, a)
    assert row.catalog_reads == 144
    assert row.exchanges == 144 + 100 * 60
    assert row.api_requests == 144 + 10 + 10 * 192
    assert row.api_bytes == 154 * 100_000 + 10 * 10 * 100_000
    assert scale.sidecar(100, a).exchanges == 100 * 144 + 100 * 60


def test_both_variants_at_1_10_100_and_10_000(scale: ModuleType) -> None:
    """The table has both variants at four sizes, and delays below two intervals."""
    rows = scale.rows(scale.Assumptions())
    assert [(row.variant, row.replicas) for row in rows] == [
        (variant, replicas) for replicas in (1, 10, 100, 10_000) for variant in ("sidecar", "cronjob")
    ]
    for row in rows:
        assert 0 < row.typical <= row.worst < 2 * scale.Assumptions().interval


def test_it_prints_its_assumptions_and_takes_others() -> None:
    """The command says what it assumes, takes other numbers by flag, and refuses flags that it does not know."""
    words = [sys.executable, str(SCRIPT), "--interval", "900", "--replicas-do-not-exist", "1"]
    assert subprocess.run(words, capture_output=True, timeout=30).returncode == 2
    done = subprocess.run(words[:-2], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    assert "900  seconds between two catalog reads" in done.stdout
    assert done.stdout.count("| cronjob |") == done.stdout.count("| sidecar |") == 4
