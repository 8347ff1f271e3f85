#!/usr/bin/env python3
"""What the Kubernetes variants cost at 1 to 10,000 replicas: requests to GitHub, load of the API server, and how long a
catalog change takes until every replica serves it. A calculation, not a measurement: every assumption is an option
with a default, and is printed.

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
    """Declare an assumption; all become options."""
    return HELP.setdefault(help, default)


HELP: dict[str, float] = {}


@dataclass(frozen=True)
class Assumptions:
    """Seconds, bytes and counts."""

    interval: float = assumption(3600, "seconds between two catalog reads")
    changes: float = assumption(6, "catalog changes a day that alter the models file")
    flickers: float = assumption(6, "reads a day that alter the memory alone (a model absent for once)")
    renewal: float = assumption(
        1425, "seconds after which the hook renews a Copilot token (refresh_in 1500, less jitter)"
    )
    sync: float = assumption(2, "seconds that one sync takes, from the first request to the write")
    poll: float = assumption(1, "seconds between two looks of the hook")
    apply: float = assumption(0.1, "seconds until the hook has applied a change")
    jitter: float = assumption(300, "seconds of COPILOT_SYNC_JITTER, the most that the CronJob waits")
    start: float = assumption(10, "seconds from the schedule until the job's pod runs")
    kubelet: float = assumption(60, "seconds between two looks of a kubelet at a pod's volumes (syncFrequency)")
    cache: float = assumption(1, "seconds until a kubelet's watch has the new object")
    object_bytes: float = assumption(110_000, "bytes of the ConfigMap: 45 models, and 10 kB of compressed memory")
    pods_per_node: float = assumption(10, "replicas on one node: a kubelet watches an object once for all its pods")
    fan_out: float = assumption(125_000_000, "bytes a second that the API servers send to watchers, all together")


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
    """Every replica reads the catalog for itself; the API server has no part in it.

    Each read is an exchange and a catalog read; LiteLLM's own Copilot token is renewed in every replica. All are done
    when the slowest is: with intervals of the same length that start at any time, the mean of the last of n is
    interval * n / (n + 1); the interval has a tenth of jitter.
    """
    reads = replicas * DAY / a.interval
    after = a.sync + a.poll + a.apply
    last = a.interval * replicas / (replicas + 1)
    return Row(
        "sidecar", replicas, reads, reads + replicas * DAY / a.renewal, 0, 0, last + after, a.interval * 1.1 + after
    )


def cronjob(replicas: int, a: Assumptions) -> Row:
    """One read for all. Each read is a GET of the object, a PATCH when something changed; each change goes out to one
    watch per node. Every replica still renews the Copilot token that its own requests are sent with.
    """
    reads = DAY / a.interval
    nodes = math.ceil(replicas / a.pods_per_node)
    patches = min(reads, a.changes + a.flickers)
    # The kubelets renew their watches every 5 to 10 minutes: a cheap request, but one.
    requests = reads + patches + nodes * DAY / 450
    sent = (reads + patches) * a.object_bytes + patches * nodes * a.object_bytes
    spread = nodes * a.object_bytes / a.fan_out
    after = a.start + a.sync + spread + a.cache + a.poll + a.apply
    # A kubelet looks at each pod once per period; of many pods the last one waits for nearly all of it.
    wait = a.kubelet * replicas / (replicas + 1)
    typical = a.interval / 2 + a.jitter / 2 + after + wait
    worst = a.interval + a.jitter + after + a.kubelet * 1.5
    return Row("cronjob", replicas, reads, reads + replicas * DAY / a.renewal, requests, sent, typical, worst)


def rows(a: Assumptions) -> list[Row]:
    """The table: both variants at every size."""
    return [variant(replicas, a) for replicas in REPLICAS for variant in (sidecar, cronjob)]


def amount(value: float, units: tuple[str, ...] = ("", "k", "M", "G"), base: float = 1000) -> str:
    """A number in three digits."""
    for unit in units[:-1]:
        if value < base * 0.9995:
            return f"{value:.3g}{unit}" if value < 100 else f"{value:.0f}{unit}"
        value /= base
    return f"{value:.3g}{units[-1]}"


def duration(seconds: float) -> str:
    """Minutes, or seconds below two of them."""
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
