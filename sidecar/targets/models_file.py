"""The models file as the target of a sync: verified, replaced atomically, untouched if nothing has changed.

The record of absences and the history of changes are kept in files next to it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import Resolver
from yaml.scanner import Scanner

from sidecar.config.yamltext import LOADERS, MERGE, NULL, to_python
from sidecar.errors import SidecarError, StorageError
from sidecar.files import replace_file
from sidecar.litellm_hot_reload.allowed import MAX_ENTRIES, MAX_FILE_SIZE, entry_problem
from sidecar.litellm_hot_reload.managed import id_of, is_managed
from sidecar.locks import update_lock
from sidecar.models.absences import absences_file
from sidecar.models.changes import Change, compare, is_same
from sidecar.models.entries import models_file_bytes
from sidecar.targets.base import Make, Synced
from sidecar.targets.history import models_history, write_history
from sidecar.targets.record import read_ours, read_record, write_record

try:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    _PARSER: tuple[Any, ...] = (CParser,)
except ImportError:
    _PARSER = (Reader, Scanner, Parser)


class ModelsFileTarget:
    """The models file at ``path``; a ``dry_run`` writes nothing."""

    def __init__(self, path: Path, *, dry_run: bool = False) -> None:
        self.path, self.name, self.dry_run = path, str(path), dry_run

    def update(self, make: Make, stop: threading.Event) -> Synced:
        """As in ``Target``."""
        if self.dry_run:
            from sidecar.config.diff import unified

            built = make(read_record(self.path))
            old, new = read_ours(self.path), built.models_file
            diff = unified(old or b"", new, "/dev/null" if old is None else self.name, self.name)
            change = None if old == new else compare(entries_in(old), entries_in(new))
            return Synced(self.name, built, change, diff, created=old is None)
        history = models_history(self.path)
        with update_lock(self.path, absences_file(self.path), history):
            built, created = make(read_record(self.path)), not self.path.exists()
            change = publish_models(self.path, built.entries, built.models_file)
            events = built.all_events(change)
            write_history(history, events)
            write_record(self.path, built.absences)
        return Synced(self.name, built, change, events=events, created=created)


def publish_models(path: Path, items: Sequence[Mapping[str, Any]], data: bytes | None = None) -> Change | None:
    """Make ``path`` the models file of ``items``: ``data``, if that was made already. None if it already was.

    Raises StorageError.
    """
    data, old = models_file_bytes(items) if data is None else data, read_ours(path)
    if old == data:
        return None
    entries = verify_models_file(data, items)
    replace_file(path, data, mode=0o644)
    return compare(entries_in(old), entries)


def verify_models_file(data: bytes, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Parse what is about to be published, and compare it with what was intended and with what the hook accepts.

    Returns the entries by id. Raises StorageError when there are too many, SidecarError when they are wrong.
    """
    if len(items) > MAX_ENTRIES or len(data) > MAX_FILE_SIZE:
        raise StorageError(
            f"the models file would have {len(items)} entries in {len(data)} bytes, but LiteLLM's hook reads no more "
            f"than {MAX_ENTRIES} in {MAX_FILE_SIZE}; nothing was published",
            hint="Select fewer models (COPILOT_MODELS_INCLUDE), or names (COPILOT_MODEL_NAMES).",
        )
    entries = entries_in(data)
    if list(entries) != [id_of(item) for item in items] or not is_same(list(entries.values()), items):
        raise SidecarError("the generated models file does not parse to what was intended; nothing was published")
    problem = next(filter(None, map(entry_problem, entries.values())), None)
    if problem:
        raise SidecarError(f"LiteLLM's hook would refuse the generated models file: {problem}; nothing was published")
    return entries


def entries_in(data: bytes | None) -> dict[str, Any]:
    """The managed entries by id, of a models file or any config; empty for a missing or invalid file.

    An entry with a YAML alias is not ours: a few lines of them expand to gigabytes.
    """
    for read in (_plain, _listed):
        # PyYAML raises nearly anything for a damaged file, which this sync must replace.
        with contextlib.suppress(Exception):
            return {id_of(item): item for item in read(data or b"") if is_managed(item)}
    return {}


class _Composer(Composer, *_PARSER, Resolver):  # type: ignore[misc]
    """Composes one node after another; ``aliased`` if there was an alias in it."""

    def __init__(self, data: bytes) -> None:
        _PARSER[0].__init__(self, data)
        for part in (*_PARSER[1:], Composer, Resolver):
            part.__init__(self)
        self.aliased = False

    def compose_node(self, parent: Any, index: Any) -> Any:
        if not self.check_event(yaml.AliasEvent):
            return super().compose_node(parent, index)
        self.get_event()
        self.aliased = True
        return yaml.ScalarNode(NULL, "")


def _listed(data: bytes) -> Iterator[Any]:
    """The entries of a ``model_list``, but those with an alias. May raise any exception.

    One after another: the nodes of all would take twenty times the memory of the text.
    """
    loader = _Composer(data)
    if not _begins(loader, yaml.StreamStartEvent, yaml.DocumentStartEvent, yaml.MappingStartEvent):
        return
    while not loader.check_event(yaml.MappingEndEvent):
        key = loader.compose_node(None, None)
        if key.value != "model_list" or not loader.check_event(yaml.SequenceStartEvent):
            loader.compose_node(None, None)
            continue
        loader.get_event()
        while not loader.check_event(yaml.SequenceEndEvent):
            loader.aliased = False
            node = loader.compose_node(None, None)
            if not loader.aliased:
                yield to_python(node)
        loader.get_event()
    if not _begins(loader, yaml.MappingEndEvent, yaml.DocumentEndEvent, yaml.StreamEndEvent):
        raise ValueError("it is more than one document")


def _plain(data: bytes) -> Iterator[Any]:
    """As ``_listed``, in half the time, of a file without anchors and merge keys, such as is written here. May raise
    any exception.
    """
    loader = LOADERS[0](data)

    @lru_cache(1024)
    def scalar(tag: str | None, text: str, implicit: tuple[bool, bool]) -> Any:
        node = yaml.ScalarNode(loader.resolve(yaml.ScalarNode, text, implicit) if tag in (None, "!") else tag, text)
        if node.tag == MERGE:
            raise ValueError("it has merge keys")
        return to_python(node)

    if not _begins(loader, yaml.StreamStartEvent, yaml.DocumentStartEvent, yaml.MappingStartEvent):
        return
    while not isinstance(key := loader.get_event(), yaml.MappingEndEvent):
        _value(key, loader.get_event, scalar)
        event = loader.get_event()
        if key.value != "model_list" or not isinstance(event, yaml.SequenceStartEvent):
            _value(event, loader.get_event, scalar)
            continue
        while not isinstance(event := loader.get_event(), yaml.SequenceEndEvent):
            yield _value(event, loader.get_event, scalar)
    if not _begins(loader, yaml.DocumentEndEvent, yaml.StreamEndEvent):
        raise ValueError("it is more than one document")


def _value(event: Any, following: Callable[[], Any], scalar: Callable[..., Any]) -> Any:
    """What begins with ``event``, as ``to_python`` has it."""
    if event.anchor is not None:
        raise ValueError("it has anchors or aliases")
    if isinstance(event, yaml.ScalarEvent):
        return scalar(event.tag, event.value, event.implicit)
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(event := following(), yaml.SequenceEndEvent):
            items.append(_value(event, following, scalar))
        return items
    mapping = {}
    while not isinstance(event := following(), yaml.MappingEndEvent):
        key = _value(event, following, scalar)
        mapping[key] = _value(following(), following, scalar)
    return mapping


def _begins(loader: _Composer, *kinds: type[yaml.Event]) -> bool:
    """Whether the next events are of these kinds; takes them."""
    return all(isinstance(loader.get_event(), kind) for kind in kinds)
