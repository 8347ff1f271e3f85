"""A ConfigMap as the target of a sync: one key is the models file, others, compressed, the record of absences and the
history of changes. Where the object has no room for the history, it goes without.

Nothing is sent if nothing has changed. A patch carries the ``resourceVersion`` that was read, so that the
slower of two writers gets a conflict and starts over from what the other one wrote. Needs only ``get`` and
``patch`` on this one object, which must exist.
"""

from __future__ import annotations

import base64
import gzip
import logging
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidecar.errors import Conflict, Forbidden, StorageError, UpstreamError, UsageError
from sidecar.files import MAX_SIZE
from sidecar.http_client import is_transient, retrying
from sidecar.models.changes import compare
from sidecar.models.history import with_events
from sidecar.settings import Settings
from sidecar.targets.base import Make, Synced
from sidecar.targets.kubernetes import KubernetesApi
from sidecar.targets.models_file import entries_in, verify_models_file

log = logging.getLogger(__name__)

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
KEY = "copilot_models.yaml"
ABSENCES_KEY = "copilot_models.memory.json.gz"
HISTORY_KEY = "changes.jsonl.gz"
MAX_HISTORY = 500, 128 * 1024
"""Lines and bytes of the history before it is compressed: every node with a LiteLLM gets a copy of the object."""
MAX_BYTES = 1024 * 1024
"""Maximum total size of a ConfigMap's values in bytes; the API server rejects more."""
RETRY_DEADLINE = 60.0
"""Seconds after which an unreachable, overloaded or contended API server is no longer retried."""
MAX_WAIT = 30.0


class ConfigMapTarget:
    """One ConfigMap: ``reference`` is its name, or ``namespace/name``; the default namespace is the pod's."""

    def __init__(self, reference: str, host: str, port: int, account: Path = SERVICE_ACCOUNT) -> None:
        self.api = KubernetesApi(host, port, account)
        namespace, _, name = reference.rpartition("/")
        namespace = namespace or self.api.namespace
        self.name = f"ConfigMap {namespace}/{name}"
        self.path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"

    def update(self, make: Make, stop: threading.Event) -> Synced:
        """As in ``Target``; ``make`` is called again after a conflict.

        Raises UpstreamError (the API server fails), StorageError (it refuses, or the object would be too large);
        then the object is unchanged.
        """
        update = _Update(self.api, self.path, self.name, make)
        return retrying(update.attempt, stop, deadline=RETRY_DEADLINE, retry_if=update.is_transient)


class _Update:
    """One update, with the state that is kept between attempts."""

    def __init__(self, api: KubernetesApi, path: str, name: str, make: Make) -> None:
        self.api, self.path, self.name, self.make = api, path, name, make
        self._unanswered: tuple[object, object, Synced] | None = None
        self._was_unavailable = False

    def attempt(self) -> Synced:
        found = self.api.get(self.path, self.name)
        data, binary = found.get("data") or {}, found.get("binaryData") or {}
        old, stored = data.get(KEY, ""), _unpack(binary.get(ABSENCES_KEY))
        if self._unanswered is not None and self._unanswered[:2] == (data.get(KEY), binary.get(ABSENCES_KEY)):
            log.info("the patch without a response was applied", extra={"event": "configmap.patched"})
            return self._unanswered[2]
        built = self.make(stored)
        text = built.models_file
        entries = verify_models_file(text, built.entries)
        patch: dict[str, Any] = {}
        if text.decode("ascii") != old:
            patch["data"] = {KEY: text.decode("ascii")}
        change = compare(entries_in(old.encode("utf-8", "replace")), entries) if "data" in patch else None
        events = built.all_events(change)
        ours: dict[str, str | None] = {} if built.absences == stored else {ABSENCES_KEY: _pack(built.absences)}
        if events:
            recorded = _unpack(binary.get(HISTORY_KEY), MAX_HISTORY[1] + 1) or b""
            ours[HISTORY_KEY] = _pack(with_events(recorded, events, *MAX_HISTORY))
        synced = Synced(self.name, built, change, events=events)
        if not patch and not ours:
            return synced
        data, binary = {**data, **patch.get("data", {})}, {**binary, **ours}
        if _size(data, binary) > MAX_BYTES and HISTORY_KEY in binary:
            extra = {"event": "history.omitted"}
            log.warning("%s has no room for the history of changes, which is left out", self.name, extra=extra)
            ours[HISTORY_KEY] = None
            del binary[HISTORY_KEY]
        patch |= {"binaryData": ours} if ours else {}
        self._check_size(data, binary)
        self._unanswered = data.get(KEY), binary.get(ABSENCES_KEY), synced
        patch["metadata"] = {"resourceVersion": found["metadata"]["resourceVersion"]}
        try:
            self.api.patch(self.path, self.name, patch)
        except (Conflict, StorageError):
            self._unanswered = None
            raise
        return synced

    def is_transient(self, error: BaseException) -> bool:
        self._was_unavailable = self._was_unavailable or (
            isinstance(error, UpstreamError) and not isinstance(error, Conflict)
        )
        # An API server that has just restarted denies everything until it has loaded the roles.
        return is_transient(error, MAX_WAIT) or (isinstance(error, Forbidden) and self._was_unavailable)

    def _check_size(self, data: Mapping[str, str], binary: Mapping[str, str]) -> None:
        size = _size(data, binary)
        if size > MAX_BYTES:
            raise StorageError(
                f"{self.name} would contain {size} bytes, but a ConfigMap is limited to {MAX_BYTES}; it is unchanged",
                hint="Select fewer models (COPILOT_MODELS_INCLUDE), remove other keys from it, or use the variant that "
                "keeps the models file on a volume.",
            )


def configmap_target(name: str, settings: Settings) -> ConfigMapTarget:
    """The ConfigMap of that name. Raises UsageError, StorageError."""
    if not settings.kubernetes_host:
        raise UsageError(
            "COPILOT_CONFIGMAP is set, but KUBERNETES_SERVICE_HOST is not: this is not a pod",
            hint="Unset COPILOT_CONFIGMAP outside Kubernetes; `sync` then writes COPILOT_MODELS_FILE.",
        )
    return ConfigMapTarget(name, settings.kubernetes_host, settings.kubernetes_port)


def _size(data: Mapping[str, str], binary: Mapping[str, str]) -> int:
    """Of a ConfigMap's values, in bytes; those of ``binary`` are in base64."""
    return sum(len(value.encode("utf-8", "replace")) for value in data.values()) + sum(
        len(value) * 3 // 4 for value in binary.values()
    )


def _pack(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, mtime=0)).decode("ascii")


def _unpack(text: str | None, limit: int = MAX_SIZE) -> bytes | None:
    """What is stored compressed: None if there is nothing, empty if it is damaged or larger than ``limit`` bytes."""
    if text is None:
        return None
    try:
        unzip = zlib.decompressobj(wbits=31)
        content = unzip.decompress(base64.b64decode(text), limit)
        return content if unzip.eof else b""
    except (ValueError, zlib.error):
        return b""
