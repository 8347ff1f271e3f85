"""Updates the generated entries of an existing LiteLLM config and leaves everything else alone. Pure.

An entry is *managed* if its ``model_info.id`` begins with ``MANAGED_PREFIX``. Only those are replaced, as one
block where the first one was, else at the end of ``model_list``. Every other byte is preserved, and removing
all managed entries again restores the original file, byte for byte. Comments *inside* a managed entry are
removed with it; those between and after managed entries stay. Before it is returned, the result is parsed and
compared with what was intended. Files, locks and backups are the job of ``sidecar.config.file``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

import yaml

from sidecar.config.locate import Flow, Site, locate, refuse_shared
from sidecar.config.older import is_older, model_of, older_error
from sidecar.config.splice import GAP, rewrite
from sidecar.config.yamltext import LOADERS, Source, parse, same_node, to_python
from sidecar.errors import SidecarError, UsageError
from sidecar.litellm_hot_reload.managed import PROVIDER, id_of, is_managed
from sidecar.models.changes import Change, compare, is_same
from sidecar.models.entries import dump_entries

Entry = Mapping[str, object]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Update:
    """An updated config, and what changed.

    ``skipped`` are the generated entries whose name belongs to a hand-written one; ``source`` is a new text parsed.
    """

    text: bytes
    change: Change = Change()
    skipped: tuple[str, ...] = ()
    source: Source | None = field(default=None, compare=False, repr=False)


def update_config(
    text: bytes,
    entries: Sequence[Entry],
    *,
    adopt: bool = False,
    source: Source | None = None,
    name: str = "CONFIG",
) -> Update:
    """Make the managed entries of the config ``text`` exactly ``entries``, in this order; ``source`` is it parsed.

    A hand-written entry takes precedence over a generated one with the same ``model_name``, unless ``adopt`` is
    set and it is for a Copilot model: then it is taken over, as is any hand-written Copilot entry whose model is
    not among ``entries``, and any of the older tool (``sidecar.config.older``), which are refused without. Equal
    entries leave the text unchanged. Raises UsageError for a config that is invalid or cannot be edited (``name`` is
    what a message calls it), SidecarError if the result is not what was intended (a bug).
    """
    try:
        return _update(text, source or parse(text), entries, adopt, name)
    except RecursionError:  # by aliases: what is written one inside another is bounded by `parse`
        raise UsageError("the config is nested too deeply", hint="Check its aliases (`*…`).") from None


def _update(text: bytes, source: Source, entries: Sequence[Entry], adopt: bool, name: str) -> Update:
    site = locate(source)
    values = [to_python(node) for node in site.nodes]
    managed = [number for number, value in enumerate(values) if is_managed(value)]
    older = [number for number, value in enumerate(values) if is_older(value)]
    if older and not adopt:
        raise older_error([(site.nodes[number].start_mark.line + 1, values[number]) for number in older], name)
    adopted = sorted({*older, *_adoptable(values, entries)}.difference(managed)) if adopt else []
    drop = sorted([*managed, *adopted])
    foreign = {_name(value) for value in _without(values, drop)}
    wanted = [entry for entry in entries if entry["model_name"] not in foreign]
    present = [values[number] for number in managed]
    skipped = tuple(str(entry["model_name"]) for entry in entries if entry["model_name"] in foreign)
    if not adopted and is_same(present, wanted):
        return Update(text, skipped=skipped)
    refuse_shared(site, drop)
    new = _candidates(site, drop, wanted)
    data, parsed = _verified(source, site, drop, new, wanted)
    old = {id_of(entry): entry for entry in present}
    taken = [(str(_name(values[number])), model_of(values[number])) for number in adopted]
    return Update(data, compare(old, {id_of(entry): entry for entry in wanted}, taken), skipped, parsed)


def _without(items: Sequence[_T], drop: Sequence[int]) -> list[_T]:
    gone = set(drop)
    return [item for number, item in enumerate(items) if number not in gone]


def _name(value: Any) -> object:
    name = value.get("model_name") if isinstance(value, dict) else None
    return name if isinstance(name, str) else None


def _adoptable(values: Sequence[Any], entries: Sequence[Entry]) -> list[int]:
    names = {entry["model_name"] for entry in entries}
    models = {model_of(entry) for entry in entries}
    return [
        number
        for number, value in enumerate(values)
        if model_of(value).startswith(PROVIDER) and (_name(value) in names or model_of(value) not in models)
    ]


def _block_text(entries: Sequence[Entry]) -> str:
    """The entries as a block sequence, without anchors: they could clash with the file's own."""
    text = dump_entries(entries)
    tokens = yaml.scan(text, Loader=LOADERS[0]) if "&" in text or "*" in text else ()
    if any(isinstance(token, (yaml.AnchorToken, yaml.AliasToken)) for token in tokens):
        raise _bug("a generated entry has an anchor")
    return text


def _flow_text(value: object) -> str:
    """``value`` on one line that is both YAML and JSON."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {_flow_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flow_text(item) for item in value) + "]"
    if isinstance(value, (float, Decimal)):
        # YAML 1.1 reads a number without a decimal point, like 1e-06, as a string.
        fixed = f"{Decimal(str(value)).normalize():f}"
        return fixed if "." in fixed else fixed + ".0"
    if value is None or isinstance(value, (bool, int)):
        return json.dumps(value)
    return "".join(_escaped(char) for char in json.dumps(str(value), ensure_ascii=False))


def _escaped(char: str) -> str:
    if " " <= char <= "~":
        return char
    return f"\\U{ord(char):08x}"


def _candidates(site: Site, drop: Sequence[int], wanted: Sequence[Entry]) -> Iterator[str]:
    """The new text, with fallbacks in case a block scalar before the entries would swallow what now follows it."""
    flow = isinstance(site.listing, Flow) or site.top is not None
    block = "" if flow else _block_text(wanted)
    new = rewrite(site, drop, block, [_flow_text(entry) for entry in wanted] if flow else [])
    yield new
    # At the end of the file it may need the line break that was removed with an entry.
    yield new + site.source.eol
    # Before a comment indented as deeply as its text, it needs another comment that is not.
    yield rewrite(site, drop, GAP, [])


def _verified(
    source: Source, site: Site, drop: Sequence[int], candidates: Iterator[str], wanted: Sequence[Entry]
) -> tuple[bytes, Source]:
    """The first candidate that differs only in the managed entries, as bytes and parsed. Raises SidecarError."""
    for candidate in candidates:
        data = (source.bom + candidate).encode("utf-8")
        try:
            result = locate(parse(data))
        except UsageError:
            continue
        if _as_intended(site, drop, result, wanted):
            return data, result.source
    raise _bug("the result is not what was intended")


def _as_intended(site: Site, drop: Sequence[int], result: Site, wanted: Sequence[Entry]) -> bool:
    values = [to_python(node) for node in result.nodes]
    own = [number for number, value in enumerate(values) if is_managed(value)]
    others, before = _without(result.nodes, own), _without(site.nodes, drop)
    pairs = [*zip(before, others, strict=False)]
    for old, new in zip(site.foreign, result.foreign, strict=False):
        pairs += [(old[0], new[0]), (old[1], new[1])]
    return (
        len(before) == len(others)
        and len(site.foreign) == len(result.foreign)
        and all(same_node(old, new) for old, new in pairs)
        and is_same([values[number] for number in own], wanted)
    )


def _bug(what: str) -> SidecarError:
    return SidecarError(
        f"internal error: {what}; nothing was changed",
        hint="Please report this with the config, secrets removed.",
    )
