"""A ConfigMap as the target of a sync: the models file as one key of it, the memory, compressed, as another.

Nothing is sent when nothing changed. A patch carries the ``resourceVersion`` that was read, so that of two
writers the slower one is refused, reads again and starts from what the other wrote.
Needs no more than ``get`` and ``patch`` on this one object, which has to exist.
"""

from __future__ import annotations

import base64
import gzip
import logging
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tenacity

from sidecar.errors import Stopped, StorageError, UpstreamError, UsageError
from sidecar.models.entries import Entry, models_file_bytes
from sidecar.settings import Settings
from sidecar.targets.kubernetes import Conflict, Forbidden, KubernetesApi
from sidecar.targets.models_file import Change, compare, entries_in, verify_models_file

log = logging.getLogger(__name__)

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
KEY = "copilot_models.yaml"
ABSENCES_KEY = "copilot_models.memory.json.gz"
MAX_BYTES = 1024 * 1024
"""Bytes that the values of a ConfigMap may have in all; the API server refuses more."""
RETRY_DEADLINE = 60.0
"""Seconds for which an API server that is away, overloaded or contended is tried."""
LONGEST_WAIT = 30.0
_MAX_MEMORY = 64 * 1024 * 1024

Make = Callable[[bytes | None], tuple[Sequence[Entry], bytes]]
"""From the stored memory (None: there is none) to the entries and the new memory; called again after a conflict."""


class ConfigMapTarget:
    """One ConfigMap: ``reference`` is its name, or ``namespace/name``; the namespace is the pod's if not given."""

    def __init__(self, reference: str, host: str, port: int, account: Path = SERVICE_ACCOUNT) -> None:
        self.api = KubernetesApi(host, port, account)
        namespace, _, name = reference.rpartition("/")
        namespace = namespace or self.api.namespace
        self.name = f"ConfigMap {namespace}/{name}"
        self.path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
        self._unanswered: tuple[object, object] | None = None
        self._change: Change | None = None
        self._was_away = False

    def update(self, make: Make, stop: threading.Event) -> Change | None:
        """Bring the object up to date; None when the entries were the same.

        Raises UpstreamError (the API server fails), StorageError (it refuses, or the object would be too large);
        then nothing has changed.
        """

        def sleep(seconds: float) -> None:
            if stop.wait(seconds):
                raise Stopped("interrupted between two tries")

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._worth_another_try),
            stop=tenacity.stop_before_delay(RETRY_DEADLINE) | tenacity.stop_when_event_set(stop),
            wait=_wait,
            sleep=sleep,
            before_sleep=_say,
            reraise=True,
        )
        return retrying(self._once, make)

    def _once(self, make: Make) -> Change | None:
        found = self.api.get(self.path, self.name)
        data, binary = found.get("data") or {}, found.get("binaryData") or {}
        old, stored = str(data.get(KEY, "")), _unpack(binary.get(ABSENCES_KEY))
        if self._unanswered is not None and self._unanswered == (data.get(KEY), binary.get(ABSENCES_KEY)):
            log.info("the patch that got no answer has arrived")
            return self._change
        entries, remembered = make(stored)
        text = models_file_bytes(entries)
        verify_models_file(text, entries)
        new = entries_in(text)
        patch: dict[str, Any] = {}
        if text.decode("ascii") != old:
            patch["data"] = {KEY: text.decode("ascii")}
        if remembered != stored:
            patch["binaryData"] = {ABSENCES_KEY: base64.b64encode(gzip.compress(remembered, mtime=0)).decode("ascii")}
        if not patch:
            return None
        self._change = compare(entries_in(old.encode()), new) if "data" in patch else None
        data, binary = {**data, **patch.get("data", {})}, {**binary, **patch.get("binaryData", {})}
        self._check_size(data, binary)
        self._unanswered = data.get(KEY), binary.get(ABSENCES_KEY)
        patch["metadata"] = {"resourceVersion": found["metadata"]["resourceVersion"]}
        try:
            self.api.patch(self.path, self.name, patch)
        except (Conflict, StorageError):
            self._unanswered = None
            raise
        self._unanswered = None
        return self._change

    def _worth_another_try(self, error: BaseException) -> bool:
        if isinstance(error, UpstreamError):
            self._was_away = True
            return error.retry_after is None or error.retry_after <= LONGEST_WAIT
        # A server that has only just come back refuses everybody until it has read the roles.
        return isinstance(error, Conflict) or (isinstance(error, Forbidden) and self._was_away)

    def _check_size(self, data: Mapping[str, str], binary: Mapping[str, str]) -> None:
        size = sum(len(value.encode("utf-8")) for value in data.values())
        size += sum(len(base64.b64decode(value)) for value in binary.values())
        if size > MAX_BYTES:
            raise StorageError(
                f"{self.name} would contain {size} bytes, but a ConfigMap is limited to {MAX_BYTES}; it is unchanged",
                hint="Take fewer models (COPILOT_MODELS_INCLUDE), remove other keys from it, or use the variant that "
                "keeps the models file on a volume.",
            )


def configmap_target(settings: Settings) -> ConfigMapTarget | None:
    """The ConfigMap that the settings name; None when they name none. Raises UsageError, StorageError."""
    if settings.configmap is None:
        return None
    if not settings.kubernetes_host:
        raise UsageError(
            "COPILOT_CONFIGMAP is set, but KUBERNETES_SERVICE_HOST is not: this is no pod",
            hint="Unset COPILOT_CONFIGMAP outside Kubernetes; `sync` then writes COPILOT_MODELS_FILE.",
        )
    return ConfigMapTarget(settings.configmap, settings.kubernetes_host, settings.kubernetes_port)


def _unpack(text: str | None) -> bytes | None:
    """The stored memory: None for none, no bytes for one that is damaged (which ``memory.recall`` then says)."""
    if text is None:
        return None
    try:
        unzip = zlib.decompressobj(wbits=31)
        content = unzip.decompress(base64.b64decode(text), _MAX_MEMORY)
        return content if unzip.eof else b""
    except (ValueError, zlib.error):
        return b""


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, UpstreamError) and error.retry_after is not None:
        return error.retry_after
    return float(tenacity.wait_random_exponential(multiplier=0.2, min=0.05, max=5.0)(state))


def _say(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.info("%s; trying again", error)
