"""The browser of these tests shows what it is told to show, and finds what is wrong with a page."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.browser import Browser
from tests.support.http_server import Answer, HttpServer, Request

POLICY = "default-src 'none'; script-src 'sha256-%s'; style-src 'unsafe-inline'; img-src data:"
GOOD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><style>
body {{ color: #111; background: #fff }} div {{ width: 300px }}
@media (prefers-color-scheme: dark) {{ body {{ color: #eee; background: #000 }} }}</style></head>
<body><main><h1>A page</h1><p id="said">without a script</p><div>wide</div></main>
<script>{script}</script></body></html>"""
SCRIPT = 'document.getElementById("said").textContent = "with a script"'
BAD = """<!doctype html><html><head><link rel="icon" href="data:,"></head><body><p style="color: #ccc">pale</p>
<img src="https://example.com/outside.png"><script>nothing.there()</script></body></html>"""


@pytest.fixture(scope="module")
def server() -> Iterator[HttpServer]:
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    strict = {"Content-Type": "text/html", "Content-Security-Policy": POLICY % digest}

    def respond(request: Request) -> Answer:
        if request.path == "/bad":
            return 200, {"Content-Type": "text/html"}, BAD.encode()
        return 200, strict, GOOD.format(script=SCRIPT).encode()

    with HttpServer(respond) as server:
        yield server


def test_a_page_as_it_is_told_to_show_it(browser: Browser, server: HttpServer, tmp_path: Path) -> None:
    """Size, colour scheme and script are as they are asked for, under a strict policy too, and axe finds nothing."""
    shown = browser.open(f"{server.url}/", width=360)
    said, body = shown.page.locator("#said"), shown.page.locator("body")
    assert said.inner_text() == "with a script" and not shown.overflows() and 0 < shown.first_paint() < 60
    assert body.evaluate("body => getComputedStyle(body).backgroundColor") == "rgb(255, 255, 255)"
    shown.scheme(dark=True)
    assert body.evaluate("body => getComputedStyle(body).backgroundColor") == "rgb(0, 0, 0)"
    assert shown.violations() == []
    shown.screenshot(tmp_path / "page.png")
    assert struct.unpack(">II", (tmp_path / "page.png").read_bytes()[16:24])[0] == 360
    shown.resize(200)
    assert shown.overflows()
    still = browser.open(f"{server.url}/", dark=True, javascript=False)
    assert still.page.locator("#said").inner_text() == "without a script"


def test_what_is_wrong_with_a_page_is_found(browser: Browser, server: HttpServer) -> None:
    """axe's findings, errors of scripts, and whatever is asked of elsewhere."""
    shown = browser.open(f"{server.url}/bad")
    found = {line.partition(" ")[0] for line in shown.violations()}
    assert {"color-contrast", "document-title", "html-has-lang", "image-alt"} <= found
    problems = " ".join(shown.problems)
    assert "uncaught: nothing is not defined" in problems and "asked elsewhere: https://example.com/" in problems
    shown.problems.clear()
