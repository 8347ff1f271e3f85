"""Counts and durations in the Prometheus text format (version 0.0.4). Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate


class Histogram:
    """Counts observations by their upper bounds, which are in seconds."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts, self.sum = [0] * (len(self.bounds) + 1), 0.0

    @property
    def count(self) -> int:
        return sum(self.counts)

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    def cumulative(self) -> list[tuple[str, int]]:
        """The label ``le`` of each bucket, ``+Inf`` the last, and how many observations are in it or below."""
        bounds = [*map("{:g}".format, self.bounds), "+Inf"]
        return list(zip(bounds, accumulate(self.counts), strict=True))

    def samples(self, name: str) -> list[str]:
        """The lines of the metric ``name``."""
        buckets = [f'{name}_bucket{{le="{bound}"}} {count}' for bound, count in self.cumulative()]
        return [*buckets, f"{name}_sum {self.sum:.6f}", f"{name}_count {self.count}"]


def sample(name: str, value: float, labels: Mapping[str, str] | None = None) -> str:
    """One line: a metric's value under ``labels``."""
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in (labels or {}).items())
    return f"{name}{{{inside}}} {_number(value)}" if inside else f"{name} {_number(value)}"


def family(name: str, kind: str, help: str, samples: Iterable[str]) -> str:
    """A metric with its help and type."""
    return "\n".join([f"# HELP {name} {help}", f"# TYPE {name} {kind}", *samples, ""])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(round(value, 6))
