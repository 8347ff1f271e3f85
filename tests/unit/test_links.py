"""Every link between the documents leads somewhere, and every page is in the index."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import ROOT

INDEX = ROOT / "docs" / "README.md"
PAGES = sorted(page for place in ("", "docs/**/", ".github/**/", "k8s/**/") for page in ROOT.glob(f"{place}*.md"))


@cache
def text_of(page: Path) -> str:
    """The text without code."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", lambda code: re.sub(r"[\[\]()<>]", "", code[0]), text)


@cache
def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of ``page``."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.*)$", text_of(page), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.strip().lower()).replace(" ", "-")
        number = 0
        while (anchor := f"{name}-{number}" if number else name) in found:
            number += 1
        found.add(anchor)
    return found


def links(page: Path) -> list[str]:
    """Where the links and pictures of ``page`` lead."""
    text = text_of(page)
    return [*re.findall(r"\]\(([^)\s]*)\)", text), *re.findall(r"<(https?:[^>]*)>", text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    """A file that is there, with a heading of that name if one is meant; elsewhere, an https address."""
    for link in links(page):
        if ":" in link:
            assert re.fullmatch(r"https://[\w.-]+\.[a-z]+(/[\w./#?=&%+-]*)?|http://localhost:\d+\S*", link), link
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT) and target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_links_are_found():
    """Not a page without a link, but where nothing is to be linked to; and the rule for anchors is GitHub's."""
    assert sum(len(links(page)) for page in PAGES) > 150
    assert {"slack-and-discord", "in-a-configmap"} <= anchors(ROOT / "docs" / "changes.md")


def test_the_index_has_every_page():
    """Whoever looks for a document finds it in one place, and once."""
    shown = [(INDEX.parent / link.partition("#")[0]).resolve() for link in links(INDEX) if ":" not in link]
    assert len(shown) == len({*shown})
    assert [page for page in ROOT.glob("docs/**/*.md") if page != INDEX and page not in shown] == []


def test_the_code_names_pages_that_exist():
    """A hint that leads to a page leads somewhere: ``docs/reference.md``."""
    named = set()
    for path in [*ROOT.glob("sidecar/**/*.py"), *ROOT.glob("scripts/*"), *ROOT.glob("*.y*ml"), ROOT / ".env.example"]:
        if path.is_file():
            named |= {*re.findall(r"\bdocs/[\w./-]+\.(?:md|json|yml)\b", path.read_text("utf-8"))}
    assert len(named) > 5
    assert sorted(name for name in named if not (ROOT / name).is_file()) == []
