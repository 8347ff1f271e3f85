"""Reads YAML as text with positions: which characters are which token, where lines end, what a node means.

Every position is an index of a character in ``Source.text``. Nothing is written here, and no YAML tag
is ever executed: a tag that is not YAML's own stays text. ``sidecar.config.splice`` uses this to decide what to cut.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import yaml
from yaml.constructor import SafeConstructor
from yaml.reader import Reader, ReaderError

from sidecar.errors import UsageError
from sidecar.resolver import Remembering
from sidecar.text import printable

BOM = "\ufeff"
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_BREAKS = "\r\n\x85\u2028\u2029"
MERGE = "tag:yaml.org,2002:merge"
NULL = "tag:yaml.org,2002:null"
_STR = "tag:yaml.org,2002:str"


class FastLoader(Remembering, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """libyaml is some twenty times faster; LiteLLM uses the slow loader, which accepts a little more."""


LOADERS: tuple[Any, ...] = (FastLoader, yaml.SafeLoader)
_CONSTRUCTOR = SafeConstructor()
_SCALARS = {
    tag: SafeConstructor.yaml_constructors[tag]
    for tag in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float", NULL)
}

_KEY = r"[A-Za-z_][\w-]{0,99}+"
_INNER = r"[\w./@+(),-]"
_QUOTED = r"""'(?:[ -&(-~]|'')*+'|"[ !#-\[\]-~]*+\""""
_ITEM = rf"(?:{_QUOTED}|[\w./][\w./-]*+)"
_PAIR = rf"{_KEY}: ++{_ITEM}"
_FLOW = rf"\[(?: *+{_ITEM}(?: *+, *+{_ITEM})*+)? *+\]|\{{(?: *+{_PAIR}(?: *+, *+{_PAIR})*+)? *+\}}"
_VALUE = rf"(?:{_QUOTED}|{_FLOW}|[\w./](?:{_INNER}|(?::| ++)(?={_INNER}))*+)"
_COMMENT = r"(?<![^ \n])#[ -~]*+"
_LINE = rf" *+(?:(?:- ++)*+{_KEY}:(?: ++{_VALUE})?|(?:- ++)++{_VALUE})? *+(?:{_COMMENT})?"
_PLAIN = rf"(?:---\r?\n)?{_LINE}(?:\r?\n{_LINE})*+".encode()

# Scanning needs no stack, but libyaml's composer overflows it and crashes the process.
_MAX_DEPTH = 100


_KINDS = {token: token.__name__.removesuffix("Token") for token in yaml.Token.__subclasses__()}
_STEPS = {kind: kind.endswith("Start") - kind.endswith("End") for kind in _KINDS.values()}


class Token(NamedTuple):
    """A visible token: the characters it spans, PyYAML's name for it without ``Token``, and that of an anchor."""

    start: int
    end: int
    kind: str
    name: str = ""


@dataclass(frozen=True)
class Source:
    """A parsed YAML document with at most one root node; ``base`` is the column of its top-level keys."""

    text: str
    bom: str = ""
    root: yaml.Node | None = None
    tokens: tuple[Token, ...] = ()
    base: int = 0

    @cached_property
    def _breaks(self) -> list[tuple[int, int]]:
        return [match.span() for match in _BREAK.finditer(self.text)]

    @cached_property
    def eol(self) -> str:
        """The most common line ending; ``\\n`` for a single line."""
        common = Counter(_BREAK.findall(self.text)).most_common(1)
        return str(common[0][0]) if common else "\n"

    def eol_at(self, position: int) -> str:
        """The line ending to insert at ``position``: never one that would merge with a lone CR before it."""
        return "\r\n" if self.eol == "\n" and self.text[position - 1 : position] == "\r" else self.eol

    def line_start(self, position: int) -> int:
        index = bisect_right(self._breaks, (position, -1), key=lambda span: (span[1], -1)) - 1
        return self._breaks[index][1] if index >= 0 else 0

    def line_end(self, position: int) -> int:
        """Where the line of ``position`` ends, before its line break."""
        index = bisect_left(self._breaks, position, key=lambda span: span[0])
        return self._breaks[index][0] if index < len(self._breaks) else len(self.text)

    def next_line(self, position: int) -> int | None:
        """Where the line after the one of ``position`` begins; None on the last line."""
        index = bisect_left(self._breaks, position, key=lambda span: span[0])
        return self._breaks[index][1] if index < len(self._breaks) else None

    def previous_line_end(self, position: int) -> int:
        """Where the line before the one of ``position`` ends, before its line break; 0 on the first line."""
        index = bisect_left(self._breaks, self.line_start(position), key=lambda span: span[1])
        return self._breaks[index][0] if index < len(self._breaks) and self.line_start(position) else 0

    def is_first_on_line(self, position: int) -> bool:
        return not self.text[self.line_start(position) : position].strip(" ")

    def index_from(self, position: int) -> int:
        """The index of the first token that starts at ``position`` or later."""
        return bisect_left(self.tokens, (position,))

    def last_before(self, position: int) -> Token:
        """The last token that starts before ``position``."""
        return self.tokens[self.index_from(position) - 1]

    def _header(self, token: Token) -> str:
        """The indicators of a block scalar (``|``, ``>-``, ``|2+`` …); empty for other tokens."""
        match = re.compile(r"[|>][-+0-9]*").match(self.text, token.start) if token.kind == "Scalar" else None
        return match.group() if match else ""

    def content_end(self, token: Token) -> int:
        """Where a line break may follow ``token``: not after a block scalar's own final line breaks.

        Those of a "keep" scalar (``|+``) are its content, but the last one works after new text as well.
        """
        header = self._header(token)
        if not header:
            return token.end
        if "+" in header:
            whole_lines = self.line_start(token.end) == token.end
            return self.previous_line_end(token.end) if whole_lines else token.end
        return token.start + len(self.text[token.start : token.end].rstrip(_BREAKS))

    def cannot_be_followed(self, token: Token) -> bool:
        """True for a block scalar that ends the file without a line break: a line after it would become its content."""
        header = self._header(token)
        at_end = token.end == len(self.text) and self.line_start(token.end) != token.end
        return bool(header) and "-" not in header and at_end


def is_plain(data: bytes) -> bool:
    """Whether all lines are of the usual forms, in ASCII, of which both of PyYAML's parsers make the same.

    A key, an item, or both, with a value that ends on its line: a word, several, quoted without escapes, or a list or a
    mapping of such without another inside. No aliases, anchors, tags, block scalars, tabs or control characters.
    """
    # Compiled, which takes as long as a small config, only where there is a config.
    return re.fullmatch(_PLAIN, data, re.ASCII) is not None


def parse(data: bytes) -> Source:
    """Parse a config. Raises UsageError when it is not one valid YAML document in UTF-8."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"the config is not UTF-8 text (line {line})", hint="Save it as UTF-8.") from None
    bom = BOM if text.startswith(BOM) else ""
    text = text[len(bom) :]
    problem: Exception | None = None
    for loader in LOADERS:
        try:
            return _read(text, bom, loader)
        except (yaml.YAMLError, RecursionError) as error:
            problem = error
    raise _refusal(text, problem) from None


def _read(text: str, bom: str, loader: Any) -> Source:
    tokens: list[Token] = []
    base: int | None = None
    depth = 0
    for item in yaml.scan(text, Loader=loader):
        kind = _KINDS[type(item)]
        start, end = item.start_mark.index, item.end_mark.index
        depth += _STEPS[kind]
        if depth > _MAX_DEPTH:
            raise RecursionError
        if base is None and kind == "BlockMappingStart":
            base = item.start_mark.column
        if end > start:
            name = item.value if isinstance(item, (yaml.AnchorToken, yaml.AliasToken)) else ""
            tokens.append(Token(start, end, kind, name))
    return Source(text, bom, yaml.compose(text, Loader=loader), tuple(tokens), base or 0)


def _refusal(text: str, problem: Exception | None) -> UsageError:
    if isinstance(problem, ReaderError):
        bad = Reader.NON_PRINTABLE.search(text)
        line = len(_BREAK.findall(text[: bad.start()])) + 1 if bad else 1
        return UsageError(
            f"the config contains a control character in line {line}", hint="Remove it; YAML does not allow it."
        )
    if isinstance(problem, yaml.MarkedYAMLError):
        if str(problem.context).startswith("expected a single document"):
            return UsageError(
                "the config contains more than one YAML document",
                hint="LiteLLM only reads one document: remove the others and the `---` lines between them.",
            )
        mark = problem.problem_mark or problem.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "unknown place"
        what = printable(problem.problem or problem.context or "")
        return UsageError(
            f"the config is not valid YAML: {where}: {what}",
            hint="Correct that place; LiteLLM cannot read the file either. Nothing was changed.",
        )
    return UsageError("the config is nested too deeply", hint="Check it for unclosed brackets.")


def to_python(node: yaml.Node) -> Any:
    """The Python value of ``node``, merge keys applied; a scalar with a foreign tag becomes ``(tag, text)``."""
    return _to_python(node, {})


def _to_python(node: yaml.Node, known: dict[int, Any]) -> Any:
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = None
    value: Any = None
    if isinstance(node, yaml.ScalarNode):
        value = _scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = [_to_python(item, known) for item in node.value]
    elif isinstance(node, yaml.MappingNode):
        value = {}
        for key, item in node.value:
            if key.tag == MERGE:
                sources = item.value if isinstance(item, yaml.SequenceNode) else [item]
                for source in reversed(sources):
                    merged = _to_python(source, known)
                    value = (merged if isinstance(merged, dict) else {}) | value
        for key, item in node.value:
            if key.tag != MERGE:
                name = _scalar(key) if isinstance(key, yaml.ScalarNode) else f"complex key {id(key)}"
                value[name] = _to_python(item, known)
    known[id(node)] = value
    return value


def _scalar(node: yaml.ScalarNode) -> Any:
    if node.tag == _STR:
        return sys.intern(node.value)  # keys and values are there again and again
    try:
        if node.tag in _SCALARS:
            return _SCALARS[node.tag](_CONSTRUCTOR, node)
        return SafeConstructor().construct_object(node)
    except (yaml.YAMLError, ValueError, LookupError):
        return (node.tag, node.value)


def same_node(one: yaml.Node, other: yaml.Node, seen: set[tuple[int, int]] | None = None) -> bool:
    """Whether two nodes have the same kind, tag and content, with every scalar spelled the same."""
    seen = set() if seen is None else seen
    if (id(one), id(other)) in seen:
        return True
    seen.add((id(one), id(other)))
    if type(one) is not type(other) or one.tag != other.tag:
        return False
    if isinstance(one, yaml.ScalarNode):
        return bool(one.value == other.value)
    if len(one.value) != len(other.value):
        return False
    if isinstance(one, yaml.SequenceNode):
        return all(same_node(a, b, seen) for a, b in zip(one.value, other.value, strict=True))
    return all(
        same_node(a, b, seen) and same_node(c, d, seen) for (a, c), (b, d) in zip(one.value, other.value, strict=True)
    )
