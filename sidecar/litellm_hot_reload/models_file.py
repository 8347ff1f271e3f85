"""Reads the models file: accepts only managed entries, with the value types that LiteLLM relies on without checking."""

from __future__ import annotations

import datetime
import json
import logging
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from .managed import PROVIDER, is_managed
from .watched import Watched

log = logging.getLogger("copilot_hook")

Entry = dict[str, Any]


class ModelsFile(Watched):
    """``wanted`` is what the last good file contained, by id; None before there was one."""

    def __init__(self, path: Path) -> None:
        super().__init__("the models file", path)
        self.wanted: dict[str, Entry] | None = None

    def _load(self) -> None:
        entries = entries_in(self.path.read_bytes())
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
    """Rejects aliases: a few lines of them can expand to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it contains YAML aliases")
        return super().compose_node(parent, index)


def entries_in(data: bytes) -> dict[str, Entry]:
    """The managed entries of a models file by id, in file order. May raise any exception."""
    content = yaml.load(data, Loader=_Loader)  # type: ignore[arg-type]  # noqa: S506
    listed = content.get("model_list") if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise ValueError("it has no model_list")
    entries = {}
    for item in listed:
        if not _is_entry(item):
            raise ValueError(f"an item of its model_list is not a managed entry: {item!r:.100}")
        entries[item["model_info"]["id"]] = json.loads(json.dumps(item, allow_nan=False, default=_plain))
    return entries


def _plain(value: Any) -> str:
    if isinstance(value, datetime.date):
        return value.isoformat()
    raise TypeError(f"it contains a {type(value).__name__}")


def _is_entry(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    params, info, name = item.get("litellm_params"), item.get("model_info"), item.get("model_name")
    if not isinstance(params, dict) or not isinstance(info, dict) or not isinstance(name, str):
        return False
    headers = params.get("extra_headers") or {}
    amounts = [value for key, value in info.items() if "_cost" in str(key) or str(key).endswith("_tokens")]
    return (
        name != ""
        and "*" not in name
        and is_managed(item)
        and str(params.get("model", "")).startswith(PROVIDER)
        and isinstance(headers, dict)
        and all(isinstance(text, str) for pair in headers.items() for text in pair)
        and isinstance(info.get("mode") or "", str)
        and all(isinstance(amount, (int, float)) and 0 <= amount < 1e15 for amount in amounts if amount is not None)
    )
