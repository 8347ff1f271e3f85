"""What users build on changes only as the changelog says, and as semantic versioning allows."""

from __future__ import annotations

import json
import re

import pytest

from scripts.interface import BASELINE, CHANGELOG, Difference, differences, interface, next_version, unnamed
from sidecar import __version__

BEFORE = {
    "setting": {"COPILOT_A": "number; 1", "COPILOT_OLD": "text; not set"},
    "flag": {"sync --now": "switch"},
    "log event": {"a.gone": "", "a.stays": "hint"},
}
NOW = {
    "setting": {"COPILOT_A": "number; 2", "COPILOT_NEW": "text; not set"},
    "flag": {"sync --now": "switch", "sync --later": "value"},
    "log event": {"a.stays": "hint"},
}
FOUND = differences(BEFORE, NOW)
NAMED = """# Changelog

## Unreleased

- `COPILOT_NEW` is what `COPILOT_OLD` was; `sync --later
  TIME` waits.

### Changed

- `COPILOT_A=2` from the start.

### Removed

- `COPILOT_OLD` and `a.gone`.

## 0.2.0

### Deprecated

- `COPILOT_OLD`: set `COPILOT_NEW`.
"""


def test_the_changelog_names_each_difference() -> None:
    """What was added, changed or removed since the last release stands in the changelog, in the right place."""
    baseline = json.loads(BASELINE.read_text("utf-8"))
    found = differences(baseline["interface"], interface())
    wrong = unnamed(found, CHANGELOG.read_text("utf-8"), bool(baseline["release"]))
    assert wrong == [], "\n".join(wrong)


def test_the_comparison_is_with_the_last_release() -> None:
    """The page of a release is compared with, or, before the first one, what there was when this began."""
    release = json.loads(BASELINE.read_text("utf-8"))["release"]
    versions = re.findall(r"^## (\d+\.\d+\.\d+)", CHANGELOG.read_text("utf-8"), re.MULTILINE)
    assert versions[0] == __version__
    assert (release or "0.1.0") == versions[0], "run scripts/interface.py --write"


def test_all_of_it_is_read() -> None:
    """Each kind has names: a page whose form has changed does not count as one without any."""
    found = interface()
    assert all(found.values())
    assert {"COPILOT_MODELS_FILE", "CONFIG_FILE"} <= found["setting"].keys()
    assert "status.workers.digest" in found["status API"] and "models.models.prices" in found["status API"]
    assert found["log event"]["service.failed"] and ".NAME.leader" in found["file"]


def test_what_is_different() -> None:
    """A new name for a thing is one that was removed and one that was added; another default is a change."""
    assert differences(BEFORE, NOW) == [
        Difference("removed", "setting", "COPILOT_OLD"),
        Difference("added", "setting", "COPILOT_NEW"),
        Difference("changed", "setting", "COPILOT_A"),
        Difference("added", "flag", "sync --later"),
        Difference("removed", "log event", "a.gone"),
    ]
    assert differences(NOW, NOW) == []


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("", "", []),
        ("`COPILOT_NEW` is", "`COPILOT_NEWER` is", ["COPILOT_NEW"]),
        ("`COPILOT_NEW` is", "COPILOT_NEW is", ["COPILOT_NEW"]),
        ("`sync --later", "`sync -- later", ["sync --later"]),
        ("### Changed", "### Added", ["COPILOT_A"]),
        ("### Removed", "### Fixed", ["COPILOT_OLD", "a.gone"]),
        ("### Deprecated", "### Added", ["COPILOT_OLD"]),
        (
            "- `COPILOT_NEW` is what `COPILOT_OLD` was; `sync --later\n  TIME` waits.",
            "",
            ["COPILOT_NEW", "sync --later"],
        ),
    ],
)
def test_a_changelog_that_lacks_something(old: str, new: str, wrong: list[str]) -> None:
    """Each difference has its place; a setting goes only after a release has said that it will, an event at once."""
    assert old in NAMED
    found = unnamed(FOUND, NAMED.replace(old, new, 1), released=True)
    assert [re.sub(r".*`(.*)`:.*", r"\1", line) for line in found] == wrong


def test_before_the_first_release_nothing_has_to_be_announced() -> None:
    """Where there is no release, none can have said what goes."""
    assert unnamed(FOUND, NAMED.replace("### Deprecated", "### Added"), released=False) == []


@pytest.mark.parametrize(
    ("last", "found", "version"),
    [
        ("0.1.3", [], "0.1.4"),
        ("0.1.3", FOUND, "0.2.0"),
        ("1.4.2", [], "1.4.3"),
        ("1.4.2", [Difference("added", "flag", "sync --later")], "1.5.0"),
        ("1.4.2", FOUND, "2.0.0"),
    ],
)
def test_the_next_version(last: str, found: list[Difference], version: str) -> None:
    """Mends count the patch up, additions the minor; what breaks counts the major up, before 1.0 the minor."""
    assert next_version(last, found) == version
