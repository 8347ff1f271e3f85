"""A real Prometheus, on a free port of this machine, with a directory of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import requests
import yaml

from tests.support.ports import free_port
from tests.support.tools import tool
from tests.support.waiting import until

from .rules import CURE

Result = list[tuple[dict[str, str], float]]
"""Labels and value of each sample."""
EVERY = 0.5
"""Seconds between two scrapes, and between two evaluations of the rules."""


class Prometheus:
    """Scrapes ``targets``, addresses by the name of job and instance, and evaluates ``rules``; a context manager."""

    def __init__(self, home: Path, targets: Mapping[str, str], rules: Mapping[str, Any]) -> None:
        every = f"{EVERY * 1000:.0f}ms"
        (home / "rules.yml").write_text(yaml.safe_dump(rules))
        jobs = [
            {"job_name": name, "static_configs": [{"targets": [address], "labels": {"instance": name}}]}
            for name, address in targets.items()
        ]
        config = {
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": ["rules.yml"],
            "scrape_configs": jobs,
        }
        (home / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.home, self.port = home, free_port()
        self._client = requests.Session()
        self._client.trust_env = False

    def __enter__(self) -> Prometheus:
        flags = {
            "config.file": self.home / "prometheus.yml",
            "storage.tsdb.path": self.home / "data",
            "web.listen-address": f"127.0.0.1:{self.port}",
            "log.level": "warn",
        }
        words = [tool("prometheus", CURE), *(f"--{name}={value}" for name, value in flags.items())]
        with (self.home / "log").open("wb") as log:
            self._process = subprocess.Popen(words, cwd=self.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            until(self._ready, what="Prometheus")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(60)
        self._client.close()

    def _ready(self) -> bool:
        assert self._process.poll() is None, (self.home / "log").read_text()
        try:
            return self._client.get(f"http://127.0.0.1:{self.port}/-/ready", timeout=10).status_code == 200
        except requests.ConnectionError:
            return False

    def _get(self, path: str, **parameters: str) -> Any:
        answer = self._client.get(f"http://127.0.0.1:{self.port}/api/v1/{path}", params=parameters, timeout=30).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> Result:
        """What an expression gives now."""
        data = self._get("query", query=expression)
        return [(item["metric"], float(item["value"][1])) for item in data["result"]]

    def metadata(self) -> dict[str, Any]:
        """Type and help of each metric, as the targets give it."""
        return {name: found[0] for name, found in self._get("metadata").items()}

    def fired(self, seconds: float) -> dict[str, set[str]]:
        """The alerts of each job that have fired within the last ``seconds``."""
        return _by_job(self.query(f'max_over_time(ALERTS{{alertstate="firing"}}[{seconds * 1000 + 1:.0f}ms])'))

    def firing(self) -> dict[str, set[str]]:
        """The alerts of each job that fire now."""
        return _by_job(self.query('ALERTS{alertstate="firing"}'))


def _by_job(result: Result) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for labels, _ in result:
        found.setdefault(labels.get("job", ""), set()).add(labels["alertname"])
    return found
