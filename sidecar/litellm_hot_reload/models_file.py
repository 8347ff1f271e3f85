"""Reads the models file: accepts only managed entries, with the keys and types that ``allowed`` lists."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from .allowed import MAX_ENTRIES, MAX_FILE_SIZE, entry_problem
from .bounded import read_bounded
from .watched import Watched

log = logging.getLogger("copilot_hook")

Entry = dict[str, Any]


class ModelsFile(Watched):
    """``wanted`` is what the last good file contained, by id; None before there was one."""

    def __init__(self, path: Path) -> None:
        super().__init__("the models file", path)
        self.wanted: dict[str, Entry] | None = None

    def _load(self) -> None:
        entries = entries_in(read_bounded(self.path, MAX_FILE_SIZE))
        if entries or self.wanted is None:
            self.wanted = entries
        elif self.wanted:
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


class _Loader(_Base):
    """Knows plain scalars, lists and mappings only, and rejects aliases: a few lines of them expand to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it contains YAML aliases")
        return super().compose_node(parent, index)


_PLAIN = ("null", "bool", "int", "float", "str", "seq", "map")
_KNOWN = {None, *(f"tag:yaml.org,2002:{name}" for name in _PLAIN)}
_Loader.yaml_constructors = {tag: make for tag, make in _Loader.yaml_constructors.items() if tag in _KNOWN}
_Loader.yaml_constructors["tag:yaml.org,2002:timestamp"] = lambda loader, node: loader.construct_yaml_timestamp(
    node
).isoformat()


def entries_in(data: bytes) -> dict[str, Entry]:
    """The managed entries of a models file by id, in file order. May raise any exception."""
    content = yaml.load(data, Loader=_Loader)  # type: ignore[arg-type]  # noqa: S506
    listed = content.get("model_list") if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise ValueError("it has no model_list")
    if len(listed) > MAX_ENTRIES:
        raise ValueError(f"it has more than {MAX_ENTRIES} entries")
    entries = {}
    for item in listed:
        problem = entry_problem(item)
        if problem:
            raise ValueError(problem)
        entries[item["model_info"]["id"]] = item
    return entries
