"""The forms for issues and pull requests: GitHub ignores a form with a mistake, without telling anybody."""

from __future__ import annotations

import re

import pytest
import yaml

from sidecar.commands import COMMANDS
from tests.support.paths import ROOT

GITHUB = ROOT / ".github"
CHOOSER = GITHUB / "ISSUE_TEMPLATE" / "config.yml"
FORMS = sorted({*CHOOSER.parent.iterdir()} - {CHOOSER})
TEXTS = {"label", "description", "placeholder", "value"}
KEYS = {"name", "description", "body", "title", "labels", "assignees"}
ATTRIBUTES = {
    "markdown": ({"value"}, set()),
    "input": ({"label"}, TEXTS),
    "textarea": ({"label"}, TEXTS | {"render"}),
    "dropdown": ({"label", "options"}, {"description", "multiple", "default"}),
    "checkboxes": ({"label", "options"}, {"description"}),
}
"""By the type of an element: the attributes that it must and that it may have (GitHub's "Syntax for form schema")."""


def problems(text: str) -> list[str]:
    """What GitHub would refuse of a form."""
    form = yaml.safe_load(text)
    found = [f"{key}: missing" for key in ("name", "description", "body") if not form.get(key)]
    found += [
        f"{key}: unknown" for key in form.keys() - {"name", "description", "body", "title", "labels", "assignees"}
    ]
    for element in form.get("body", []):
        where = element.get("id") or element["type"]
        must, may = ATTRIBUTES[element["type"]]
        attributes, checks = element["attributes"], element.get("validations", {})
        found += [f"{where}: no {key}" for key in must - attributes.keys()]
        found += [f"{where}: {key} is unknown" for key in attributes.keys() - must - may]
        found += [f"{where}: {key} is unknown" for key in element.keys() - {"type", "id", "attributes", "validations"}]
        found += [f"{where}: {key} is unknown" for key in checks.keys() - {"required"}]
        texts = [value for key, value in attributes.items() if key not in {"options", "multiple", "default"}]
        found += [f"{where}: {text!r} is no text" for text in texts if not isinstance(text, str) or not text.strip()]
        options = attributes.get("options", ["one"])
        if element["type"] == "checkboxes":
            found += [f"{where}: {one}" for one in options if one.keys() - {"required"} != {"label"}]
            options = [one.get("label") for one in options]
        if not options or not all(isinstance(one, str) for one in options) or len({*options}) < len(options):
            found.append(f"{where}: options {options}")
        if not re.fullmatch(r"[\w-]+", where):
            found.append(f"{where}: not an id")
    for key in ("id", "label"):
        given = [element.get(key) or element["attributes"].get(key) for element in form.get("body", [])]
        found += [f"{key} {name}: twice" for name in {*given} if name and given.count(name) > 1]
    if all(element["type"] == "markdown" for element in form.get("body", [])):
        found.append("body: nothing to fill in")
    return found


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_a_form_is_one(form):
    """GitHub takes it, and it asks for what `doctor --json` prints."""
    text = form.read_text("utf-8")
    assert problems(text) == []
    elements = {element.get("id"): element for element in yaml.safe_load(text)["body"]}
    assert "`doctor --json`" in elements["doctor"]["attributes"]["label"] and "--json" in COMMANDS["doctor"][1]
    assert elements["doctor"]["attributes"]["render"] == "json"


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("description: A wrong", "about: A wrong", "description: missing"),
        ("id: steps", "id: what", "id what: twice"),
        ("label: How to see it", "label: Log lines", "label Log lines: twice"),
        ("id: where", "id: where it is", "where it is: not an id"),
        ("      render: text", "      rendered: text", "logs: rendered is unknown"),
        ("      label: How you run it\n", "", "where: no label"),
        ("options: [Compose file,", "options: [Something else,", "options ['Something else'"),
        ("          required: true", "          needed: true", "safe: {"),
        ("    validations:\n      required: true", "    validations:\n      needed: true", "what: needed is unknown"),
        ("label: Before you send it", "label: 7", "safe: 7 is no text"),
    ],
)
def test_a_form_with_a_mistake_is_found(old, new, found):
    """Each rule of GitHub's finds what breaks it."""
    text = FORMS[0].read_text("utf-8")
    assert old in text
    assert found in "\n".join(problems(text.replace(old, new, 1)))


def test_there_is_a_private_way_for_vulnerabilities():
    """Whoever opens an issue has to choose: a form, or a link; one of them is for vulnerabilities."""
    chooser = yaml.safe_load(CHOOSER.read_text("utf-8"))
    assert chooser.keys() == {"blank_issues_enabled", "contact_links"} and chooser["blank_issues_enabled"] is False
    for link in chooser["contact_links"]:
        assert link.keys() == {"name", "url", "about"} and link["url"].startswith("https://")
    assert "SECURITY.md" in chooser["contact_links"][0]["about"]


def test_what_the_forms_and_the_recipes_name_is_there():
    """Files and flags that forms, template and CONTRIBUTING.md send people to."""
    files = [*FORMS, CHOOSER, GITHUB / "pull_request_template.md", ROOT / "CONTRIBUTING.md"]
    text = "".join(file.read_text("utf-8") for file in files)
    names = {name.rstrip("/.") for name in re.findall(r"(?<![\w/-])(?:scripts|docs|tests|sidecar)/[\w./-]+", text)}
    assert len(names) > 40
    assert [name for name in sorted(names) if not (ROOT / name).exists()] == []
    assert set(re.findall(r"doctor (--\w+)", text)) <= COMMANDS["doctor"][1].keys()
