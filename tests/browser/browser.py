"""A page in a real Chromium without a window: Debian's, driven by Playwright, and checked by axe."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.support.paths import ROOT
from tests.support.tools import missing, tool
from tests.support.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser as Chromium
    from playwright.sync_api import BrowserContext, Playwright

HERE = Path(__file__).parent
INSTALL = "python -m pip install --target build/browser -r tests/browser/requirements-browser.lock"
PLACE = Path(os.environ.get("COPILOT_TEST_BROWSER") or ROOT / "build" / "browser")
"""Where Playwright is, which LiteLLM's environment does not hold."""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_AXE = """async tags => (await axe.run(document, {runOnly: tags, resultTypes: ["violations"]})).violations.flatMap(
    rule => rule.nodes.map(node => `${rule.id} (${rule.impact}): ${rule.help} at ${node.target} ${node.html}`))"""


def start() -> tuple[Playwright, Chromium]:
    """Playwright and the browser, both to be ended; skips the test where one of them is missing, in CI fails it."""
    if str(PLACE) not in sys.path:
        sys.path.append(str(PLACE))
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing(f"Playwright is not installed: {INSTALL}, or elsewhere with COPILOT_TEST_BROWSER naming the place")
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        missing("there is no Chromium: Debian has it, apt-get install chromium")
    playwright = sync_playwright().start()
    try:
        # No name is ever resolved: what a page asks of elsewhere fails, whether or not this machine has a network.
        words = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--no-proxy-server"]
        return playwright, playwright.chromium.launch(executable_path=program, args=words)
    except BaseException:
        playwright.stop()
        raise


def axe(home: Path) -> str:
    """axe's source, from npm."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / "axe" / name, home)
    words = [tool("npm", "Debian: apt-get install npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(words, cwd=home, check=True, capture_output=True, timeout=300)
    return (home / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


class Browser:
    """Opens pages; each has a context of its own, with no memory of another."""

    def __init__(self, chromium: Chromium, axe: str) -> None:
        self._chromium, self._axe = chromium, axe
        self.opened: list[Shown] = []

    def open(
        self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False, javascript: bool = True
    ) -> Shown:
        """The page at ``url``, once it and all that it consists of is there."""
        context = self._chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            java_script_enabled=javascript,
            permissions=["clipboard-read", "clipboard-write"],
        )
        shown = Shown(context, url, self._axe if javascript else "")
        self.opened.append(shown)
        shown.page.goto(url, wait_until="load")
        return shown

    def close(self) -> None:
        for shown in self.opened:
            shown.context.close()


class Shown:
    """A page that is open: ``page`` is Playwright's, for all that a person does there.

    ``problems`` are what it has logged as an error or a warning, errors that nobody caught, and what it has asked of
    another origin. The fixture fails a test that leaves any; one that means them takes them out.
    """

    def __init__(self, context: BrowserContext, url: str, axe: str) -> None:
        self.context, self.page, self._axe = context, context.new_page(), axe
        self.problems: list[str] = []
        own = urlsplit(url)[:2]
        self.page.on("console", lambda said: self._said(said.type, said.text))
        self.page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        self.page.on("request", lambda request: self._asked(own, request.url))

    def _said(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.problems.append(f"{kind}: {text}")

    def _asked(self, own: Any, url: str) -> None:
        if not url.startswith(("data:", "blob:")) and urlsplit(url)[:2] != own:
            self.problems.append(f"asked elsewhere: {url}")

    def resize(self, width: int, height: int = 900) -> None:
        self.page.set_viewport_size({"width": width, "height": height})

    def scheme(self, *, dark: bool) -> None:
        """What ``prefers-color-scheme`` says."""
        self.page.emulate_media(color_scheme="dark" if dark else "light")

    def screenshot(self, path: Path | str) -> None:
        """The whole page as a PNG, however long it is."""
        self.page.screenshot(path=str(path), full_page=True, animations="disabled")

    def violations(self) -> list[str]:
        """What axe finds wrong: the rule, how grave it is, and where. Needs scripts to be allowed."""
        assert self._axe
        self.page.evaluate(f"() => {{ {self._axe}; }}")
        return list(self.page.evaluate(_AXE, list(RULES)))

    def first_paint(self) -> float:
        """Seconds from the start of the navigation until there was something to read."""
        painted = "() => performance.getEntriesByName('first-contentful-paint').map(entry => entry.startTime)"
        # By asking again: what Playwright would wait for in the page itself, the page's policy does not allow.
        return float(until(lambda: self.page.evaluate(painted), what="the first paint")[0]) / 1000

    def overflows(self) -> bool:
        """Whether the page is wider than its window, so that one has to scroll sideways."""
        return bool(self.page.evaluate("() => document.documentElement.scrollWidth > window.innerWidth"))
