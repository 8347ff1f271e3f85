"""The status page as people use it: in a real browser, by mouse, by keyboard, small, dark, and without a script."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import BadAnswer, LoginNeeded, LoginRefused, Unreachable
from sidecar.github.login_code import LoginCode
from sidecar.models.credit import Credit, Quota
from sidecar.models.history import Event
from sidecar.models.view import rows
from sidecar.service.sync import entries_for
from sidecar.settings import Settings
from sidecar.status.server import serve
from sidecar.status.state import Status
from tests.fakes.catalog import model, tier, tiered
from tests.fakes.github import GitHub
from tests.support.bench import Bench
from tests.support.ports import free_port
from tests.support.waiting import until
from tests.unit.status.test_workers import NEW, OLD, report

from .browser import Browser, Shown

HOSTILE = "</script><img src=x onerror=alert(1)><b>\u202ex"
VENDORS = ("OpenAI", "Anthropic", "Google", "xAI")


def catalog(count: int) -> list[dict[str, Any]]:
    """Models of all sorts: dearer with a long context, previews, with and without reasoning and vision."""
    items = []
    for number in range(count):
        cents = 100 * (number % 9 + 1)
        usual = tier(cents, 4 * cents, cents // 10, max_prompt_tokens=200_000)
        longer = tier(2 * cents, 6 * cents, cents // 5, max_prompt_tokens=936_000)
        items.append(
            model(
                f"model-{number:03}",
                name=f"Model {number}",
                vendor=VENDORS[number % 4],
                billing=tiered(usual, longer) if number % 3 == 0 else tiered(tier(cents, 4 * cents, cents // 10)),
                vision=number % 2 == 0,
                preview=number % 5 == 4,
                reasoning=["low", "high"] if number % 3 == 0 else None,
            )
        )
    return [*items, model("text-embedding-3-small", type="embeddings", picker=False)]


def at(hours_ago: int) -> str:
    moment = datetime.now(UTC) - timedelta(hours=hours_ago)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def filled(count: int = 12) -> Status:
    """A service that has been well for long: models, workers, credit, spend and a history."""
    status = Status()
    status.beat(1e6)
    selection, entries = entries_for(catalog(count), Settings())
    found = rows(entries)
    status.succeeded(1.2, changed=True, rows=found, omitted=selection.omitted, plan="copilot_business")
    status.note(next_sync=time.time() + 3000)
    price = "model_info.input_cost_per_token"
    status.changed(
        [
            *(
                Event(at(400 - 20 * n), "added", row["id"], names=tuple(row["names"]))
                for n, row in enumerate(found[:9])
            ),
            Event(at(200), "price", "model-000", price, 5e-06, 2.5e-06),
            Event(at(150), "removed", "old-model"),
            Event(at(100), "price", "model-000", price, 2.5e-06, 1e-06),
            Event(at(90), "limits", "model-001", "model_info.max_input_tokens", 128_000, 1_000_000),
            Event(at(9), "absent", "model-002", "absences", None, 1),
        ]
    )
    now = time.time()
    status.workers.published(OLD, now - 900, [row["id"] for row in found])
    for worker in (1, 2):
        assert not status.workers.receive(report(worker, digest=OLD, entries=count), now - 60)
    for number, seconds in enumerate((1.2, 0.9, 2.1, 1.4)):
        digest = f"{number:064x}"
        status.workers.published(digest, now - 50 + 10 * number)
        for worker in (1, 2):
            spend = {"model-000": [1.2 * worker, 1.3 * worker], "model-001": [0.5, 0.5]} if number else {}
            said = report(worker, digest=digest, entries=count, token_end=now + 1300, spend=spend)
            assert not status.workers.receive(said, now - 50 + 10 * number + seconds * worker / 2)
    status.note(last_heard=now)
    quotas = (Quota("premium_interactions", 0.38, 300, 114), Quota("chat", unlimited=True))
    status.note(credit=Credit("octocat", "business", quotas=quotas, resets_at="2026-12-01"))
    return status


def waiting() -> Status:
    status = Status()
    status.beat(1e6)
    status.failed(LoginNeeded("no access token in /github_auth"))
    status.note(login=LoginCode("A1B2-C3D4", "https://github.com/login/device", time.time() + 880))
    return status


def down() -> Status:
    status = filled()
    status.failed(Unreachable("no answer from api.github.com: no data for 10 s"))
    return status


def refused() -> Status:
    status = filled()
    status.failed(LoginRefused("GitHub refused the access token from /github_auth/access-token: it is revoked (401)"))
    return status


def behind() -> Status:
    status = filled()
    status.workers.published("f" * 64, time.time() - 100)
    for ago in (60, 0):
        said = report(2, digest=OLD, problem="the models file is invalid", refused=[["m", "no provider"]], refusals=3)
        status.workers.receive(said, time.time() - ago)
    return status


def hostile() -> Status:
    status = filled()
    selection, entries = entries_for([model("m", name=HOSTILE, vendor=HOSTILE)], Settings())
    status.succeeded(1, changed=True, rows=rows(entries), omitted=selection.omitted)
    status.workers.receive(report(3, digest=NEW, problem=HOSTILE, refused=[[HOSTILE, HOSTILE]]), time.time())
    status.changed([Event(at(1), "other", "m", HOSTILE, HOSTILE, HOSTILE, (HOSTILE,))])
    status.failed(BadAnswer(HOSTILE, hint=HOSTILE))
    return status


STATES = {"fine": filled, "login": waiting, "down": down, "refused": refused, "behind": behind, "hostile": hostile}


@contextmanager
def served(status: Status) -> Iterator[str]:
    port = free_port()
    server = serve(port, status)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.close()


@pytest.fixture
def pages() -> Iterator[dict[str, str]]:
    """The address of a page in each state; workers that say nothing are forgotten after a while."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(served(make())) for name, make in STATES.items()}


def names(shown: Shown, column: int = 0) -> list[str]:
    """What stands in a column of the models that are shown, from the top."""
    cells = shown.page.locator("#table tbody tr:not([hidden])").locator("th, td")
    texts = cells.all_inner_texts()
    width = shown.page.locator("#table thead th").count()
    return [text.split("\n")[0].removesuffix(" preview") for text in texts[column::width]]


@pytest.mark.parametrize("state", STATES)
def test_nothing_is_wrong_with_any_state(browser: Browser, pages: dict[str, str], state: str, tmp_path: Path) -> None:
    """axe finds nothing, light or dark, large or small; nothing is wider than a phone; no error, no foreign address."""
    shown = browser.open(pages[state])
    if shown.page.locator("#omitted").count():
        shown.page.locator("#omitted summary").click()
    assert shown.violations() == []
    shown.screenshot(tmp_path / f"{state}.png")
    shown.scheme(dark=True)
    shown.resize(360, 740)
    assert shown.violations() == [] and not shown.overflows()
    shown.screenshot(tmp_path / f"{state}-small-dark.png")


def test_hostile_text_runs_and_moves_nothing(browser: Browser, pages: dict[str, str]) -> None:
    """It is there to be read, as the text that it is."""
    shown = browser.open(pages["hostile"])
    assert shown.page.locator("img, b").count() == 0
    assert "onerror=alert(1)" in shown.page.locator("[data-part=state]").inner_text()
    assert "\u202e" not in shown.page.content()


def test_sorted_and_searched(browser: Browser, pages: dict[str, str]) -> None:
    """By name, number and price, up and down; every word of a search has to be there; both outlast a refresh."""
    shown = browser.open(pages["fine"])
    assert names(shown) == [f"Model {number}" for number in range(12)]
    heads = shown.page.locator("#table thead th")
    shown.page.get_by_role("button", name="In", exact=True).click()
    prices = [float(text.removeprefix("$")) for text in names(shown, 6)]
    assert prices == sorted(prices) and heads.nth(6).get_attribute("aria-sort") == "ascending"
    shown.page.get_by_role("button", name="In", exact=True).click()
    prices = [float(text.removeprefix("$")) for text in names(shown, 6)]
    assert prices == sorted(prices, reverse=True) and heads.nth(6).get_attribute("aria-sort") == "descending"
    shown.page.get_by_label("Search").fill("anthropic REASONING")
    assert names(shown) == ["Model 9"] and shown.page.locator("#found").inner_text() == "1 of 12"
    shown.page.get_by_label("Search").fill("nothing like this")
    assert names(shown) == []


def test_by_keyboard_alone(browser: Browser, pages: dict[str, str]) -> None:
    """Every control can be reached and used, and one sees where one is."""
    shown = browser.open(pages["fine"])
    reached = []
    for _ in range(60):
        shown.page.keyboard.press("Tab")
        here = shown.page.evaluate(
            "() => { const e = document.activeElement; const s = getComputedStyle(e);"
            " return [e.id || e.textContent.trim(), s.outlineStyle, e.getBoundingClientRect().width > 0] }"
        )
        reached.append(here[0])
        assert here[1] != "none" or here[0] == "search", here
        if here[0] == "table-context":
            shown.page.keyboard.press("Enter")
            assert shown.page.evaluate("document.activeElement.id") == "table-context"
            head = shown.page.locator("#table thead th").nth(3)
            assert head.get_attribute("aria-sort") == "ascending"
        if here[0] == "metrics":
            break
    assert reached[0] == "Skip to the models" and {"search", "table-context", "metrics"} <= set(reached)


def test_without_a_script(browser: Browser, pages: dict[str, str]) -> None:
    """Everything is there to be read, nothing that would do nothing, and the page comes again by itself."""
    for state, expected in (("fine", "Model 11"), ("login", "A1B2-C3D4"), ("behind", "the models file is invalid")):
        shown = browser.open(pages[state], javascript=False)
        assert expected in shown.page.locator("main").inner_text()
        assert not shown.page.locator("#search").is_visible()
        assert not shown.page.get_by_role("button", name="Copy the code").is_visible()
        assert 'http-equiv="refresh"' in shown.page.content()


@pytest.mark.alone
def test_a_thousand_models(browser: Browser, pages: dict[str, str]) -> None:
    """There is something to read a second after the smallest page has, at the latest: of three looks at each."""
    with served(filled(1000)) as url:
        smallest = min(browser.open(pages["login"]).first_paint() for _ in range(3))
        assert min(browser.open(url).first_paint() for _ in range(3)) < smallest + 1
        shown = browser.open(url)
        assert shown.page.locator("#table tbody tr").count() == 1000
        browser.close()  # a page that is still open asks on, and nobody would answer


def test_refreshed_without_a_flicker(browser: Browser) -> None:
    """Only what has changed is replaced; sort, search, focus and what is open stay; a sidecar that is gone is said."""
    status = filled()
    with served(status) as url:
        shown = browser.open(url)
        page = shown.page
        page.get_by_role("button", name="Vendor").click()
        page.locator("#omitted summary").click()
        page.get_by_label("Search").fill("model")
        page.evaluate("window.before = document.querySelector('[data-part=credit]').firstChild")
        page.evaluate("window.rows = document.querySelector('#table')")
        before = names(shown, 1)
        status.failed(Unreachable("no answer from api.github.com"))
        page.get_by_text("GitHub cannot be read").wait_for()
        assert page.evaluate("window.before === document.querySelector('[data-part=credit]').firstChild")
        assert page.evaluate("window.rows === document.querySelector('#table')")
        selection, entries = entries_for(catalog(13), Settings())
        status.succeeded(1, changed=True, rows=rows(entries), omitted=selection.omitted)
        page.get_by_text("Model 12").wait_for()
        assert names(shown, 1) == sorted(names(shown, 1)) and len(names(shown, 1)) == len(before) + 1
        assert page.get_by_label("Search").input_value() == "model"
        assert page.evaluate("document.activeElement.id") == "search"
        assert page.locator("#omitted").get_attribute("open") is not None
    until(lambda: page.title().startswith("No answer"), 60, "the page says so")
    shown.problems[:] = [problem for problem in shown.problems if "ERR_CONNECTION_REFUSED" not in problem]


def test_the_code_is_copied(browser: Browser, pages: dict[str, str]) -> None:
    """One press, and it is on the clipboard; the link leads to GitHub."""
    shown = browser.open(pages["login"])
    shown.page.get_by_role("button", name="Copy the code").click()
    shown.page.get_by_text("Copied.").wait_for()
    assert shown.page.evaluate("navigator.clipboard.readText()") == "A1B2-C3D4"
    assert shown.page.get_by_role("link", name="Open GitHub").get_attribute("href") == "https://github.com/login/device"


def test_a_button_starts_a_sync(browser: Browser) -> None:
    """Where it is allowed; the answer is shown beside it."""
    pulled: list[bool] = []
    status = Status(Settings(status_trigger=True), lambda: not pulled.append(True) and len(pulled) == 1)
    status.beat(1e6)
    with served(status) as url:
        shown = browser.open(url)
        shown.page.get_by_role("button", name="Sync now").click()
        shown.page.get_by_text("a sync begins").wait_for()
        shown.page.get_by_role("button", name="Sync now").click()
        shown.page.get_by_text("not more than once a minute").wait_for()
    assert len(pulled) == 2
    shown.problems[:] = [problem for problem in shown.problems if "429" not in problem]


def test_a_login_from_the_code_to_the_models(browser: Browser, tmp_path: Path) -> None:
    """The real service and the real login: the code shows, somebody enters it, and the models are there; no reload."""
    with GitHub() as gh:
        gh.set_catalog(catalog(3))
        bench = Bench(gh, tmp_path)
        try:
            bench.start("run", COPILOT_MODEL_SYNC_INTERVAL="3600")
            until(lambda: bench.ask("/livez"), 60, "the service")
            shown = browser.open(f"http://127.0.0.1:{bench.port}/")
            shown.page.get_by_text("Nobody is logged in to GitHub yet").wait_for()
            shown.page.evaluate("window.same = true")
            login = bench.start("login")
            shown.page.locator("#code").wait_for()
            assert gh.approve() == 1
            shown.page.get_by_text("Model 2").wait_for(timeout=60_000)
            assert shown.page.locator("#code").count() == 0 and shown.page.evaluate("window.same")
            assert login.popen.wait(60) == 0
        finally:
            bench.close()


def test_each_state_has_another_title_and_icon(browser: Browser, pages: dict[str, str]) -> None:
    """So that a tab in the background tells how it is."""
    seen = {
        state: browser.open(pages[state]).page.evaluate(
            "[document.title.split(':')[0], document.querySelector('link[rel=icon]').href]"
        )
        for state in ("fine", "login", "down", "refused")
    }
    assert all(one != other for one, other in itertools.combinations(seen.values(), 2)), seen
