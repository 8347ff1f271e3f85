"""Merges settings into the text of a client's own file, so that nothing else of it is lost. Pure.

JSON is written anew, without a change of what it says; in YAML and TOML only the values themselves are edited. Whatever
the edit was, the result has to say exactly what the old file and the new settings say together; if it does not, or
something could not be kept, the file is refused.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import yaml

Values = Mapping[str, Any]


class CannotMergeError(ValueError):
    """Why a file is refused, worded to follow its name."""


def merged(suffix: str, old: str, values: Values, missing: Values) -> str:
    """``old``, a ``.json``, ``.toml`` or ``.yml`` file's text, with ``values`` in it, and what it is ``missing``.

    Raises CannotMergeError.
    """
    read, edit = _FORMATS[suffix]
    try:
        before = read(old)
        values = {**{key: value for key, value in missing.items() if key not in before}, **values}
        expected = _together(before, values)
        text = edit(old, values)
        if before == expected:
            return old
        if read(text) != expected:
            raise CannotMergeError("is laid out in a way that cannot be edited safely")
        return text
    except (json.JSONDecodeError, tomllib.TOMLDecodeError, yaml.YAMLError, RecursionError) as error:
        where = getattr(error, "lineno", None)
        mark = getattr(error, "problem_mark", None)
        line = where or (mark.line + 1 if mark else None)
        more = "; comments and trailing commas in JSON cannot be kept" if suffix == ".json" else ""
        raise CannotMergeError(f"cannot be read{f' at line {line}' if line else ''}{more}") from None


def _together(old: Values, new: Values) -> dict[str, Any]:
    """Mappings are merged; in a list, an item replaces the one of the same ``name``."""
    result = dict(old)
    for key, value in new.items():
        there = result.get(key)
        if isinstance(value, Mapping) and there is not None:
            if not isinstance(there, Mapping):
                raise CannotMergeError(f"has a {key} that is no mapping")
            result[key] = _together(there, value)
        elif isinstance(value, list) and there is not None:
            if not isinstance(there, list):
                raise CannotMergeError(f"has a {key} that is no list")
            ours = {item["name"]: item for item in value}
            kept = [ours.pop(item.get("name"), item) if isinstance(item, dict) else item for item in there]
            result[key] = [*kept, *ours.values()]
        else:
            result[key] = value
    return result


def _read_json(text: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise CannotMergeError("has a key twice")
        return dict(pairs)

    return _mapping(json.loads(text, object_pairs_hook=unique) if text.strip() else {})


def _mapping(content: Any) -> dict[str, Any]:
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise CannotMergeError("is no mapping")
    return content


def _edit_json(old: str, values: Values) -> str:
    indent = re.search(r"\n([ \t]+)\S", old)
    return json.dumps(_together(_read_json(old), values), indent=indent[1] if indent else 2, ensure_ascii=False) + "\n"


_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)


def _edit_toml(old: str, values: Values) -> str:
    text, added = old, ""
    for key, value in values.items():
        if isinstance(value, Mapping):
            for name, content in value.items():
                text = _toml_table(text, f"{key}.{name}", content)
            continue
        header = _HEADER.search(text)
        head, rest = (text[: header.start()], text[header.start() :]) if header else (text, "")
        head, found = _toml_replaced(head, key, value)
        text, added = head + rest, added if found else added + _toml_line(key, value)
    return added + ("\n" if added and text else "") + text


def _toml_table(text: str, name: str, content: Values) -> str:
    begin = re.search(rf"^[ \t]*\[{re.escape(name)}\][^\n]*\n?", text, re.MULTILINE)
    if not begin:
        gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        return text + gap + f"[{name}]\n" + "".join(_toml_line(*pair) for pair in content.items())
    end = _HEADER.search(text, begin.end())
    inside, rest = text[begin.end() : end.start() if end else None], text[end.start() :] if end else ""
    added = ""
    for key, value in content.items():
        inside, found = _toml_replaced(inside, key, value)
        added += "" if found else _toml_line(key, value)
    return text[: begin.end()] + added + inside + rest


def _toml_replaced(part: str, key: str, value: Any) -> tuple[str, bool]:
    """The value of a key on one line replaced, and whether it was there; what follows on the line stays."""
    line = re.compile(rf"""^([ \t]*{re.escape(key)}[ \t]*=[ \t]*)("[^"\n]*"|'[^'\n]*'|[\w.+-]+)""", re.MULTILINE)
    text, count = line.subn(lambda match: match[1] + json.dumps(value), part, count=1)
    return text, count > 0


def _toml_line(key: str, value: Any) -> str:
    return f"{key} = {json.dumps(value)}\n"  # for plain text and numbers, JSON is TOML


def _edit_yaml(old: str, values: Values) -> str:
    node = yaml.compose(old, yaml.SafeLoader)
    there = {key.value: value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}
    spans: list[tuple[int, int, str]] = []
    added = ""
    for key, value in values.items():
        found = there.get(key)
        if found is None:
            added += yaml.safe_dump({key: value}, **_YAML)
        elif isinstance(found, yaml.SequenceNode) and isinstance(value, list):
            spans += _yaml_items(found, value)
        else:
            start, end = found.start_mark.index, _end(found)
            new = yaml.safe_dump(value, **_YAML).removesuffix("...\n").rstrip()
            before = "\n" if isinstance(value, list) else " " if start == end else ""
            spans.append((start, end, before + new + ("\n" if old[start:end].endswith("\n") else "")))
    text = old
    for start, end, new in sorted(spans, reverse=True):
        text = text[:start] + new + text[end:]
    return text + ("\n" if added and text and not text.endswith("\n") else "") + added


_YAML: dict[str, Any] = {"sort_keys": False, "width": 10_000, "allow_unicode": True}


def _yaml_items(found: yaml.SequenceNode, items: list[Any]) -> list[tuple[int, int, str]]:
    """Items of the same name replaced where they are, the others after the last one."""
    names: dict[str, yaml.Node] = {}
    for node in found.value:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        names |= {value.value: node for key, value in pairs if key.value == "name"}
    spans, new = [], ""
    if found.flow_style:
        block = "\n" + yaml.safe_dump(items, **_YAML).rstrip()
        return [(found.start_mark.index, found.end_mark.index, block)]  # an empty list: else it is refused
    column = found.start_mark.column
    for item in items:
        text = yaml.safe_dump(item, **_YAML).rstrip()
        if node := names.get(item["name"]):
            at = "\n" + " " * node.start_mark.column
            spans.append((node.start_mark.index, _end(node), text.replace("\n", at)))
        else:
            new += "\n" + " " * column + "- " + text.replace("\n", "\n" + " " * (column + 2))
    last = _end(found)
    return [*spans, (last, last, new)]


def _end(node: yaml.Node) -> int:
    """Where a node's last character is; a block's own end mark stands after the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


_FORMATS: dict[str, tuple[Callable[[str], dict[str, Any]], Callable[[str, Values], str]]] = {
    ".json": (_read_json, _edit_json),
    ".toml": (tomllib.loads, _edit_toml),
    ".yml": (lambda text: _mapping(yaml.safe_load(text)), _edit_yaml),
    ".yaml": (lambda text: _mapping(yaml.safe_load(text)), _edit_yaml),
}
