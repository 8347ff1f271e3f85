"""A ConfigMap as the target of a sync: one key is the models file, another the compressed record of absences.

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
from sidecar.models.entries import models_file_bytes
from sidecar.settings import Settings
from sidecar.targets.base import Make, Synced
from sidecar.targets.kubernetes import KubernetesApi
from sidecar.targets.models_file import entries_in, verify_models_file

log = logging.getLogger(__name__)

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
KEY = "copilot_models.yaml"
ABSENCES_KEY = "copilot_models.memory.json.gz"
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
            log.info("the patch without a response was applied")
            return self._unanswered[2]
        built = self.make(stored)
        text = models_file_bytes(built.entries)
        entries = verify_models_file(text, built.entries)
        patch: dict[str, Any] = {}
        if text.decode("ascii") != old:
            patch["data"] = {KEY: text.decode("ascii")}
        if built.absences != stored:
            packed = base64.b64encode(gzip.compress(built.absences, mtime=0)).decode("ascii")
            patch["binaryData"] = {ABSENCES_KEY: packed}
        change = compare(entries_in(old.encode("utf-8", "replace")), entries) if "data" in patch else None
        synced = Synced(self.name, built, change)
        if not patch:
            return synced
        data, binary = {**data, **patch.get("data", {})}, {**binary, **patch.get("binaryData", {})}
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
        size = sum(len(value.encode("utf-8", "replace")) for value in data.values())
        size += sum(len(value) * 3 // 4 for value in binary.values())  # as base64
        if size > MAX_BYTES:
            raise StorageError(
                f"{self.name} would contain {size} bytes, but a ConfigMap is limited to {MAX_BYTES}; it is unchanged",
                hint="Select fewer models (COPILOT_MODELS_INCLUDE), remove other keys from it, or use the variant that "
                "keeps the models file on a volume.",
            )


def configmap_target(settings: Settings) -> ConfigMapTarget | None:
    """The ConfigMap that the settings name; None if they name none. Raises UsageError, StorageError."""
    if settings.configmap is None:
        return None
    if not settings.kubernetes_host:
        raise UsageError(
            "COPILOT_CONFIGMAP is set, but KUBERNETES_SERVICE_HOST is not: this is not a pod",
            hint="Unset COPILOT_CONFIGMAP outside Kubernetes; `sync` then writes COPILOT_MODELS_FILE.",
        )
    return ConfigMapTarget(settings.configmap, settings.kubernetes_host, settings.kubernetes_port)


def _unpack(text: str | None) -> bytes | None:
    """The stored record of absences: None if there is none, empty if it is damaged (the sync then logs that)."""
    if text is None:
        return None
    try:
        unzip = zlib.decompressobj(wbits=31)
        content = unzip.decompress(base64.b64decode(text), MAX_SIZE)
        return content if unzip.eof else b""
    except (ValueError, zlib.error):
        return b""
