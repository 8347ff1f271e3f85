"""Reads the models file: accepts only managed entries, with the keys and types that ``allowed`` lists."""

from __future__ import annotations

import hashlib
import logging
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from .allowed import MAX_ENTRIES, MAX_FILE_SIZE, MAX_TEXT, entry_problem
from .bounded import read_bounded
from .watched import Watched

log = logging.getLogger("copilot_hook")

Entry = dict[str, Any]


class ModelsFile(Watched):
    """``wanted`` is what the last good file contained, by id; None before there was one. ``digest`` is that file's."""

    def __init__(self, path: Path) -> None:
        super().__init__("the models file", path)
        self.wanted: dict[str, Entry] | None = None
        self.digest = ""
        self._known: dict[bytes, Entry] = {}

    def _load(self) -> None:
        data = read_bounded(self.path, MAX_FILE_SIZE)
        known: dict[bytes, Entry] = {}
        entries = entries_in(data, self._known, known)
        if entries or not self.wanted:
            self.wanted, self.digest, self._known = entries, hashlib.sha256(data).hexdigest(), known
        else:
            # The sidecar only writes an empty list before its first sync, for example on a new volume.
            log.warning("the models file is empty; the %d models it contained before stay", len(self.wanted))


try:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    class _Base(Composer, CParser, SafeConstructor, Resolver):
        """PyYAML's fast parser with its composer in Python: the composer in C holds the GIL for the whole file,
        and crashes the process on deep nesting.
        """

        def __init__(self, stream: bytes) -> None:
            CParser.__init__(self, stream)
            for part in (Composer, SafeConstructor, Resolver):
                part.__init__(self)

except ImportError:
    _Base = yaml.SafeLoader  # type: ignore[assignment, misc]


class _Plain:
    """Knows plain scalars, lists and mappings only. Rejects aliases, a few lines of which expand to gigabytes, and
    numbers of any length, which may take minutes to compute.
    """

    def compose_node(self: Any, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it contains YAML aliases")
        return super().compose_node(parent, index)  # type: ignore[misc]

    def construct_scalar(self: Any, node: Any) -> Any:
        if node.tag in _NUMBERS and len(node.value) > MAX_TEXT:
            raise ValueError(f"it contains a number of more than {MAX_TEXT} characters")
        return super().construct_scalar(node)  # type: ignore[misc]

    def construct_text(self: Any, node: Any) -> Any:
        """All entries have the same keys and headers: one object for each text takes a third of the memory."""
        return sys.intern(self.construct_scalar(node))


class _Loader(_Plain, _Base):
    """What the models file is read with."""


_TAG = "tag:yaml.org,2002:"
_NUMBERS = (_TAG + "int", _TAG + "float")
_KNOWN = {None, *(_TAG + name for name in ("null", "bool", "int", "float", "str", "seq", "map"))}
_Loader.yaml_constructors = {tag: make for tag, make in _Loader.yaml_constructors.items() if tag in _KNOWN}
_Loader.yaml_constructors[_TAG + "timestamp"] = lambda loader, node: loader.construct_yaml_timestamp(node).isoformat()
_Loader.yaml_constructors[_TAG + "str"] = lambda loader, node: loader.construct_text(node)
_HEAD = re.compile(rb"(?:#[ -~]*\n)*model_list:\n- ")
_TAG_DIRECTIVE = re.compile(rb"%\0?T\0?A\0?G")
_MOST_DIRECTIVES = 1000
"""libyaml compares each of them with each other, in one call, during which nothing else in the process runs."""


def entries_in(
    data: bytes, known: Mapping[bytes, Entry] = MappingProxyType({}), kept: dict[bytes, Entry] | None = None
) -> dict[str, Entry]:
    """The managed entries of a models file by id, in file order. May raise any exception.

    An entry whose text is ``known``, by digest, is not read again: it is the very same object. ``kept`` is given all
    that will be known next time.
    """
    if len(_TAG_DIRECTIVE.findall(data)) > _MOST_DIRECTIVES:
        raise ValueError(f"it contains more than {_MOST_DIRECTIVES} directives")
    listed = _one_by_one(data, known, {} if kept is None else kept)
    if listed is None:
        listed = _all_at_once(data)
    return {item["model_info"]["id"]: item for item in listed}


def _one_by_one(data: bytes, known: Mapping[bytes, Entry], kept: dict[bytes, Entry]) -> list[Entry] | None:
    """The entries of a file that is nothing but a list, as the sidecar writes it; None for any other.

    One after another: the nodes of all would take twenty times the memory of the text, and looking for garbage among
    them a tenth of a second in which LiteLLM does nothing else.
    """
    head = _HEAD.match(data)
    if head is None or b"&" in data or not data.endswith(b"\n"):
        return None  # an anchor may occur only once in the whole file
    if data.count(b"\n- ") > MAX_ENTRIES:
        return None
    listed, start = list[Entry](), head.end()
    while start < len(data):
        end = data.find(b"\n- ", start)
        text = data[start : end if end >= 0 else -1]
        start = end + 3 if end >= 0 else len(data)
        digest = hashlib.sha256(text).digest()
        entry = known.get(digest)
        if entry is None:
            try:
                entry = _entry(text)
            except Exception:  # read all at once, the mistake has its place in the file, or there is none
                return None
        kept[digest] = entry
        listed.append(entry)
    return listed


def _entry(text: bytes) -> Entry:
    """The entry whose ``text`` this is. That one more is read after it proves that it ends there."""
    loader = _Loader(b"model_list:\n- " + text + b"\n- 0\n")
    root: Any = loader.get_single_node()
    ((_, listed),) = root.value
    node, _ = listed.value
    return _checked(loader.construct_document(node))


def _all_at_once(data: bytes) -> list[Entry]:
    content = yaml.load(data, Loader=_Loader)  # type: ignore[arg-type]  # noqa: S506
    listed = content.get("model_list") if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise ValueError("it has no model_list")
    if len(listed) > MAX_ENTRIES:
        raise ValueError(f"it has more than {MAX_ENTRIES} entries")
    return [_checked(item) for item in listed]


def _checked(item: Any) -> Entry:
    problem = entry_problem(item)
    if problem:
        raise ValueError(problem)
    entry: Entry = item
    return entry
