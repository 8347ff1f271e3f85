#!/usr/bin/env python3
"""Writes docs/compatibility.md: what the tests showed of each LiteLLM, Kubernetes and Python, and what they measured.

scripts/compatibility.py           write the page from build/compatibility, where scripts/test.sh leaves *.jsonl of
                                   LiteLLM versions, and scripts/pythons.sh *.xml of Pythons
scripts/compatibility.py --check   end with 1 unless the page names exactly the versions of the list
--results DIR, --output FILE       other places

A version that was not run keeps what the page shows of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.litellm_versions import IMAGE, Version, versions  # noqa: E402

PAGE = ROOT / "docs" / "compatibility.md"
RESULTS = ROOT / "build" / "compatibility"

FEATURES = {
    "follows": "models that are added to or leave the models file do so in every worker, under load, without a failure",
    "updates": "a changed price or limit of a known model arrives",
    "guards": "nothing on LiteLLM's event loop waits for GitHub, however GitHub fails",
    "early refusal": "a token that Copilot refuses before its end is replaced",
    "per-user": "each user's own seat, by `COPILOT_CREDENTIAL_NAME`",
    "config followed": "a LiteLLM config as a whole is followed, by `COPILOT_FOLLOW_CONFIG`",
}
SIGNS = {"passed": "yes", "failed": "**no**", "skipped": "–"}
NOT_RUN = "not run"

WORKFLOW = "not run here: `.github/workflows/ci.yml`"
PYTHONS = {
    "3.11": "all other tests, on every LiteLLM above",
    "3.12": "",
    "3.13": "the sidecar in its image: `tests/containers`, `tests/k8s`",
    "3.14": "",
}
"""The Pythons that are promised, and what runs on each besides the unit tests."""
SCHEMAS = "`k8s/test_manifests.py::test_strict_schema_of_every_version`"
KUBERNETES = {
    "1.20": ("older than any that is promised", "all tests of `tests/k8s` that take a cluster, on one of one node"),
    "1.25 to 1.28": (f"[k8s/sidecar-plain](../k8s/sidecar-plain): {SCHEMAS}", "not run"),
    "1.29, 1.31, 1.33, 1.35, 1.37": (f"everything: {SCHEMAS}", WORKFLOW),
    "1.30, 1.32, 1.34, 1.36": (f"everything: {SCHEMAS}", "not run"),
}
"""By the minor versions: what their schemas say of the manifests, and what ran on a cluster of them."""

PAGE_TEXT = """\
# Compatibility

Written by `scripts/compatibility.py` from runs of the tests; edit the tests, not this page. How long a version stays
here is in [support.md](support.md).

## LiteLLM

The list of versions is [requirements-litellm/versions.txt](../requirements-litellm/versions.txt): all tests run on the
newest, and on the others a core of them. A version that is not here has not been run.

### Which one to take

Compose file and manifests start `{image}`, and no moving tag: the release that the
tests of containers and cluster run with, of the line that LiteLLM calls LTS and goes on patching (its tag `lts`), older
than the new core of its router. Another one is a variable away: in `.env`, or in an overlay's `images` on Kubernetes
([k8s/example](../k8s/example)).

| | |
|---|---|
| the newest that all tests ran on | `LITELLM_IMAGE={newest}` |
| the newest patch of the long-term line | `LITELLM_IMAGE={name}:lts` |
| whatever is newest | `LITELLM_IMAGE={name}:main-stable` |

The last two move without us. A workflow of this repository tries the newest release and `main-stable` every night and
opens an issue when something breaks (`.github/workflows/litellm-nightly.yml`). The tests here take each release from
PyPI, in an image of the same layout; that the registry has the tags is what LiteLLM's release notes say.

### What works

{features}

{legend}
{notes}
Each column is held by the tests of [tests/litellm](../tests/litellm) with its mark, `@pytest.mark.feature("follows")`.

### What was measured

Seconds and bytes depend on the machine; compare within a row. The last two rows say which tests ran and for how long.

{figures}

## Kubernetes

| Kubernetes | its schemas fit | run on a cluster |
|---|---|---|
{kubernetes}

1.20 is what there is to run them on here, rewritten where that needs it: it has no native sidecars, does not enforce
network policies, and knows some of the objects by older versions of their API (`tests/k8s/manifests.py`). The workflow
takes the manifests as they are, to clusters made by kind (`tests/k8s/kind-nodes.txt`).
[kubernetes.md](kubernetes.md) says which variant needs what.

## Python

Unit tests of what needs no LiteLLM (models, prices, settings, clients, commands), as `scripts/pythons.sh` ran them. The
workflow runs all of tests/unit, tests/faults and tests/fuzz on each. The hook runs in LiteLLM's own Python.

{pythons}
"""


@dataclass
class Run:
    """What a run of the tests showed of one version: a column of both tables, as text."""

    features: dict[str, str] = field(default_factory=dict)
    figures: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def verdict(seen: set[str]) -> str:
    """One failure counts more than any success, and a success more than what was skipped."""
    return next(outcome for outcome in ("failed", "passed", "skipped") if outcome in seen)


def load(directory: Path) -> dict[str, Run]:
    """The runs whose results are in ``directory``, by version: a file each, with a line for each part of the run."""
    found = {}
    for file in sorted(directory.glob("*.jsonl")):
        parts: list[dict[str, Any]] = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        number, seen, measured, notes = parts[0]["litellm"], dict[str, set[str]](), dict[str, float](), list[str]()
        for part in parts:
            for name, outcome in part["features"].items():
                seen.setdefault(name, set()).add(outcome)
            for name, value in part["figures"].items():
                measured[name] = max(value, measured.get(name, value))
            notes += [f"{number}, {name}: {reason}" for name, reason in part["reasons"].items()]
        figures = {name: f"{value:.4g}" for name, value in measured.items()}
        figures |= {"tests": parts[0]["tests"], "minutes": f"{sum(part['seconds'] for part in parts) / 60:.1f}"}
        found[number] = Run({name: SIGNS[verdict(outcomes)] for name, outcomes in seen.items()}, figures, notes)
    return found


def load_pythons(directory: Path) -> dict[str, list[str]]:
    """By the minor version of Python: its full version, and how many unit tests passed, were skipped and failed."""
    found = {}
    for file in sorted(directory.glob("python-*.xml")):
        number = file.stem.removeprefix("python-")
        suite = next(ET.parse(file).iter("testsuite")).attrib  # noqa: S314  # it is ours
        skipped, failed = int(suite["skipped"]), int(suite["failures"]) + int(suite["errors"])
        counts = [int(suite["tests"]) - skipped - failed, skipped, failed]
        found[number.rpartition(".")[0]] = [number, *map(str, counts)]
    return found


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table below ``heading``, without the line under its head."""
    section = text.partition(f"# {heading}\n")[2].partition("\n#")[0]
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return found[:1] + found[2:]


def read_pythons(text: str) -> dict[str, list[str]]:
    """What a page shows of Pythons, as ``load_pythons`` returns it."""
    return {row[0]: row[1:5] for row in rows(text, "Python")[1:] if row[1] != WORKFLOW}


def read(text: str) -> dict[str, Run]:
    """The runs that a page shows."""
    found: dict[str, Run] = {}
    features, figures = rows(text, "What works"), rows(text, "What was measured")
    if not (features and figures):
        return {}
    for row in features[1:]:
        cells = zip(features[0][1:], row[1:], strict=True)
        found[row[0].split()[0]] = Run({name: cell for name, cell in cells if cell != NOT_RUN and name in FEATURES})
    for row in figures[1:]:
        for number, cell in zip(figures[0][1:], row[1:], strict=True):
            if cell and number in found:
                found[number].figures[row[0]] = cell
    for line in text.splitlines():
        number = line.removeprefix("- ").partition(",")[0]
        if line.startswith("- ") and number in found:
            found[number].notes.append(line[2:])
    return found


def table(rows: list[list[str]]) -> str:
    head, *others = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *others])


def page(listed: list[Version], runs: dict[str, Run], pythons: dict[str, list[str]]) -> str:
    """The page for the versions of the list, with what ran on which Python."""
    columns = [runs.get(version.number, Run()) for version in listed]
    features = [["LiteLLM", *FEATURES]]
    for version, run in zip(listed, columns, strict=True):
        role = "" if version.role == "-" else f" ({version.role})"
        features.append([version.number + role, *(run.features.get(name, NOT_RUN) for name in FEATURES)])
    last = ["tests", "minutes"]
    names = list(dict.fromkeys(name for run in columns for name in run.figures if name not in last))
    figures = [["", *(version.number for version in listed)]]
    figures += [[name, *(run.figures.get(name, "") for run in columns)] for name in [*names, *last]]
    notes = dict.fromkeys(note for run in columns for note in run.notes)
    images = {version.role: f"{IMAGE}:v{version.number}" for version in listed}
    return PAGE_TEXT.format(
        name=IMAGE,
        image=images["default"],
        newest=images["newest"],
        features=table(features),
        legend="\n".join(f"- **{name}**: {text}." for name, text in FEATURES.items()),
        notes="\n" + "".join(f"- {note}\n" for note in notes) if notes else "",
        figures=table(figures),
        kubernetes="\n".join(f"| {' | '.join([number, *cells])} |" for number, cells in KUBERNETES.items()),
        pythons=table(
            [
                ["Python", "which one", "passed", "skipped", "failed", "and besides"],
                *([name, *pythons.get(name, [WORKFLOW, "", "", ""]), besides] for name, besides in PYTHONS.items()),
            ]
        ),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--output", type=Path, default=PAGE)
    args = parser.parse_args()
    listed = versions()
    text = PAGE.read_text("utf-8") if PAGE.exists() else ""
    shown = read(text)
    if args.check:
        if list(shown) == [version.number for version in listed]:
            return 0
        print(f"{PAGE.relative_to(ROOT)} shows {', '.join(shown) or 'nothing'}; the list has", file=sys.stderr)
        print(f"  {', '.join(version.number for version in listed)}: run scripts/matrix.sh", file=sys.stderr)
        return 1
    ran = load(args.results)
    pythons = read_pythons(text) | load_pythons(args.results)
    args.output.write_text(page(listed, shown | ran, pythons), "utf-8")
    unknown = set(ran) - {version.number for version in listed}
    print(f"{args.output} is written, from runs of {', '.join(ran) or 'none'}")
    if unknown:
        print(f"left out, because the list does not have it: {', '.join(sorted(unknown))}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
