"""One object of the Kubernetes API, read and patched by the pod's own service account.

Its token and the CA are read again on every call, because they rotate. A refusal is told apart from what may
pass; no body of an answer gets into a message, no redirect is followed, no proxy is used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
import urllib3

from sidecar.errors import BadAnswer, SidecarError, StorageError, Unreachable
from sidecar.http_client import Answer
from sidecar.text import printable

TIMEOUTS = (5.0, 15.0)
_MAX_ANSWER = 8 * 1024 * 1024
_HINT = "What is published stays. See the API server, and the network policy between it and this pod."


class Conflict(SidecarError):
    """Somebody else has changed the object since it was read."""


class Forbidden(StorageError):
    """The service account has no right to it; or the API server has only just started and does not know yet."""


class KubernetesApi:
    """The API server at ``host``, as the service account whose files are in ``account``. Raises StorageError."""

    def __init__(self, host: str, port: int, account: Path) -> None:
        address = f"[{host}]" if ":" in host else host
        self.url, self.account = f"https://{address}:{port}", account
        self.namespace = _read(account / "namespace").strip()

    def get(self, path: str, name: str) -> dict[str, Any]:
        """The object at ``path``; ``name`` is what messages call it. Raises UpstreamError, StorageError."""
        return self._call("GET", path, name, None)

    def patch(self, path: str, name: str, patch: Mapping[str, Any]) -> dict[str, Any]:
        """Merge ``patch`` into the object. Raises Conflict, UpstreamError (it may have arrived), StorageError."""
        return self._call("PATCH", path, name, patch)

    def _call(self, method: str, path: str, name: str, patch: Mapping[str, Any] | None) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {_read(self.account / 'token').strip()}", "accept": "application/json"}
        if patch is not None:
            headers["content-type"] = "application/merge-patch+json"
        try:
            with requests.Session() as session:
                session.trust_env = False  # no proxy and no .netrc for the API server
                with session.request(
                    method,
                    self.url + path,
                    headers=headers,
                    json=patch,
                    params={} if patch is None else {"fieldManager": "copilot-model-sync"},
                    verify=str(self.account / "ca.crt"),
                    timeout=TIMEOUTS,
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    body = response.raw.read(_MAX_ANSWER, decode_content=True)
                    answer = Answer(response.status_code, response.headers, _json(body))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(f"no answer from the API server: {printable(type(error).__name__)}", hint=_HINT) from None
        _refuse(method.lower(), name, answer)
        if not isinstance(answer.json, dict) or "resourceVersion" not in (answer.json.get("metadata") or {}):
            raise BadAnswer("the API server answered with something else than was asked for", hint=_HINT)
        return answer.json


def _refuse(verb: str, name: str, answer: Answer) -> None:
    status = answer.status
    match status:
        case 200 | 201:
            return
        case 409:
            raise Conflict(f"{name} is being changed by others all the time")
        case 401:
            raise BadAnswer("the API server refused the pod's token (401)", hint=_HINT)
        case 403:
            raise Forbidden(
                f"the pod's service account may not {verb} {name} (403)",
                hint="Give it `get` and `patch` on this one object, as the Role in k8s/cronjob does.",
            )
        case 404:
            raise StorageError(
                f"{name} does not exist",
                hint="`kubectl apply -k k8s/cronjob` makes it; see that COPILOT_CONFIGMAP names the same.",
            )
        case 429:
            raise BadAnswer("the API server is overloaded (429)", hint=_HINT, retry_after=answer.retry_after())
        case _ if status >= 500:
            raise BadAnswer(f"the API server failed ({status})", hint=_HINT, retry_after=answer.retry_after())
    raise StorageError(f"the API server refused to {verb} {name} ({status})", hint=_HINT)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(
            f"the pod's service account cannot be read: {path}: {getattr(error, 'strerror', None) or 'not text'}",
            hint="Let the pod have its service account's token (`automountServiceAccountToken: true`).",
        ) from error
