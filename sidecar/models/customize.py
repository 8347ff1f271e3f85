"""The user's own files: aliases (additional model names) and overrides (values merged over generated ones).

Both are YAML mappings, read again on every sync. Errors name the file and the line; nothing is published
while either file is invalid.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from sidecar.errors import UsageError
from sidecar.litellm_hot_reload.allowed import info_problem, param_problem
from sidecar.models.catalog import Model, id_problem
from sidecar.parsers import pattern_problem
from sidecar.settings import Settings
from sidecar.text import printable

_NEWEST = "newest of "
_PARTS = {"litellm_params": param_problem, "model_info": info_problem}
_REASONS = {
    "model": "it selects the model that is called",
    "api_key": "Copilot's key comes from the login, and the models file must not contain secrets",
    "api_base": "the Copilot token would be sent to that address",
    "base_url": "the Copilot token would be sent to that address",
    "configurable_clientside_auth_params": "clients could have the Copilot token sent to an address of their own",
    "use_litellm_proxy": "the Copilot token would be sent to another proxy",
    "custom_llm_provider": "the provider is github_copilot",
    "litellm_credential_name": "COPILOT_CREDENTIAL_NAME sets it, for all models",
    "github_copilot_auth_type": "COPILOT_CREDENTIAL_NAME sets it, for all models",
    "github_copilot_host": "the host is part of the credential that COPILOT_CREDENTIAL_NAME names",
    "cache_models_for": "LiteLLM would send it to Copilot, which rejects it",
}
"""Keys of ``litellm_params`` that people may want, and why they cannot have them here."""


class Alias(NamedTuple):
    """An additional name; ``target`` is a model id, or a pattern when ``newest`` is set."""

    name: str
    target: str
    newest: bool


class Override(NamedTuple):
    """Values for the entries of all models whose id matches ``pattern``."""

    pattern: str
    values: Mapping[str, Mapping[str, Any]]


class Custom(NamedTuple):
    """The contents of both files."""

    aliases: tuple[Alias, ...] = ()
    overrides: tuple[Override, ...] = ()


def load_custom(settings: Settings, read: Callable[[Path], bytes | None]) -> Custom:
    """The files that COPILOT_ALIASES_FILE and COPILOT_OVERRIDES_FILE name; ``read`` gives None for a missing one.

    Raises UsageError, and what ``read`` raises.
    """
    aliases = tuple(
        _alias(settings.aliases_file, pair)
        for pair in _parse_mapping(settings.aliases_file, "COPILOT_ALIASES_FILE", read)
    )
    overrides = tuple(
        _override(settings.overrides_file, pair)
        for pair in _parse_mapping(settings.overrides_file, "COPILOT_OVERRIDES_FILE", read)
    )
    return Custom(aliases, overrides)


def resolve_aliases(
    aliases: Iterable[Alias], models: Sequence[Model], taken: Iterable[str]
) -> tuple[dict[str, str], list[str]]:
    """The model id behind each alias, and a note on each alias that was skipped.

    ``newest of PATTERN`` is the matching model with the highest numbers in its id, compared from left to
    right; ties go to a model that is not a preview, then to the shortest id, then to the first in
    alphabetical order. A name in ``taken`` belongs to a real model, which keeps it.
    """
    ids, real = {model.id for model in models}, set(taken)
    resolved: dict[str, str] = {}
    notes = []
    for alias in aliases:
        matching = [model for model in models if fnmatchcase(model.id, alias.target)] if alias.newest else []
        if alias.name in real:
            notes.append(f"the alias {alias.name} is skipped: a model has that name")
        elif alias.newest and matching:
            resolved[alias.name] = max(sorted(matching, key=lambda model: model.id), key=_recency).id
        elif not alias.newest and alias.target in ids:
            resolved[alias.name] = alias.target
        else:
            notes.append(f"the alias {alias.name} is skipped: no model matches {printable(alias.target)}")
    return resolved, notes


def unused_overrides(overrides: Iterable[Override], models: Sequence[Model]) -> list[str]:
    """A note on each override that is for none of the models."""
    return [
        f"the override for {printable(override.pattern)} does nothing: no model matches it"
        for override in overrides
        if not any(fnmatchcase(model.id, override.pattern) for model in models)
    ]


def _recency(model: Model) -> tuple[tuple[int, ...], bool, int]:
    return tuple(int(digits) for digits in re.findall(r"\d{1,18}", model.id)), not model.preview, -len(model.id)


def with_overrides(entry: dict[str, Any], model_id: str, overrides: Iterable[Override]) -> dict[str, Any]:
    """``entry`` with the values of all overrides for ``model_id`` merged over it, later ones last."""
    own = [override.values for override in overrides if fnmatchcase(model_id, override.pattern)]
    result = copy.deepcopy(entry) if own else entry
    for values in own:
        _merge(result, values)
    return result


def _merge(target: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = copy.deepcopy(value)


def _alias(path: Path | None, pair: _Pair) -> Alias:
    line, name, value = pair.line(), pair.key, pair.value
    if id_problem(name):
        raise _error(path, line, f"the alias {printable(name)!r} is not a valid model name")
    if not isinstance(value, str):
        raise _error(path, line, f"the alias {name} must refer to a model id, or `newest of` and a pattern")
    newest = value.startswith(_NEWEST)
    target = value.removeprefix(_NEWEST).strip()
    if not target or (not newest and id_problem(target)):
        raise _error(path, line, f"the alias {name} refers to {printable(value)!r}, which is not a valid model id")
    if newest and (problem := pattern_problem(target)):
        raise _error(path, line, f"the alias {name} can match nothing: its pattern {printable(target)} {problem}")
    return Alias(name, target, newest)


def _override(path: Path | None, pair: _Pair) -> Override:
    pattern, value = pair.key, pair.value
    if problem := pattern_problem(pattern):
        raise _error(path, pair.line(), f"{printable(pattern)} can match nothing: it {problem}")
    if not isinstance(value, dict) or not value:
        raise _error(path, pair.line(), f"{printable(pattern)} must contain litellm_params, model_info or both")
    for part, content in value.items():
        line = pair.line(part)
        if part not in _PARTS:
            raise _error(
                path,
                line,
                f"{printable(pattern)} has {printable(part)!r}; only litellm_params and model_info are allowed",
            )
        if not isinstance(content, dict):
            raise _error(path, line, f"{part} of {printable(pattern)} is not a mapping")
        for key, item in content.items():
            line, unsupported = pair.line(part, key), _unsupported_value({key: item})
            if unsupported:
                raise _error(path, line, f"{part} of {printable(pattern)} contains {unsupported}")
            reason = _REASONS.get(key) if part == "litellm_params" else None
            wrong = f"must not be set: {reason}" if reason else _PARTS[part](key, item)
            if wrong:
                raise _error(path, line, f"{part}.{printable(key, 60)} of {printable(pattern)} {wrong}")
    return Override(pattern, value)


def _unsupported_value(value: Any) -> str | None:
    """What in ``value`` LiteLLM's configuration does not allow; None if nothing."""
    if isinstance(value, dict):
        odd = next((key for key in value if not isinstance(key, str)), None)
        found = next(filter(None, map(_unsupported_value, value.values())), None)
        return f"the key {printable(odd)}, which is not a string" if odd is not None else found
    if isinstance(value, list):
        return next(filter(None, map(_unsupported_value, value)), None)
    if isinstance(value, float) and not math.isfinite(value):
        return "a number that is not finite"
    if value is None or isinstance(value, (str, int, float)):
        return None
    return f"{printable(value)}, which YAML reads as a {type(value).__name__}; put it in quotes"


class _Pair(NamedTuple):
    """A key of the mapping in a file, and its value, with their nodes."""

    key: str
    value: Any
    nodes: tuple[yaml.Node, yaml.Node]

    def line(self, *path: object) -> int:
        """The line of the key, or of a key below it; of the nearest that is written where it is looked for."""
        at, node = self.nodes
        for name in path:
            pairs = node.value if isinstance(node, yaml.MappingNode) else []
            found = next(((key, value) for key, value in pairs if key.value == str(name)), None)
            if found is None:
                break
            at, node = found
        return int(at.start_mark.line) + 1


def _parse_mapping(path: Path | None, variable: str, read: Callable[[Path], bytes | None]) -> list[_Pair]:
    """The pairs of the mapping in ``path``; none if no file is set."""
    if path is None:
        return []
    data = read(path)
    if data is None:
        raise UsageError(f"{variable}: {path} does not exist", hint="Correct the path, or unset the variable.")
    try:
        loader = yaml.SafeLoader(data)
        try:
            node = loader.get_single_node()
            if node is None:
                return []
            if not isinstance(node, yaml.MappingNode):
                raise _error(path, 1, "the file is not a mapping")
            pairs: list[_Pair] = []
            for key, value in node.value:
                line = key.start_mark.line + 1
                name = loader.construct_document(key)
                if not isinstance(name, str):
                    raise _error(path, line, f"the key {printable(name)} is not a string; put it in quotes")
                if any(name == other.key for other in pairs):
                    raise _error(path, line, f"{printable(name)} appears twice")
                pairs.append(_Pair(name, loader.construct_document(value), (key, value)))
            return pairs
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        text = getattr(error, "problem", None) or type(error).__name__
        raise _error(path, mark.line + 1 if mark else 1, f"not valid YAML: {printable(text)}") from None


def _error(path: Path | None, line: int, text: str) -> UsageError:
    return UsageError(
        f"{path}, line {line}: {text}",
        hint="Correct that line; docs/reference.md lists what it may contain. Entries in config.yaml may have any key.",
    )
