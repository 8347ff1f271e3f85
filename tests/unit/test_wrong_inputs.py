"""Every wrong input of the table: one message names it, one hint cures it, nothing is lost; docs/wrong-inputs.md."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar import http_client
from sidecar.cli import main
from sidecar.litellm_hot_reload.exchange import CA_VARIABLES
from tests.support.bench import Bench
from tests.support.files import files_under, unprivileged
from tests.support.paths import ROOT

from .wrong_inputs import WRONG, Wrong, home

PAGE = ROOT / "docs" / "wrong-inputs.md"
BUILT = ROOT / "build" / "wrong-inputs.md"
TEXT = """\
# Wrong inputs, and what is said of them

Each row is done by a test (`tests/unit/test_wrong_inputs.py`), which also writes this page: the command line, what it
says, the number of the hint below that follows the message, and the exit code
([reference.md](reference.md#commands)). Nothing is written to any file but where the message says so, and no secret
is shown. `HOME` is a directory of the user's.
{tables}
## Hints

{hints}
"""

said: dict[Wrong, tuple[str, str]] = {}


@pytest.fixture
def at_home(outside: Path, gh, monkeypatch) -> Iterator[Bench]:
    """A bench in a directory that every user may enter; retries do not wait."""
    monkeypatch.setattr(http_client, "_wait", lambda _: 0)
    for name in CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    bench = Bench(gh, outside)
    yield bench
    bench.close()


def parsed(command: str, out: str, err: str) -> tuple[str, str]:
    """The message and the hint in what a command has printed."""
    if command == "doctor" and (found := re.search(r"^fail +(?:\w| \w)+ {2,}(.*)\n +fix: (.*)$", out, re.MULTILINE)):
        return found[1], found[2]
    if command == "run" and err.startswith("{"):
        record = json.loads(err.splitlines()[-1])
        return record["message"], record["hint"]
    if "usage: " in err:
        return err.rstrip().rpartition("error: ")[2].partition(" (choose")[0], "The command prints its usage."
    message, hint = err.splitlines()[-2:]
    assert hint.startswith("  ")
    return message.partition(": ")[2], hint.strip()


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"{wrong.group}-{wrong.shown}")
def test_wrong_input(at_home, wrong, capsys, monkeypatch):
    """The exit code, the input by name, the cure; no traceback, no secret, and the files as they were."""
    if wrong.nobody and os.geteuid() != 0:
        pytest.skip("only root can do it as somebody else")
    place = str(home(at_home))
    if wrong.login:
        at_home.log_in()
    if wrong.prepare:
        wrong.prepare(at_home)
    given = {name: value.replace("HOME", place) for name, value in wrong.environ().items()}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    before = files_under(home(at_home))
    with unprivileged() if wrong.nobody else contextlib.nullcontext():
        try:
            arguments = [word.replace("HOME", place) for word in wrong.arguments()]
            code = main(arguments, {**at_home.environ, **given})
        except SystemExit as ended:
            code = ended.code
    out, err = capsys.readouterr()
    message, hint = (
        re.sub(r"\b([ug]id) \d+", r"\1 N", text.replace(place, "HOME").replace(str(at_home.gh.port), "PORT"))
        for text in parsed(" ".join(wrong.arguments()).partition(" ")[0], out, err)
    )
    said[wrong] = message, hint
    assert (code, "Traceback" in out + err) == (wrong.exit, False)
    assert wrong.names in message and wrong.cure in f"{message} {hint}", f"{message}\n  {hint}"
    after = files_under(home(at_home))
    assert {name: after.get(name) for name in before} == before
    assert wrong.writes or sorted(after) == sorted(before)


def test_the_page_shows_what_was_said():
    """docs/wrong-inputs.md has these rows, messages and exit codes."""
    if any(wrong not in said for wrong in WRONG):
        pytest.skip("not all rows were run")
    text = page()
    BUILT.parent.mkdir(exist_ok=True)
    BUILT.write_text(text, "utf-8")
    assert len(WRONG) >= 40 and text == PAGE.read_text("utf-8"), f"cp {BUILT} {PAGE}"


def page() -> str:
    """The page of what was said."""
    hints = dict[str, int]()
    tables = ""
    for group in dict.fromkeys(wrong.group for wrong in WRONG):
        tables += f"\n## {group[0].upper()}{group[1:]}\n\n| input | message | exit |\n|---|---|---|\n"
        for wrong in (wrong for wrong in WRONG if wrong.group == group):
            message, hint = said[wrong]
            number = hints.setdefault(hint, len(hints) + 1)
            tables += f"| {wrong.shown} | {message} [{number}] | {wrong.exit} |\n"
    return TEXT.format(tables=tables, hints="\n".join(f"{number}. {hint}" for hint, number in hints.items()))
