"""Stands for the sidecar: takes the reports of LiteLLM's workers as it does."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sidecar.litellm_hot_reload.reported import PATH
from sidecar.status.workers import Workers

from .http_server import Answer, HttpServer, Request


class Receiver(HttpServer):
    """``workers`` are what the reports make of them, ``refused`` why any was refused."""

    def __init__(self) -> None:
        self.workers, self.refused = Workers(), list[str]()
        super().__init__(self._take)

    def _take(self, request: Request) -> Answer:
        why = self.workers.receive(request.body, time.monotonic())
        if why or (request.method, request.path) != ("POST", PATH):
            self.refused.append(why or request.path)
        return (400, {}, why.encode()) if why else (204, {}, b"")

    def published(self, models_file: Path, models: Iterable[str]) -> None:
        digest = hashlib.sha256(models_file.read_bytes()).hexdigest()
        self.workers.published(digest, time.monotonic(), models)

    def reports(self) -> list[dict[str, Any]]:
        """All that came, as they came."""
        return [json.loads(request.body) for request in list(self.requests)]

    def in_step(self) -> int:
        """How many workers have applied what is published."""
        digests = [view.digest for view in self.workers.snapshot(time.monotonic())]
        return digests.count(self.workers.digest)
