"""Publishes the models file on the shared volume: checked first, replaced whole, never touched when nothing changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sidecar.errors import SidecarError
from sidecar.files import read_file, replace_file
from sidecar.models.entries import MANAGED_PREFIX, models_file_bytes


@dataclass(frozen=True)
class Change:
    """What a publication changed, by ``model_name``."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def publish_models(path: Path, items: Sequence[Mapping[str, Any]]) -> Change | None:
    """Make ``path`` the models file of ``items``; None when it was that already. Raises StorageError."""
    data = models_file_bytes(items)
    verify_models_file(data, items)
    old = read_file(path)
    if old == data:
        return None
    replace_file(path, data, mode=0o644)
    return compare(entries_in(old), entries_in(data))


def verify_models_file(data: bytes, items: Sequence[Mapping[str, Any]]) -> None:
    """Parse what is about to be published and hold it against what was meant. Raises SidecarError."""
    parsed = yaml.safe_load(data)
    listed = parsed.get("model_list") if isinstance(parsed, dict) else None
    if not isinstance(listed, list) or len(listed) != len(items):
        raise SidecarError("the generated models file does not parse to what was meant; nothing was published")
    keys = [item["model_info"]["id"] for item in listed]
    if keys != [item["model_info"]["id"] for item in items] or len(set(keys)) != len(keys):
        raise SidecarError("the generated models file has wrong or repeated ids; nothing was published")
    for item in listed:
        if not item["model_info"]["id"].startswith(MANAGED_PREFIX):
            raise SidecarError("the generated models file has an unmanaged entry; nothing was published")


def entries_in(data: bytes | None) -> dict[str, Any]:
    """The entries of a models file by id; nothing for a file that is missing or no models file."""
    try:
        listed = yaml.safe_load(data)["model_list"] if data else []
        return {item["model_info"]["id"]: item for item in listed}
    except Exception:  # a damaged file makes PyYAML raise nearly anything, and must not outlive this sync
        return {}


def managed_in(data: bytes | None) -> dict[str, Any]:
    """The managed entries by id, of a models file or of any config, in which there may be others too."""
    try:
        content = yaml.safe_load(data or b"")
        listed = content.get("model_list") or []
        infos = [(item, (item.get("model_info") or {}).get("id")) for item in listed]
        return {str(key): item for item, key in infos if str(key).startswith(MANAGED_PREFIX)}
    except Exception:  # as above
        return {}


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
    """What changed from one set of entries (by id) to another."""
    return Change(
        tuple(new[key]["model_name"] for key in new if key not in old),
        tuple(str(old[key].get("model_name")) for key in old if key not in new),
        tuple(new[key]["model_name"] for key in new if key in old and old[key] != new[key]),
    )
