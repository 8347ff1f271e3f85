"""Reads the models file: accepts only managed entries, with the keys and types that ``allowed`` lists."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from .allowed import MAX_ENTRIES, MAX_FILE_SIZE, MAX_TEXT, entry_problem
from .bounded import map_bounded
from .slices import Slices
from .watched import Watched

log = logging.getLogger("copilot_hook")

Entry = dict[str, Any]


class ModelsFile(Watched):
    """``wanted`` is what the last good file contained, by id; None before there was one. ``digest`` is that file's."""

    def __init__(self, path: Path) -> None:
        super().__init__("the models file", path)
        self.wanted: dict[str, Packed] | None = None
        self.digest = ""
        self._known: dict[bytes, Packed] = {}

    def _load(self) -> None:
        data = map_bounded(self.path, MAX_FILE_SIZE)
        known: dict[bytes, Packed] = {}
        entries = entries_in(data, self._known, known)
        if entries or not self.wanted:
            self.wanted, self.digest, self._known = entries, hashlib.sha256(data).hexdigest(), known
        else:
            # The sidecar only writes an empty list before its first sync, for example on a new volume.
            log.warning("the models file is empty; the %d models it contained before stay", len(self.wanted))


_WINDOW = 12
"""4 kB, in which an entry finds those before it: by default, zlib takes 256 kB of memory for each."""


class Packed(Mapping[str, Any]):
    """An entry as compressed JSON, in a tenth of the memory: it is unpacked whenever more than its ``key`` (the id) or
    its name is asked for. ``like`` is the JSON of an entry that most others differ little from.
    """

    __slots__ = ("_data", "_name", "key", "like")

    def __init__(self, entry: Entry, like: bytes = b"") -> None:
        text = json.dumps(entry).encode()
        self.key: str = entry["model_info"]["id"]
        self._name: str = entry["model_name"]
        self.like = like or text
        packer = zlib.compressobj(wbits=_WINDOW, memLevel=1, zdict=self.like)
        self._data = packer.compress(text) + packer.flush()

    def unpacked(self) -> Entry:
        """The entry, one more time."""
        found: Entry = json.loads(zlib.decompressobj(_WINDOW, zdict=self.like).decompress(self._data))
        return found

    def __getitem__(self, part: str) -> Any:
        return self._name if part == "model_name" else self.unpacked()[part]

    def __iter__(self) -> Iterator[str]:
        return iter(self.unpacked())

    def __len__(self) -> int:
        return len(self.unpacked())

    def __repr__(self) -> str:
        return repr(self.unpacked())


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


class _Loader(_Plain, _Base):
    """What the models file is read with."""


_TAG = "tag:yaml.org,2002:"
_NUMBERS = (_TAG + "int", _TAG + "float")
_KNOWN = {None, *(_TAG + name for name in ("null", "bool", "int", "float", "str", "seq", "map"))}
_Loader.yaml_constructors = {tag: make for tag, make in _Loader.yaml_constructors.items() if tag in _KNOWN}
_Loader.yaml_constructors[_TAG + "timestamp"] = lambda loader, node: loader.construct_yaml_timestamp(node).isoformat()
_HEAD = re.compile(rb"(?:#[ -~]*\n)*model_list:(?=\n- )")
_NEXT = re.compile(rb"\n- ")
_ANCHOR = re.compile(rb"&")
_TAG_DIRECTIVE = re.compile(rb"%\0?T\0?A\0?G")
_MOST_DIRECTIVES = 1000
"""libyaml compares each of them with each other, in one call, during which nothing else in the process runs."""


def entries_in(
    data: bytes | memoryview,
    known: Mapping[bytes, Packed] = MappingProxyType({}),
    kept: dict[bytes, Packed] | None = None,
) -> dict[str, Packed]:
    """The managed entries of a models file by id, in file order. May raise any exception.

    An entry whose text is ``known``, by digest, is not read again: it is the very same object. ``kept`` is given all
    that will be known next time.
    """
    if len(_TAG_DIRECTIVE.findall(data)) > _MOST_DIRECTIVES:
        raise ValueError(f"it contains more than {_MOST_DIRECTIVES} directives")
    listed = _one_by_one(data, known, {} if kept is None else kept)
    if listed is None:
        listed = _all_at_once(data)
    return {item.key: item for item in listed}


def _one_by_one(
    data: bytes | memoryview, known: Mapping[bytes, Packed], kept: dict[bytes, Packed]
) -> list[Packed] | None:
    """The entries of a file that is nothing but a list, as the sidecar writes it; None for any other.

    One after another: the nodes of all would take twenty times the memory of the text, and looking for garbage among
    them a tenth of a second in which LiteLLM does nothing else.
    """
    head = _HEAD.match(data)
    if head is None or _ANCHOR.search(data) or data[-1:] != b"\n":
        return None  # an anchor may occur only once in the whole file
    ends = [found.start() for found in _NEXT.finditer(data, head.end())]
    if len(ends) > MAX_ENTRIES:
        return None
    listed = list[Packed]()
    like, slices = next((item.like for item in known.values()), b""), Slices()
    for start, end in zip(ends, [*ends[1:], len(data) - 1], strict=True):
        text = bytes(data[start + 3 : end])
        digest = hashlib.sha256(text).digest()
        packed = known.get(digest)
        if packed is None:
            try:
                packed = Packed(_entry(text), like)
            except Exception:  # read all at once, the mistake has its place in the file, or there is none
                return None
            like = packed.like
            slices.rest()
        kept[digest] = packed
        listed.append(packed)
    return listed


def _entry(text: bytes) -> Entry:
    """The entry whose ``text`` this is. That one more is read after it proves that it ends there."""
    loader = _Loader(b"model_list:\n- " + text + b"\n- 0\n")
    root: Any = loader.get_single_node()
    ((_, listed),) = root.value
    node, _ = listed.value
    return _checked(loader.construct_document(node))


def _all_at_once(data: bytes | memoryview) -> list[Packed]:
    content = yaml.load(bytes(data), Loader=_Loader)  # type: ignore[arg-type]  # noqa: S506
    listed = content.get("model_list") if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise ValueError("it has no model_list")
    if len(listed) > MAX_ENTRIES:
        raise ValueError(f"it has more than {MAX_ENTRIES} entries")
    return [Packed(_checked(item)) for item in listed]


def _checked(item: Any) -> Entry:
    problem = entry_problem(item)
    if problem:
        raise ValueError(problem)
    entry: Entry = item
    return entry
