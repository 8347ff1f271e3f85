"""Reads a LiteLLM config as LiteLLM does: the file, its includes, and ``os.environ/…`` resolved.

Unlike the models file, it is the user's own and contains entries for any provider, so its values are not checked.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from .bounded import read_bounded
from .watched import Watched

Entry = dict[str, Any]
MAX_SIZE = 8 * 2**20
MAX_FILES = 100
_LIVE = ("model_list", "include")


class ConfigFile(Watched):
    """``entries`` is the ``model_list`` of the last good config, None before there was one; ``settings`` is
    everything else in it.
    """

    def __init__(self, path: Path, resolve: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        super().__init__("the config", path)
        self._resolve = resolve
        self.entries: list[Entry] | None = None
        self.settings: dict[str, Any] = {}

    def _load(self) -> None:
        files: list[Path] = []
        raw = read(self.path, files)
        entries = self._resolve({"model_list": copy.deepcopy(raw.get("model_list") or [])})["model_list"]
        for number, entry in enumerate(entries, 1):
            if not _is_entry(entry):
                # Not what it contains, which may be a key.
                raise ValueError(f"item {number} of model_list needs a model_name and litellm_params.model")
        self.entries, self.files = entries, [str(path) for path in files]
        self.settings = {key: value for key, value in raw.items() if key not in _LIVE}


def read(path: Path, files: list[Path]) -> dict[str, Any]:
    """The mapping in ``path`` with its includes merged in: lists are appended, other values replace those of the
    including file. Appends every file read to ``files``. Raises OSError, ValueError, yaml.YAMLError.
    """
    if path in files:
        raise ValueError(f"{path} includes itself")
    if len(files) == MAX_FILES:
        raise ValueError(f"more than {MAX_FILES} files are included")
    files.append(path)
    content = _parsed(path, read_bounded(path, MAX_SIZE))
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a mapping")
    included = content.get("include") or []
    for name in included if isinstance(included, list) else [included]:
        for key, value in read(path.parent / str(name), files).items():
            if isinstance(value, list) and isinstance(content.get(key), list):
                content[key] = [*content[key], *value]
            elif key != "include":
                content[key] = value
    return content


def _parsed(path: Path, data: bytes) -> Any:
    try:
        return yaml.safe_load(data)
    except Exception as error:  # PyYAML raises more than it documents
        # Not the error's own text: it may quote a value, which may be a key.
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise ValueError(f"{path}{place}: not valid YAML ({type(error).__name__})") from None


def _is_entry(entry: Any) -> bool:
    params = entry.get("litellm_params") if isinstance(entry, dict) else None
    return isinstance(params, dict) and bool(params.get("model")) and isinstance(entry.get("model_name"), str)
