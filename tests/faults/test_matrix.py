"""Every fault of the catalogue, by a clock that the tests turn; what is seen becomes docs/faults.md."""

from __future__ import annotations

import random
import re
import statistics

import pytest

from . import answers, commands, places, wire
from .page import BUILT, PAGE, Page, Row, lasting, recoveries
from .stage import HELD, HOUR, snapshot

FAULTS = [*wire.faults(), *answers.faults(), *places.faults()]
COMMANDS = {
    "log_in": [*commands.logins()],
    "patch_configmap": [*commands.api_servers()],
    "tell": [*commands.notifications()],
    "diagnosed": [*commands.litellms()],
}
OF_COMMANDS = [(how, fault) for how, faults in COMMANDS.items() for fault in faults]
MOST = 40
"""Requests in an hour, of the service and the hook together."""

rows: dict[str, Row] = {}


def test_the_names_are_unique():
    """Each fault is named once, and there are enough of them."""
    titles = [fault.title for fault in (*FAULTS, *(fault for _, fault in OF_COMMANDS))]
    assert len(set(titles)) == len(titles) >= 120


def check(row: Row, most: float = MOST) -> None:
    """What holds for each row."""
    seen, fault = row.whole, row.fault
    rows[fault.title] = row
    assert seen.exit == fault.exit
    assert "\n" not in seen.message + seen.hint and bool(seen.message) >= bool(seen.hint) >= bool(fault.exit)
    assert sum(row.requests(HOUR)) <= most
    if row.recovered is not None:
        assert row.recovered <= (fault.waits * 1.1 + 30 if fault.waits else 30)


# Python itself drops a socket that is cut after it was connected and before its handshake has begun.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.title)
def test_fault(fault, stage):
    """Last good stays, few requests are made, one message says what is wrong, and all is well soon after."""
    stage = stage(fault)
    random.seed(fault.title)
    held = stage.serve(fault, HELD, until_recovered=True)
    assert held.recovered is not None
    whole = stage.serve(fault, fault.lasts, until_recovered=False)
    whole.after = stage.served()
    whole.exit, said = stage.one_shot()
    if whole.exit:
        message, hint = stage.said(said)
        when = re.search(r"; again in \d+ s$|$", message)
        same = (message[: when.start()], hint) == (whole.message, whole.hint)
        assert same, "the service and the command say the same; a command also when GitHub wants to be asked again"
    stage.take_off()
    assert snapshot(stage) == whole.published == held.published or fault.changes
    assert whole.health == "200 / 200"
    hook_held = hook_whole = None
    if fault.side == "both":
        hook = stage.hook()
        hook_held = hook.hold(fault, HELD, until_recovered=True)
        hook_whole = hook.hold(fault, fault.lasts, until_recovered=False)
        stage.take_off()
    check(Row(fault, held, whole, hook_held, hook_whole))


@pytest.mark.parametrize(("how", "fault"), OF_COMMANDS, ids=lambda item: getattr(item, "title", ""))
def test_command(how, fault, stage):
    """A command that cannot do its work says why, exits accordingly, and has changed nothing, or what it should."""
    stage = stage(fault)
    random.seed(fault.title)
    check(Row(fault, *getattr(commands, how)(stage, fault)), most=10**6)


def test_recovery_is_quick():
    """Half of all recoveries take no more than 5 s, and none more than 30, but for those that have to wait."""
    found = recoveries(rows.values())
    if not found:
        pytest.skip("no rows were run")
    assert statistics.median(found) <= 5 and max(found) <= 30


def test_the_page_shows_what_was_seen():
    """docs/faults.md has these rows, messages and exit codes; its figures are those of the run that wrote it."""
    faults = [*FAULTS, *(fault for _, fault in OF_COMMANDS)]
    if any(fault.title not in rows for fault in faults):
        pytest.skip("not all rows were run")
    text = Page([rows[fault.title] for fault in faults]).text()
    BUILT.parent.mkdir(exist_ok=True)
    BUILT.write_text(text, "utf-8")
    assert lasting(text) == lasting(PAGE.read_text("utf-8")), f"cp {BUILT} {PAGE}"
