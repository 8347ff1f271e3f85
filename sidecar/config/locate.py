"""Finds ``model_list`` in a config's text: where the list and each of its items begin and end. Read-only."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from sidecar.config.yamltext import NULL, Source, Token, to_python
from sidecar.errors import SidecarError, UsageError
from sidecar.text import printable

KEY = "model_list"
_STR = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
_OPEN = ("FlowSequenceStart", "FlowMappingStart")
_CLOSE = ("FlowSequenceEnd", "FlowMappingEnd")


@dataclass(frozen=True)
class Span:
    """The extent of an item. In block style ``start`` is at its dash; ``comma`` is where the comma after it is."""

    start: int
    end: int
    comma: int | None = None


@dataclass(frozen=True)
class Flow:
    """A flow list or mapping: ``start`` is after the opening bracket, ``end`` at the closing one."""

    start: int
    end: int
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Block:
    """A block list with its dashes in ``column``."""

    column: int
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Site:
    """Where the entries of a config are, or would go.

    ``nodes`` are the items' nodes. ``listing`` is None if there is no list; then ``colon`` is None if the key
    is missing too, and ``literal`` is an explicit null. ``top`` is set if the whole config is a flow mapping,
    and ``pair`` is the index of the key's pair in it.
    """

    source: Source
    nodes: tuple[yaml.Node, ...] = ()
    listing: Flow | Block | None = None
    key: int = 0
    colon: Token | None = None
    literal: Token | None = None
    top: Flow | None = None
    pair: int = 0
    foreign: tuple[tuple[yaml.Node, yaml.Node], ...] = ()

    @property
    def spans(self) -> tuple[Span, ...]:
        return self.listing.spans if self.listing else ()

    @property
    def plain(self) -> list[tuple[yaml.Node, Span]]:
        """The items without an alias, with their spans: a few lines of aliases expand to gigabytes."""
        aliases = [token.start for token in self.source.tokens if token.kind == "Alias"]
        return [
            (node, span)
            for node, span in zip(self.nodes, self.spans, strict=True)
            if bisect(aliases, span.start) == bisect(aliases, span.end)
        ]


def locate(source: Source) -> Site:
    """Find the list. Raises UsageError when the config is not a mapping or its ``model_list`` is not a list."""
    root = source.root
    if root is None or _is_empty(source, root):
        return Site(source)
    if not isinstance(root, yaml.MappingNode):
        raise UsageError(
            "the config's top level is not a mapping", hint="A LiteLLM config has keys like `model_list:` there."
        )
    pairs = root.value
    index = _find(pairs)
    top = None
    if root.flow_style:
        top = _flow(source, source.index_from(root.start_mark.index), len(pairs))
    foreign = tuple(pair for number, pair in enumerate(pairs) if number != index)
    if index is None:
        return Site(source, top=top, foreign=foreign)
    key, value = pairs[index]
    colon, first = _value_tokens(source, key)
    if value.start_mark.index < colon.end:
        raise UsageError(f"{KEY} is an alias (`*…`)", hint=f"Write the list itself below `{KEY}:`.")
    site = Site(source, (), None, key.start_mark.index, colon, None, top, index, foreign)
    return _with_value(site, value, first)


def _with_value(site: Site, value: yaml.Node, first: Token | None) -> Site:
    listing: Flow | Block | None = None
    literal = None
    nodes: tuple[yaml.Node, ...] = ()
    if isinstance(value, yaml.SequenceNode):
        nodes = tuple(value.value)
        listing = _listing(site.source, value)
    elif value.tag == NULL and isinstance(value, yaml.ScalarNode):
        if first is not None and first.kind in ("Anchor", "Tag") and first.start == value.start_mark.index:
            raise UsageError(f"{KEY} is empty but has a tag or an anchor", hint=f"Write `{KEY}: []`.")
        literal = first if value.value else None
    else:
        raise UsageError(f"{KEY} is not a list", hint=f"Make `{KEY}` a list of `- model_name: …` entries, or `[]`.")
    return Site(site.source, nodes, listing, site.key, site.colon, literal, site.top, site.pair, site.foreign)


def _is_empty(source: Source, root: yaml.Node) -> bool:
    """An empty document after ``---``: no text, tag or anchor."""
    bare = not any(token.kind in ("Anchor", "Tag", "Scalar") for token in source.tokens)
    return isinstance(root, yaml.ScalarNode) and root.tag == NULL and bare


def _find(pairs: list[tuple[yaml.Node, yaml.Node]]) -> int | None:
    """The index of the pair for ``model_list``. Raises UsageError for duplicate keys."""
    lines: dict[tuple[str, str], int] = {}
    found = None
    for number, (key, _) in enumerate(pairs):
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            continue
        line = key.start_mark.line + 1
        name = (key.tag, key.value)
        if name in lines:
            raise UsageError(
                f"the key {printable(key.value)} appears twice at the top level, in lines {lines[name]} and {line}",
                hint="Merge the two: LiteLLM would only use the last one.",
            )
        lines[name] = line
        if name == (_STR, KEY):
            found = number
    if found is None and any(key.tag == _MERGE and _merges_list(value) for key, value in pairs):
        raise UsageError(f"{KEY} comes from a merge key (`<<`)", hint=f"Write a separate `{KEY}:` at the top level.")
    return found


def _merges_list(value: yaml.Node) -> bool:
    sources = [to_python(item) for item in value.value] if isinstance(value, yaml.SequenceNode) else [to_python(value)]
    return any(isinstance(item, dict) and KEY in item for item in sources)


def _value_tokens(source: Source, key: yaml.Node) -> tuple[Token, Token | None]:
    """The colon of the key, and the token after it."""
    index = source.index_from(key.start_mark.index)
    while index < len(source.tokens) and source.tokens[index].kind in ("Anchor", "Tag"):
        index += 1
    following = source.tokens[index : index + 3]
    if [token.kind for token in following[:2]] != ["Scalar", "Value"]:
        raise UsageError(
            f"{KEY} is written in a form that cannot be edited", hint=f"Write `{KEY}:` as a plain key with a list."
        )
    return following[1], next(iter(following[2:]), None)


def refuse_shared(site: Site, drop: Sequence[int]) -> None:
    """Raise UsageError if anything outside the items ``drop``, in order, refers to an anchor that changes with them."""
    spans = [site.spans[number] for number in drop]
    starts = [span.start for span in spans]

    def is_dropped(position: int) -> bool:
        number = bisect(starts, position) - 1
        return number >= 0 and position < spans[number].end

    list_at = site.colon.end if site.colon else 0
    items_at = site.listing.start if isinstance(site.listing, Flow) else site.spans[0].start if site.spans else list_at
    root = site.source.root.start_mark.index if site.source.root is not None else 0
    changing: set[str] = set()
    for token in site.source.tokens:
        if token.kind == "Anchor":
            of_list = list_at <= token.start < items_at
            of_root = token.start == root
            if of_list or of_root or is_dropped(token.start):
                changing.add(token.name)
    for token in site.source.tokens:
        if token.kind == "Alias" and token.name in changing and not is_dropped(token.start):
            line = site.source.text.count("\n", 0, token.start) + 1
            raise UsageError(
                f"*{printable(token.name)} in line {line} refers to a generated part of {KEY}",
                hint="Write out its value there, or move the anchor to a part that is not generated.",
            )


def _listing(source: Source, node: yaml.SequenceNode) -> Flow | Block:
    index = source.index_from(node.start_mark.index)
    while source.tokens[index].kind in ("Anchor", "Tag"):
        index += 1
    if node.flow_style:
        return _flow(source, index, len(node.value))
    column = source.tokens[index].start - source.line_start(source.tokens[index].start)
    end = node.end_mark.index
    dashes = [
        number
        for number in range(index, source.index_from(end))
        if source.tokens[number].kind == "BlockEntry"
        and source.tokens[number].start - source.line_start(source.tokens[number].start) == column
    ]
    _expect(len(dashes) == len(node.value))
    ends = [*dashes[1:], source.index_from(end)]
    spans = [
        Span(source.tokens[dash].start, source.content_end(source.tokens[after - 1]))
        for dash, after in zip(dashes, ends, strict=True)
    ]
    return Block(column, tuple(spans))


def _flow(source: Source, index: int, count: int) -> Flow:
    """The list or mapping whose opening bracket is at or after token ``index`` (after tag and anchor)."""
    tokens = source.tokens
    while tokens[index].kind not in _OPEN:
        index += 1
    opening = tokens[index]
    spans: list[Span] = []
    depth, first = 0, index + 1
    for number in range(index + 1, len(tokens)):
        token = tokens[number]
        ends_item = depth == 0 and (token.kind == "FlowEntry" or token.kind in _CLOSE)
        if ends_item and number > first:
            comma = token.start if token.kind == "FlowEntry" else None
            spans.append(Span(tokens[first].start, tokens[number - 1].end, comma))
        if ends_item:
            first = number + 1
        if depth == 0 and token.kind in _CLOSE:
            _expect(len(spans) == count)
            return Flow(opening.end, token.start, tuple(spans))
        depth += (token.kind in _OPEN) - (token.kind in _CLOSE)
    raise _bug()


def _expect(condition: bool) -> None:
    if not condition:
        raise _bug()


def _bug() -> SidecarError:
    return SidecarError(
        "internal error: the items of model_list were not found; nothing was changed",
        hint="Please report this with the config, secrets removed.",
    )
