"""docs/messages.md has every message of the code, and what to do about it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from scripts import messages
from tests.support.paths import ROOT

FORMS = {
    "an exception": 'raise UsageError(f"{path} is no file of ours", hint="Name another.")',
    "one that is returned": 'def f():\n    return LoginNeeded("the door is locked")',
    "one of a hook's own": 'raise NoMasterKey(f"the key {path} is bent")',
    "a log line": 'log.warning("the disk %s is full", path)',
    "a log line with more above": 'def f():\n    more = {"hint": "Free it."}\n    log.error("no room", extra=more)',
    "a reason that is returned": 'def f() -> str:\n    return f"took {n} days" if n else "ended too soon"',
    "a reason that is assigned": 'self.problem = f"the file {path} is gone"',
    "notes": 'notes.append(f"the alias {name} is new")\nproblems = ["a list of", *others]',
    "what cannot be done to a file": 'with storage_errors(path, "read", kind="the ledger"):\n    pass',
    "a table": '_REASONS = {1: "the first of two", 2: "the second of two"}',
}
SAID = {
    "an exception": {"… is no file of ours": "Name another."},
    "one that is returned": {"the door is locked": messages.errors.LoginNeeded.default_hint},
    "one of a hook's own": {"the key … is bent": ""},
    "a log line": {"the disk … is full": ""},
    "a log line with more above": {"no room": "Free it."},
    "a reason that is returned": {"took … days": "", "ended too soon": ""},
    "a reason that is assigned": {"the file … is gone": ""},
    "notes": {"the alias … is new": "", "a list of": ""},
    "what cannot be done to a file": {"the ledger … cannot be read: …": messages.SYSTEM},
    "a table": {"the first of two": "", "the second of two": ""},
}
PYTHONS = ("argument command: invalid choice", "the following arguments are required")
"""Messages of Python's own parser of arguments."""
SHELL = """
refuse "the house $1 is shut" "Open it."
say "there is no \\`tea\\`"
  say "buy $some"
  exit 2
echo "all is well"
echo "nothing is well" >&2
"""


def page() -> str:
    return messages.PAGE.read_text("utf-8")


def test_the_page_is_up_to_date() -> None:
    """It is what scripts/messages.py makes of the code; each message has a cure, and each cure a message."""
    whole, wrong = messages.cured(messages.messages(), yaml.safe_load(messages.CURES.read_text("utf-8")))
    assert wrong == []
    assert page() == messages.page(whole)
    assert len(whole) > 350


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_a_message_is_seen(form: str, tmp_path: Path) -> None:
    """What a new message may look like, with the hint that the code has for it."""
    (tmp_path / "sidecar" / "service").mkdir(parents=True)
    (tmp_path / "sidecar" / "service" / "new.py").write_text(FORMS[form], "utf-8")
    assert {message.text: message.cure for message in messages.messages(tmp_path)} == SAID[form]
    uncured, wrong = messages.cured(messages.messages(tmp_path), {"messages": {}, "modules": {}, "none": []})
    assert len(wrong) == len([message for message in uncured if not message.cure])


def test_what_a_shell_script_says_is_seen(tmp_path: Path) -> None:
    """Failures alone, with what to do where that follows."""
    (tmp_path / "entrypoint").mkdir()
    (tmp_path / messages.SHELL[0]).write_text(SHELL, "utf-8")
    assert {message.text: message.cure for message in messages.messages(tmp_path)} == {
        "the house … is shut": "Open it.",
        "there is no `tea`": "buy …",
        "nothing is well": "",
    }


def test_a_cure_without_a_message_is_seen() -> None:
    """A cure goes when its message does."""
    assert messages.cured([], {"messages": {"gone": "x"}, "modules": {}, "none": ["gone as well"]})[1] == [
        "cures.yml has a cure for what nothing says: gone",
        "cures.yml names what nothing says: gone as well",
    ]


@pytest.mark.parametrize(("name", "column"), [("wrong-inputs.md", 2), ("faults.md", 7)])
def test_what_was_said_is_on_the_page(name: str, column: int) -> None:
    """Every message that another page shows, as a test has seen it, is found here by its fixed words."""
    texts = re.findall(r"(`+)(.+?)\1(?=<br>| \|)", page())
    rules = [text.strip().replace("\\|", "|").split(messages.GAP) for _, text in texts]
    rules = [rule for rule in rules if len(re.sub(r"\W", "", "".join(rule))) >= 6]
    rows = [re.split(r" (?<!\\)\| ", line) for line in (ROOT / "docs" / name).read_text("utf-8").splitlines()]
    cells = {row[column - 1] for row in rows if len(row) > column and "---" not in row[0]} - {"message"}
    seen = {re.sub(r" \[\d+\].*", "", text) for cell in cells for text in cell.split(" · hook: ")}
    assert len(seen) > 60
    ours = [text for text in seen if text and not text.startswith(PYTHONS)]
    assert sorted(text for text in ours if not any(all(part in text for part in rule) for rule in rules)) == []
