"""Removes entries from a config's text and inserts others, without touching any other character. Pure.

Text is always inserted as *line break, lines*, before an existing line break or at the end of the file, and
removed the same way. So removing what was inserted restores the original text, whatever its line endings and
with or without one at the end. If the list itself had to be added, or an explicit ``null`` replaced, a comment
records that. ``sidecar.config.edit`` decides which entries to insert or remove.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from sidecar.config.locate import KEY, Block, Flow, Site, Span
from sidecar.config.yamltext import Source, Token
from sidecar.errors import UsageError

ADDED = "# added by copilot-model-sync; it owns the entries whose id begins with github_copilot/managed/"
INSTEAD = "# copilot-model-sync, in place of: "
GAP = "# the entries of copilot-model-sync were here"
_COMMENT = re.compile("[ \t]*#[^\r\n\x85\u2028\u2029]*")
_NULLS = "null|Null|NULL|~"


class Edit(NamedTuple):
    """Replaces the characters from ``start`` to ``end``; an insertion when they are equal."""

    start: int
    end: int
    text: str = ""


def rewrite(site: Site, drop: Sequence[int], block: str, flow: Sequence[str]) -> str:
    """The text without the items at the indices ``drop``, with the new ones where the first was, else at the end.

    ``block`` is the new items as a block sequence at indent 0, ``flow`` the same items as flow mappings; only those
    of the list's style are used. Raises UsageError if nothing can be inserted.
    """
    lines = block.rstrip("\n").split("\n") if block else []
    if isinstance(site.listing, Block):
        edits = _block(site, site.listing, drop, lines)
    elif isinstance(site.listing, Flow):
        edits = _flow_list(site, site.listing, drop, flow)
    elif not lines and not flow:
        edits = []
    elif site.top is not None:
        edits = _new_flow_list(site, site.top, flow)
    elif site.colon is not None:
        edits = _fill_null(site, site.colon, lines)
    else:
        edits = _new_block_list(site.source, lines)
    text = _apply(site.source.text, edits)
    own_first_line = site.colon is not None and not site.source.line_start(site.key)
    if own_first_line and any(edit.start == 0 and edit.end > 0 for edit in edits):
        return text[2:] if text.startswith("\r\n") else text[1:]
    return text


def _apply(text: str, edits: list[Edit]) -> str:
    parts, position = [], 0
    for edit in sorted(edits, key=lambda item: item[:2]):
        parts += [text[position : edit.start], edit.text]
        position = max(position, edit.end)
    return "".join([*parts, text[position:]])


def _lines(source: Source, at: int, lines: Sequence[str], column: int) -> Edit:
    """Insert whole lines, indented by ``column``, after the line that ends at ``at``."""
    indented = [" " * column + line for line in lines]
    return Edit(at, at, source.eol_at(at) + source.eol.join(indented))


def _lines_before(source: Source, position: int, lines: Sequence[str], column: int) -> Edit:
    """Insert whole lines before the line of ``position``."""
    if source.line_start(position):
        return _lines(source, source.previous_line_end(position), lines, column)
    return Edit(0, 0, "".join(" " * column + line + source.eol for line in lines))


# Block style


def _block(site: Site, listing: Block, drop: Sequence[int], lines: list[str]) -> list[Edit]:
    source = site.source
    edits = [_cut_item(source, listing.spans[number]) for number in drop]
    if not lines:
        return edits + (_undo_block(site, listing) if len(drop) == len(listing.spans) else [])
    if drop:
        dash = listing.spans[drop[0]].start
        at = source.previous_line_end(dash) if source.is_first_on_line(dash) else dash
        return [_lines(source, at, lines, listing.column), *edits]
    first, last = listing.spans[0], listing.spans[-1]
    if source.cannot_be_followed(source.last_before(last.end)):
        if not source.is_first_on_line(first.start):
            raise UsageError("the last line of the config does not end with a line break", hint="Add one.")
        return [_lines_before(source, first.start, lines, listing.column)]
    at = _after_comments(source, source.line_end(last.end), listing.column - (listing.column > source.base))
    return [_lines(source, at, lines, listing.column)]


def _cut_item(source: Source, span: Span) -> Edit:
    """Remove an item with its line break; a comment after it stays, on a line of its own."""
    line_end = source.line_end(span.end)
    rest = source.text[span.end : line_end]
    if rest.strip(" \t"):
        return Edit(span.start, line_end - len(rest.lstrip(" \t")))
    if source.is_first_on_line(span.start):
        return Edit(source.previous_line_end(span.start), line_end)
    return Edit(span.start, line_end)


def _after_comments(source: Source, at: int, column: int) -> int:
    """The end of the last comment line after ``at`` that is indented deeper than ``column``."""
    found, start = at, source.next_line(at)
    while start is not None:
        end = source.line_end(start)
        line = source.text[start:end]
        if line.strip(" \t"):
            if not line.lstrip(" \t").startswith("#") or len(line) - len(line.lstrip(" ")) <= column:
                break
            found = end
        start = source.next_line(end)
    return found


def _fill_null(site: Site, colon: Token, lines: list[str]) -> list[Edit]:
    source, literal = site.source, site.literal
    edits = [Edit(literal.start, literal.start, INSTEAD)] if literal else []
    at = _after_comments(source, source.line_end((literal or colon).end), source.base)
    return [*edits, _lines(source, at, lines, source.base + 2)]


def _new_block_list(source: Source, lines: list[str]) -> list[Edit]:
    lines = [f"{KEY}: {ADDED}", *("  " + line for line in lines)]
    if not source.text:
        return [_lines_before(source, 0, lines, 0)]
    if source.tokens and source.cannot_be_followed(source.tokens[-1]):
        first_key = source.root.start_mark.index if source.root else 0
        return [_lines_before(source, first_key, lines, source.base)]
    end = next((token.start for token in source.tokens if token.kind == "DocumentEnd"), len(source.text))
    at = source.previous_line_end(end) if source.line_start(end) == end else end
    return [_lines(source, at, lines, source.base)]


def _undo_block(site: Site, listing: Block) -> list[Edit]:
    """The list is now empty: undo what was done to make room for it."""
    source, colon = site.source, site.colon
    if colon is None:
        return []
    line_end = source.line_end(colon.end)
    if source.text[colon.end : line_end].strip(" \t") == ADDED:
        return [Edit(source.previous_line_end(site.key), line_end)]
    gap = source.text[colon.end : listing.spans[0].start]
    match = re.search(f"{re.escape(INSTEAD)}(?={_NULLS})", gap)
    return [Edit(colon.end + match.start(), colon.end + match.end())] if match else []


# Flow style


def _flow_list(site: Site, listing: Flow, drop: Sequence[int], new: Sequence[str]) -> list[Edit]:
    source = site.source
    if not new and len(drop) == len(listing.spans):
        undo = _undo_flow(site, listing)
        if undo is not None:
            return undo
    column = source.base + 2
    if listing.spans and source.is_first_on_line(listing.spans[0].start):
        column = max(1, listing.spans[0].start - source.line_start(listing.spans[0].start))
    return _flow(source, listing, drop, [" " * column + item for item in new])


def _flow(source: Source, listing: Flow, drop: Sequence[int], new: Sequence[str]) -> list[Edit]:
    """Remove and insert items in a flow list; each remaining item keeps the comma after it."""
    spans = listing.spans
    trailing = bool(spans) and spans[-1].comma is not None
    dropped = set(drop)
    remaining = [number for number in range(len(spans)) if number not in dropped]
    commented: set[int] = set()  # items that a comment comes before, with nothing in between that stays or is new
    for number in drop[1:] if new else drop:
        gap = source.text[source.last_before(spans[number].start).end : spans[number].start]
        if "#" in gap or number - 1 in commented:
            commented.add(number)
    cuts = [_cut_flow_item(source, spans[number], number in commented) for number in drop]
    commas = [spans[number].comma for number in drop]
    place = drop[0] if drop else len(spans)
    later = [number for number in remaining if number > place]
    edits: list[Edit] = []
    if new:
        at = cuts[0].start if drop else _end_of_list(source, listing)
        if remaining and not later and spans[remaining[-1]].comma is None:
            edits.append(Edit(spans[remaining[-1]].end, spans[remaining[-1]].end, ","))
        separator = "," + source.eol
        text = source.eol_at(at) + separator.join(new) + ("," if later or trailing else "")
        edits.append(Edit(at, at, text))
    if remaining and not trailing and (later or not new):
        commas.append(spans[remaining[-1]].comma)
    return [*edits, *cuts, *(Edit(comma, comma + 1) for comma in commas if comma is not None)]


def _cut_flow_item(source: Source, span: Span, commented: bool) -> Edit:
    """Remove an item with the blanks before it, and the line break unless that ends a comment with text after it."""
    start = span.start
    while source.text[start - 1 : start] in (" ", "\t") and start:
        start -= 1
    if source.line_start(start) != start or not start:
        return Edit(start, span.end)
    following = span.end if span.comma is None else span.comma + 1
    if commented and source.text[following : source.line_end(following)].strip(" \t"):
        return Edit(start, span.end)
    return Edit(source.previous_line_end(start), span.end)


def _end_of_list(source: Source, listing: Flow) -> int:
    """The position after the last item, its comma, and a comment on the same line."""
    at = listing.start
    if listing.spans:
        last = listing.spans[-1]
        at = last.end if last.comma is None else last.comma + 1
    comment = _COMMENT.match(source.text, at)
    return comment.end() if comment else at


def _new_flow_list(site: Site, top: Flow, new: Sequence[str]) -> list[Edit]:
    source = site.source
    literal = source.text[site.literal.start : site.literal.end] if site.literal else "nothing"
    note = ADDED if site.colon is None else INSTEAD + literal
    column = 2
    if top.spans and source.is_first_on_line(top.spans[0].start):
        column = max(1, top.spans[0].start - source.line_start(top.spans[0].start))
    items = ("," + source.eol).join(" " * (column + 2) + item for item in new)
    text = f"[ {note}{source.eol}{items}]"
    if site.colon is None:
        return _flow(source, top, (), [f'{" " * column}"{KEY}": {text}'])
    if site.literal is None:
        return [Edit(site.colon.end, site.colon.end, " " + text)]
    return [Edit(site.literal.start, site.literal.end, text)]


def _undo_flow(site: Site, listing: Flow) -> list[Edit] | None:
    """The list is now empty: remove it if our comment says we added it and nothing else has been written into it."""
    source = site.source
    inside, position = "", listing.start
    for span in listing.spans:
        inside += source.text[position : span.start]
        position = span.end
    inside += source.text[position : listing.end]
    match = re.fullmatch(f"({re.escape(ADDED)}|{re.escape(INSTEAD)}({_NULLS}|nothing))[\\s,]*", inside.strip(" "))
    if match is None or site.top is None or site.colon is None:
        return None
    if match[2] is None:
        return _flow(source, site.top, [site.pair], [])
    if match[2] == "nothing":
        return [Edit(site.colon.end, listing.end + 1)]
    return [Edit(listing.start - 1, listing.end + 1, match[2])]
