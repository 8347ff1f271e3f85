#!/usr/bin/env python3
"""Calculates what the Kubernetes variants cost at 1 to 10,000 replicas: requests to GitHub, API server load, and how
long a catalog change takes to reach every replica. This is not a measurement: every assumption is a flag with a
default, and is printed.

    python3 scripts/k8s_scale.py
    python3 scripts/k8s_scale.py --interval 600 --changes 50 --pods-per-node 30
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, fields

DAY = 86_400
REPLICAS = (1, 10, 100, 10_000)


def assumption(default: float, help: str) -> float:
    """Declare an assumption; each becomes a flag."""
    return HELP.setdefault(help, default)


HELP: dict[str, float] = {}


@dataclass(frozen=True)
class Assumptions:
    """Seconds, bytes and counts."""

    interval: float = assumption(3600, "seconds between two catalog reads")
    changes: float = assumption(6, "catalog changes a day that alter the models file")
    flickers: float = assumption(6, "reads a day that only alter the record of absences (a model absent once)")
    renewal: float = assumption(
        1425, "seconds after which the hook renews a Copilot token (refresh_in 1500, less jitter)"
    )
    sync: float = assumption(2, "seconds that one sync takes, from the first request to the write")
    poll: float = assumption(1, "seconds between two polls of the hook")
    apply: float = assumption(0.1, "seconds the hook takes to apply a change")
    jitter: float = assumption(300, "seconds of COPILOT_SYNC_JITTER, the longest the CronJob waits")
    start: float = assumption(10, "seconds from the scheduled time until the job's pod runs")
    kubelet: float = assumption(60, "seconds between two kubelet syncs of a pod's volumes (syncFrequency)")
    cache: float = assumption(1, "seconds until a kubelet's watch has the new object")
    object_bytes: float = assumption(110_000, "bytes of the ConfigMap: 45 models, and 10 kB of compressed absences")
    pods_per_node: float = assumption(10, "replicas on one node: a kubelet watches an object once for all its pods")
    fan_out: float = assumption(125_000_000, "bytes a second that all API servers together send to watchers")


@dataclass(frozen=True)
class Row:
    """One line of the table. Times are from a change at GitHub until the last replica serves it."""

    variant: str
    replicas: int
    catalog_reads: float
    exchanges: float
    api_requests: float
    api_bytes: float
    typical: float
    worst: float


def sidecar(replicas: int, a: Assumptions) -> Row:
    """Every replica reads the catalog itself; the API server is not involved.

    Each read is an exchange and a catalog read; LiteLLM's own Copilot token is renewed in every replica. A change has
    arrived when the slowest replica has it: with equal intervals that start at random times, the mean of the last of
    n is interval * n / (n + 1); the interval has 10% jitter.
    """
    reads = replicas * DAY / a.interval
    after = a.sync + a.poll + a.apply
    last = a.interval * replicas / (replicas + 1)
    return Row(
        "sidecar", replicas, reads, reads + replicas * DAY / a.renewal, 0, 0, last + after, a.interval * 1.1 + after
    )


def cronjob(replicas: int, a: Assumptions) -> Row:
    """One read for all. Each read is a GET of the object, and a PATCH if something changed; each change goes out to one
    watch per node. Every replica still renews the Copilot token that its own requests use.
    """
    reads = DAY / a.interval
    nodes = math.ceil(replicas / a.pods_per_node)
    patches = min(reads, a.changes + a.flickers)
    # The kubelets renew their watches every 5 to 10 minutes: a cheap request, but it counts.
    requests = reads + patches + nodes * DAY / 450
    sent = (reads + patches) * a.object_bytes + patches * nodes * a.object_bytes
    spread = nodes * a.object_bytes / a.fan_out
    after = a.start + a.sync + spread + a.cache + a.poll + a.apply
    # A kubelet syncs each pod once per period; of many pods, the last one waits for nearly all of it.
    wait = a.kubelet * replicas / (replicas + 1)
    typical = a.interval / 2 + a.jitter / 2 + after + wait
    worst = a.interval + a.jitter + after + a.kubelet * 1.5
    return Row("cronjob", replicas, reads, reads + replicas * DAY / a.renewal, requests, sent, typical, worst)


def rows(a: Assumptions) -> list[Row]:
    """The table: both variants at every size."""
    return [variant(replicas, a) for replicas in REPLICAS for variant in (sidecar, cronjob)]


def amount(value: float, units: tuple[str, ...] = ("", "k", "M", "G"), base: float = 1000) -> str:
    """A number with three significant digits."""
    for unit in units[:-1]:
        if value < base * 0.9995:
            return f"{value:.3g}{unit}" if value < 100 else f"{value:.0f}{unit}"
        value /= base
    return f"{value:.3g}{units[-1]}"


def duration(seconds: float) -> str:
    """Minutes, or seconds below two minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def table(a: Assumptions) -> str:
    """All rows as a Markdown table."""
    lines = [
        "| replicas | variant | catalog reads a day | token exchanges a day | API server: requests a day | bytes a day "
        "| served everywhere: typical | worst |",
        "|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows(a):
        cells = (
            f"{row.replicas:,}",
            row.variant,
            amount(row.catalog_reads),
            amount(row.exchanges),
            amount(row.api_requests),
            amount(row.api_bytes, (" B", " kB", " MB", " GB")),
            duration(row.typical),
            duration(row.worst),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the assumptions and the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    helps = dict(zip((item.name for item in fields(Assumptions)), HELP, strict=True))
    for item in fields(Assumptions):
        flag = f"--{item.name.replace('_', '-')}"
        parser.add_argument(
            flag, type=float, default=item.default, metavar="N", help=f"{helps[item.name]} (%(default)g)"
        )
    a = Assumptions(**vars(parser.parse_args()))
    print("Assumptions:")
    for name, text in helps.items():
        print(f"  {getattr(a, name):>13,g}  {text}")
    print(f"\n{table(a)}")


if __name__ == "__main__":
    main()
