#!/usr/bin/env python3
"""Writes docs/compatibility.md: what the tests showed of each LiteLLM version, and what they measured.

scripts/compatibility.py           write the page from build/compatibility/*.jsonl, which scripts/test.sh leaves there
scripts/compatibility.py --check   end with 1 unless the page names exactly the versions of the list
--results DIR, --output FILE       other places

A version that is in the list, but was not run, keeps the columns that it has on the page.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
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

PAGE_TEXT = """\
# LiteLLM versions

Written by `scripts/compatibility.py` from runs of the tests; edit the tests, not this page. The list of versions is
[requirements-litellm/versions.txt](../requirements-litellm/versions.txt): all tests run on the newest, and on the
others a core of them. A version that is not here has not been run.

## Which one to take

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

## What works

{features}

{legend}
{notes}
## What was measured

Seconds and bytes depend on the machine; compare within a row. The last two rows say which tests ran and for how long.

{figures}
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


def read(text: str) -> dict[str, Run]:
    """The runs that a page shows."""
    found: dict[str, Run] = {}
    tables = [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    ]
    if len(tables) != 3:
        return {}
    _, features, figures = tables
    for row in features[2:]:
        cells = zip(features[0][1:], row[1:], strict=True)
        found[row[0].split()[0]] = Run({name: cell for name, cell in cells if cell != NOT_RUN and name in FEATURES})
    for row in figures[2:]:
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


def page(listed: list[Version], runs: dict[str, Run]) -> str:
    """The page for the versions of the list."""
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
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--output", type=Path, default=PAGE)
    args = parser.parse_args()
    listed = versions()
    shown = read(PAGE.read_text("utf-8")) if PAGE.exists() else {}
    if args.check:
        if list(shown) == [version.number for version in listed]:
            return 0
        print(f"{PAGE.relative_to(ROOT)} shows {', '.join(shown) or 'nothing'}; the list has", file=sys.stderr)
        print(f"  {', '.join(version.number for version in listed)}: run scripts/matrix.sh", file=sys.stderr)
        return 1
    ran = load(args.results)
    args.output.write_text(page(listed, shown | ran), "utf-8")
    unknown = set(ran) - {version.number for version in listed}
    print(f"{args.output} is written, from runs of {', '.join(ran) or 'none'}")
    if unknown:
        print(f"left out, because the list does not have it: {', '.join(sorted(unknown))}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
