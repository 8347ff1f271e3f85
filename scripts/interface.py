#!/usr/bin/env python3
"""Compares what users build on with the last release (docs/interface.json): CHANGELOG.md has to name each difference.

scripts/interface.py           show what has been added, changed and removed; exit with 1 if the changelog lacks some
scripts/interface.py --write   a step of a release: what there is now is what later versions are compared with

docs/support.md says what belongs to it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.reference import MAPPING  # noqa: E402
from sidecar import __version__, commands  # noqa: E402
from sidecar.litellm_hot_reload.allowed import PARAMS  # noqa: E402
from sidecar.models.history import KINDS  # noqa: E402
from sidecar.settings import declarations  # noqa: E402
from sidecar.status.metrics import METRICS, RESULTS  # noqa: E402
from sidecar.targets import configmap  # noqa: E402

BASELINE = ROOT / "docs" / "interface.json"
CHANGELOG = ROOT / "CHANGELOG.md"

Interface = dict[str, dict[str, str]]
"""Kind → name → what else is promised of it."""


def interface() -> Interface:
    """What there is now."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    schema = json.loads((ROOT / "docs" / "status-api.schema.json").read_text("utf-8"))["$defs"]
    answers = [_api(name, schema[name]) for name in ("status", "models", "changes")]
    return {
        "setting": {item.name: f"{item.parser.takes or ''}; {item.default or 'not set'}" for item in declarations()},
        "command": dict.fromkeys(commands.COMMANDS, ""),
        "flag": {
            f"{command} {flag}": "optional value" if item.optional else "value" if item.value else "switch"
            for command, (_, flags) in commands.COMMANDS.items()
            for flag, item in flags.items()
        },
        "exit code": {f"exit code {code}": "" for code in commands.EXIT_CODES},
        "metric": {name: kind for name, (kind, _, _) in METRICS.items()},
        "result of a sync": dict.fromkeys(RESULTS, ""),
        "log event": {cells[0]: cells[2] for cells in _rows("logs.md")},
        "status API": {path: kind for answer in answers for path, kind in answer},
        "kind of change": dict.fromkeys(KINDS, ""),
        "key of an entry": dict.fromkeys(MAPPING, ""),
        "key of an override": dict.fromkeys(PARAMS, ""),
        "file": {cells[0]: "" for cells in _rows("files.md")},
        "key of the ConfigMap": dict.fromkeys((configmap.KEY, configmap.ABSENCES_KEY, configmap.HISTORY_KEY), ""),
        "service or volume": dict.fromkeys([*compose["services"], *compose["volumes"]], ""),
    }


def _rows(page: str) -> Iterator[list[str]]:
    """The rows of a page's tables whose first cell begins with a name, one for each name that is no example."""
    for line in (ROOT / "docs" / page).read_text("utf-8").splitlines():
        if line.startswith("| `"):
            first, *others = [cell.strip() for cell in line.strip("|").split("|")]
            for name in re.findall(r"`([^`]+)`", first.partition(" (")[0]):
                yield [name, *(cell.replace("`", "") for cell in others)]


def _api(path: str, schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each property below ``path``, with its type and whether it is always there."""
    for one in (schema, schema.get("items", {}), *schema.get("oneOf", ())):
        for name, below in one.get("properties", {}).items():
            kind = below.get("type") or below.get("enum") or below.get("$ref") or "one of several"
            required = "always" if name in one.get("required", ()) else "sometimes"
            yield f"{path}.{name}", f"{json.dumps(kind)}, {required}"
            yield from _api(f"{path}.{name}", below)


@dataclass(frozen=True)
class Difference:
    """A name that was added, changed or removed."""

    what: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.what}: {self.kind} `{self.name}`"


def differences(before: Interface, now: Interface) -> list[Difference]:
    """What is different now; a new name for the same thing is one that was removed, and one that was added."""
    found = []
    for kind in dict.fromkeys([*before, *now]):
        old, new = before.get(kind, {}), now.get(kind, {})
        found += [Difference("removed", kind, name) for name in old if name not in new]
        found += [Difference("added", kind, name) for name in new if name not in old]
        found += [Difference("changed", kind, name) for name in new if name in old and old[name] != new[name]]
    return found


HEADINGS = {"added": (), "changed": ("Changed",), "removed": ("Changed", "Removed")}
"""Below which headings of the changelog a difference has to stand; none: anywhere."""
DEPRECATED_FIRST = {"setting", "command", "flag", "metric", "status API", "file", "key of the ConfigMap"}


def unnamed(found: list[Difference], changelog: str, released: bool) -> list[str]:
    """The differences that ``changelog`` does not name in the right place of what is unreleased, and what is removed
    though no release has said before that it would be.
    """
    unreleased, _, before = changelog.partition("\n## Unreleased\n")[2].partition("\n## ")
    wrong = []
    for one in found:
        if not _names(unreleased, HEADINGS[one.what], one.name):
            below = " or ".join(f"### {title}" for title in HEADINGS[one.what])
            wrong.append(f"{one}: CHANGELOG.md has to name it in backquotes{below and f', below {below}'}")
        lasting = one.what == "removed" and one.kind in DEPRECATED_FIRST
        if released and lasting and not _names(before, ("Deprecated",), one.name):
            wrong.append(f"{one}: a release has to name it below ### Deprecated before")
    return wrong


def _names(text: str, headings: tuple[str, ...], name: str) -> bool:
    """Whether ``text`` has ``name`` in backquotes, below one of ``headings``."""
    sections = [part.partition("\n") for part in re.split(r"^###? ", f"### \n{text}", flags=re.MULTILINE)[1:]]
    parts = [part for title, _, part in sections if not headings or title.strip() in headings]
    spans = " | ".join(" ".join(span.split()) for part in parts for span in re.findall(r"`([^`]+)`", part))
    return bool(re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)", spans))


def next_version(last: str, found: list[Difference]) -> str:
    """The least that the version after ``last`` may be (semantic versioning; docs/support.md)."""
    major, minor, patch = _numbers(last)
    if major and any(one.what != "added" for one in found):
        return f"{major + 1}.0.0"
    return f"{major}.{minor + 1}.0" if found else f"{major}.{minor}.{patch + 1}"


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def written(release: str | None, now: Interface) -> str:
    """The text of BASELINE; without a release it is what there is before the first one."""
    return json.dumps({"release": release, "interface": now}, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    baseline, now = json.loads(BASELINE.read_text("utf-8")), interface()
    found = differences(baseline["interface"], now)
    least = next_version(baseline["release"], found) if baseline["release"] else __version__
    if write:
        if _numbers(__version__) < _numbers(least):
            print(f"this is {__version__}; after {baseline['release']} it has to be {least} or higher", file=sys.stderr)
            return 1
        BASELINE.write_text(written(__version__, now), "utf-8")
        print(f"{BASELINE.relative_to(ROOT)} is that of {__version__}")
        return 0
    print("\n".join(map(str, found)) or "nothing is different", f"\nthe next version: {least} or higher", sep="")
    wrong = unnamed(found, CHANGELOG.read_text("utf-8"), bool(baseline["release"]))
    print("\n".join(wrong), end="\n" if wrong else "", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
