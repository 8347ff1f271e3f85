"""The commands that the documents show: what follows a ``$`` in their console blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .paths import ROOT


def commands() -> Iterator[tuple[str, str]]:
    """Each page, by its path, with each of its commands: as it stands, but for the comment behind it."""
    for page in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]):
        for block in re.findall(r"```console\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            for command in re.findall(r"^\$ ((?:.*\\\n|.*\n(?=    ))*.*)$", block, re.MULTILINE):
                yield str(page.relative_to(ROOT)), re.sub(r"\s{2,}# .*", "", command)
