"""The bench itself: verdicts, ratios, exponents and the page; and that README has no figure without a line there."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from scripts import bench
from tests.bench.figures import Figure, exponent, number, percentile, spread, text_table
from tests.bench.page import PROMISED, Run, page
from tests.support.paths import ROOT

FIGURE = Figure("silence", "ms", (30, 20, 90), {"restart": (9000,), "unchanged": (25,)}, 50, {"restart": 0.01})


def test_verdict() -> None:
    """The median counts, every limit has to be kept, and nothing is said of what could not be compared."""
    assert (FIGURE.verdict, FIGURE.target) == ("reached", "≤ 50 ms, ≤ 0.01 × restart")
    assert FIGURE.ratio("unchanged") == pytest.approx(1.2)
    for changes, verdict in (
        ({"most": 29}, "missed"),
        ({"ratios": {"restart": 0.003}}, "missed"),
        ({"ratios": {"restart": 0.01, "nobody": 0.01}}, ""),
        ({"most": None, "ratios": {}}, ""),
        ({"against": {"restart": (0,)}}, "missed"),
    ):
        assert Figure(**{**asdict(FIGURE), **changes}).verdict == verdict, changes
    assert Figure("failed", "", (0,), {"restart": (0,)}, most=0, ratios={"restart": 1}).verdict == "reached"


def test_numbers() -> None:
    """Costs that grow with a power of the size give that power; medians, spreads and percentiles are those of all."""
    assert exponent({10: 2, 100: 20, 1000: 200}) == pytest.approx(1)
    assert exponent({10: 3, 20: 12, 40: 48}) == pytest.approx(2)
    assert percentile(range(1, 101), 0.99) == 99 and percentile([5], 0.99) == 5
    assert [number(value) for value in (0, 0.01234, 12.34, 1234.5, 3)] == ["0", "0.0123", "12.3", "1,234", "3"]
    assert (spread((3, 1, 2)), spread((4,))) == ("2 (1 to 3)", "4")


def test_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three runs the page shows the last two, with both verdicts where they differ; so does what is printed."""
    monkeypatch.setattr(bench, "RUNS", tmp_path)
    monkeypatch.setattr(bench, "ROWS", ("silence",))
    for day, most in enumerate((1, 25, 50), 1):
        at = f"2026-11-{day:02}T12:00:00+00:00"
        figure = Figure(**{**asdict(FIGURE), "most": most, "values": (30 + day,)})
        run = Run("silence", at, 0.5, 60, "A machine", (figure,), ("the rest, for lack of time",))
        (tmp_path / f"{day}.json").write_text(json.dumps(asdict(run)))
    runs = bench.stored()
    assert [run.figures[0].most for run in runs["silence"]] == [1, 25, 50]
    text = page({"silence": "What it is.", "never": "Why not."}, runs)
    assert "## never\n\nWhy not.\n\nNot run yet." in text
    assert "2026-11-01" not in text and "2026-11-02 12:00, 0.5 | 0 | 1 |" in text and "2026-11-03" in text
    row = "| silence | ms | 32 | 33 | restart: 9,000, 0.00367 ×<br>unchanged: 25, 1.32 × "
    assert f"{row}| ≤ 50 ms, ≤ 0.01 × restart | missed and reached |" in text
    assert "Not measured: the rest" in text and "What it is." in text
    assert re.search(r"silence +33 ms +≤ 50 ms, .* reached\n +restart +9,000 ms +0.00367 ×", text_table(run.figures))


def test_every_row_says_what_it_is() -> None:
    """Each has a text for the page, and the page has each."""
    shown = bench.PAGE.read_text("utf-8")
    for row in bench.ROWS:
        assert f"\n## {row}\n\n{bench.text(row).strip()}\n" in shown


def test_no_figure_without_a_line() -> None:
    """Each time, size and number of requests in README is explained on the page, by a row or a test that there is."""
    found = re.findall(r"\b\d[\d,.]* (?:ms|s|kB|MB|MiB|GB|requests)\b", (ROOT / "README.md").read_text("utf-8"))
    assert len(found) >= 3
    shown = bench.PAGE.read_text("utf-8")
    for figure in found:
        assert any(said.startswith(figure) for said in PROMISED), figure
    for said, where in PROMISED.items():
        assert f"| {said} | {where} |" in shown and said in (ROOT / "README.md").read_text("utf-8").replace("\n  ", " ")
        assert set(re.findall(r"\]\(#(\w+)\)", where)) <= set(bench.ROWS)
        assert all((ROOT / name).exists() for name in re.findall(r"`((?:tests|scripts)/[\w./]+)", where))
