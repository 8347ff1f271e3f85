"""The alert rules as shipped, and as they are when time goes faster."""

from __future__ import annotations

import copy
import re
from typing import Any

import yaml

from tests.support.paths import ROOT

MONITORING = ROOT / "k8s" / "monitoring"
ALERTS = MONITORING / "alerts.yml"
CURE = "Debian: apt-get download prometheus && dpkg -x prometheus_*.deb DIR, and DIR/usr/bin on PATH"
LEAST = 3.0
"""Seconds."""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def groups() -> list[dict[str, Any]]:
    return list(yaml.safe_load(ALERTS.read_text())["groups"])


def rules() -> list[dict[str, Any]]:
    return [rule for group in groups() for rule in group["rules"]]


def hurried(factor: int) -> dict[str, Any]:
    """The rules' file with every time divided by ``factor``: windows, ages, and how long before an alert fires.

    That is never less than LEAST: on a busy machine a scrape may come to nothing.
    """

    def shorter(number: str, unit: str) -> str:
        return f"{int(number) * _SECONDS[unit] * 1000 // factor}ms"

    result = copy.deepcopy(groups())
    for rule in [rule for group in result for rule in group["rules"]]:
        seconds = int(rule["for"][:-1]) * _SECONDS[rule["for"][-1]] / factor
        rule["for"] = f"{max(seconds, LEAST) * 1000:.0f}ms"
        rule["expr"] = re.sub(r"\[(\d+)([smhd])\]", lambda found: f"[{shorter(*found.groups())}]", rule["expr"])
        rule["expr"] = re.sub(
            r"(_timestamp_seconds > )(\d+)$",
            lambda found: f"{found[1]}{int(found[2]) / factor}",
            rule["expr"],
            flags=re.MULTILINE,
        )
    return {"groups": result}
