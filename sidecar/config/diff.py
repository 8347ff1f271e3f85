"""Shows what changes in a config as a unified diff: of the managed entries everything, of the rest only its shape.

Nothing is shown because it looks harmless, and nothing has to look like a secret to be masked: scalars, comments,
anchors and tags outside of managed entries are masked, whatever they are. Pure, in time linear in the text's length.
"""

from __future__ import annotations

import difflib
import re
from bisect import bisect
from collections import Counter
from collections.abc import Sequence

from sidecar.config.locate import KEY, locate
from sidecar.config.splice import ADDED, GAP
from sidecar.config.yamltext import BOM, Source, Token, parse, to_python
from sidecar.errors import SidecarError
from sidecar.litellm_hot_reload.managed import is_managed
from sidecar.models.entries import HEADER

_MASK = "…"
_CONTEXT = 3
_MAX_GAP = 200  # lines
_WORDS = {
    *(KEY, "model_name", "litellm_params", "model", "api_key", "api_base", "model_info", "id", "mode"),
    *("general_settings", "litellm_settings", "router_settings", "environment_variables", "master_key", "include"),
}
"""LiteLLM's own words, shown wherever they stand, so that a reader finds his way around."""
_OUR_COMMENTS = {ADDED, GAP, *HEADER.splitlines()}
_COMMENT = re.compile("#[^\r\n\x85\u2028\u2029]*")
_LINE = re.compile("[^ \t\r\n\x85\u2028\u2029][^\r\n\x85\u2028\u2029]*")
_NAMES = ("Anchor", "Alias", "Tag", "Directive")


def unified(before: bytes, after: bytes, old_name: str, new_name: str) -> str:
    """A unified diff of two configs; empty if they are equal. For reading only: masked lines do not apply."""
    old, new = _lines(_text(before)), _lines(_text(after))
    shown_old, shown_new = _lines(masked(before)), _lines(masked(after))
    first, last = _common(old, new)
    output: list[str] = []
    matcher = _Matcher(old[first : len(old) - last], new[first : len(new) - last])
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        output += [] if output else [f"--- {old_name}\n", f"+++ {new_name}\n"]
        spans = (group[0][1], group[-1][2]), (group[0][3], group[-1][4])
        output.append("@@ -{} +{} @@\n".format(*(_range(first + start, first + end) for start, end in spans)))
        for kind, start, end, new_start, new_end in group:
            removed, added = shown_old[first + start : first + end], shown_new[first + new_start : first + new_end]
            if kind == "equal":
                output += (" " + line for line in removed)
            else:
                output += ("-" + line for line in removed)
                output += ("+" + line for line in added)
    return "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in output)


def masked(data: bytes) -> str:
    """The text with everything masked but managed entries and structure; it has as many lines as before."""
    try:
        source = parse(data)
        shown = _managed_spans(source)
    except (SidecarError, RecursionError):
        return _LINE.sub(_MASK, _text(data))
    starts = [start for start, _ in shown]
    parts, position = [], 0
    for token in source.tokens:
        number = bisect(starts, token.start) - 1
        ours = number >= 0 and token.start < shown[number][1]
        parts += [_gap(source.text[position : token.start]), _token(token, source.text[token.start : token.end], ours)]
        position = max(position, token.end)
    return _readable("".join([*parts, _gap(source.text[position:])]))


def _managed_spans(source: Source) -> list[tuple[int, int]]:
    return [(span.start, span.end) for node, span in locate(source).plain if is_managed(to_python(node))]


def _gap(text: str) -> str:
    """What is between two tokens: blanks, and comments, of which only ours are shown."""
    return _COMMENT.sub(lambda found: found[0] if found[0] in _OUR_COMMENTS else f"# {_MASK}", text)


def _token(token: Token, text: str, ours: bool) -> str:
    if token.kind == "Scalar" and (text in _WORDS or (ours and text[0] not in "|>")):
        return text
    return _LINE.sub(_MASK, text) if token.kind == "Scalar" or token.kind in _NAMES else text


def _readable(text: str) -> str:
    """``text`` without what would move or hide other text on a terminal."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\r\n\t" else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace").removeprefix(BOM)


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text.replace("\r\n", "\n").replace("\r", "\n"))


def _common(old: list[str], new: list[str]) -> tuple[int, int]:
    """How many lines both begin and end with, without those that are shown around a change."""
    shortest = min(len(old), len(new))
    first = next((number for number in range(shortest) if old[number] != new[number]), shortest)
    rest = shortest - first
    last = next((number for number in range(rest) if old[-1 - number] != new[-1 - number]), rest)
    return max(first - _CONTEXT, 0), max(last - _CONTEXT, 0)


class _Matcher(difflib.SequenceMatcher[str]):
    """Matches lines in linear time: by those that are in both once, in order, and between these as difflib does.

    difflib alone takes the square of the number of changes. What is too long between two such lines counts as changed.
    """

    def __init__(self, old: list[str], new: list[str]) -> None:
        super().__init__(None, old, new)
        self.old, self.new = old, new

    def get_matching_blocks(self) -> list[difflib.Match]:
        """As in difflib."""
        blocks: list[difflib.Match] = []
        before, after = 0, 0
        for old, new in [*self._anchors(), (len(self.old), len(self.new))]:
            part, other = self.old[before:old], self.new[after:new]
            if len(part) <= _MAX_GAP and len(other) <= _MAX_GAP:
                found = difflib.SequenceMatcher(None, part, other, autojunk=False).get_matching_blocks()
                blocks += (difflib.Match(before + a, after + b, size) for a, b, size in found if size)
            blocks.append(difflib.Match(old, new, int(old < len(self.old))))
            before, after = old + 1, new + 1
        return _joined(blocks)

    def _anchors(self) -> list[tuple[int, int]]:
        """The lines that are in both once, as many as are in the same order: the longest increasing sequence."""
        once, also = ({line for line, count in Counter(lines).items() if count == 1} for lines in (self.old, self.new))
        places = {line: number for number, line in enumerate(self.new) if line in once and line in also}
        ends: list[int] = []  # the smallest last place of a sequence of each length
        chain: list[tuple[int, int, int]] = []  # old line, new line, and the one before it in the chain
        heads: list[int] = []
        for old, line in enumerate(self.old):
            if (new := places.get(line)) is not None:
                length = bisect(ends, new)
                ends[length : length + 1] = [new]
                heads[length : length + 1] = [len(chain)]
                chain.append((old, new, heads[length - 1] if length else -1))
        found, at = [], heads[-1] if heads else -1
        while at >= 0:
            old, new, at = chain[at]
            found.append((old, new))
        return found[::-1]


def _joined(blocks: Sequence[difflib.Match]) -> list[difflib.Match]:
    """Blocks that follow each other at once as one; the last is empty, as difflib has it."""
    joined: list[difflib.Match] = []
    for a, b, size in blocks[:-1]:
        if joined and (joined[-1].a + joined[-1].size, joined[-1].b + joined[-1].size) == (a, b):
            a, b, size = joined[-1].a, joined[-1].b, joined.pop().size + size
        joined.append(difflib.Match(a, b, size))
    return [*joined, blocks[-1]]


def _range(start: int, end: int) -> str:
    """A range of lines as unified diffs name it: from 1, and the line before an empty one."""
    length = end - start
    return str(start + 1) if length == 1 else f"{start + bool(length)},{length}"
