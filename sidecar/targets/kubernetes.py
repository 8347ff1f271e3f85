"""One object of the Kubernetes API, read and patched by the pod's own service account.

Its token and the CA are read again on every call, because they rotate. Refusals are distinguished from temporary
failures; response bodies never appear in messages, and no proxy is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidecar.errors import BadAnswer, Conflict, Forbidden, StorageError, Unreachable
from sidecar.http_client import Answer, send
from sidecar.litellm_hot_reload.bounded import regular_file
from sidecar.parsers import is_header_value
from sidecar.secret import Secret

MAX_BYTES = 65_536
"""Larger than any file of a service account."""
MAX_ANSWER = 4 * 1024 * 1024
"""Four times what the values of a ConfigMap may be in all: for what JSON escapes in them, and for its metadata."""
_HINT = "What is published is kept. Check the API server, and the network policy between it and this pod."


class KubernetesApi:
    """The API server at ``host``, as the service account whose files are in ``account``. Raises StorageError."""

    def __init__(self, host: str, port: int, account: Path) -> None:
        address = f"[{host}]" if ":" in host else host
        self.url, self.account = f"https://{address}:{port}", account
        self.namespace = _read(account / "namespace")

    def get(self, path: str, name: str) -> dict[str, Any]:
        """The object at ``path``; ``name`` is for messages. Raises UpstreamError, StorageError."""
        return self._call("GET", path, name, None)

    def patch(self, path: str, name: str, patch: Mapping[str, Any]) -> dict[str, Any]:
        """Merge ``patch`` into the object. Raises Conflict, UpstreamError (it may have been applied), StorageError."""
        return self._call("PATCH", path, name, patch)

    def _call(self, method: str, path: str, name: str, patch: Mapping[str, Any] | None) -> dict[str, Any]:
        token = Secret(_read(self.account / "token"), passing=True)
        query = "" if patch is None else "?fieldManager=copilot-model-sync"
        try:
            answer = send(
                method,
                self.url + path + query,
                headers={} if patch is None else {"content-type": "application/merge-patch+json"},
                authorization=("Bearer", token),
                body=patch,
                ca_file=str(self.account / "ca.crt"),
                no_proxy=True,
                max_bytes=MAX_ANSWER,
            )
        except Unreachable as error:
            raise type(error)(f"the API server: {error}", hint=_HINT) from None
        except BadAnswer as error:  # a redirect, or larger than any object can be
            raise StorageError(f"the API server: {error}", hint=_HINT) from None
        _check(method.lower(), name, answer)
        if not _is_object(answer.json):
            raise BadAnswer("the API server answered with something other than the object", hint=_HINT)
        found: dict[str, Any] = answer.json
        return found


def _is_object(found: Any) -> bool:
    """Whether an answer has what every object has, and text only in the maps of a ConfigMap."""
    metadata = found.get("metadata") if isinstance(found, dict) else None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("resourceVersion"), str):
        return False
    maps = [found[key] for key in ("data", "binaryData") if found.get(key) is not None]
    return all(isinstance(each, dict) and all(isinstance(value, str) for value in each.values()) for each in maps)


def _check(verb: str, name: str, answer: Answer) -> None:
    status = answer.status
    match status:
        case 200 | 201:
            return
        case 409:
            raise Conflict(f"{name} keeps being changed by another client")
        case 401:
            raise BadAnswer("the API server refused the pod's token (401)", hint=_HINT)
        case 403:
            raise Forbidden(f"the pod's service account may not {verb} {name} (403)")
        case 404:
            raise StorageError(
                f"{name} does not exist",
                hint="`kubectl apply -k k8s/cronjob` creates it; make sure that COPILOT_CONFIGMAP names the same one.",
            )
        case 429:
            raise BadAnswer("the API server is overloaded (429)", hint=_HINT, retry_after=answer.retry_after())
        case _ if status >= 500:
            raise BadAnswer(f"the API server failed ({status})", hint=_HINT, retry_after=answer.retry_after())
    raise StorageError(f"the API server refused to {verb} {name} ({status})", hint=_HINT)


def _read(path: Path) -> str:
    """What a file holds: one word that may be part of a header or an address. Raises StorageError."""
    try:
        with regular_file(path) as (file, _):
            text = file.read(MAX_BYTES).decode("ascii").strip()
        if not is_header_value(text):
            raise ValueError
        return text
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "it is not plain ASCII text on one line"
        raise StorageError(
            f"the pod's service account cannot be read: {path}: {problem}",
            hint="Mount the service account's token into the pod (`automountServiceAccountToken: true`).",
        ) from error
