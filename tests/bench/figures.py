"""A figure, what it is compared with, and whether it reached what it is to reach. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import mean, median
from typing import Any


@dataclass(frozen=True)
class Figure:
    """``values`` are the repeats; ``against`` has those of what it is compared with, by what that is.

    To be reached: a median of at most ``most``, and at most ``ratios[name]`` times the median of ``against[name]``.
    """

    what: str
    unit: str
    values: tuple[float, ...]
    against: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    most: float | None = None
    ratios: Mapping[str, float] = field(default_factory=dict)

    def ratio(self, name: str) -> float:
        """How many times what is at ``against[name]`` it is; infinite against nothing."""
        other = median(self.against[name])
        return median(self.values) / other if other else (math.inf if median(self.values) else 1.0)

    @property
    def verdict(self) -> str:
        """``reached`` or ``missed``; empty where there is nothing to reach, or not all of it could be compared."""
        if self.most is not None and median(self.values) > self.most:
            return "missed"
        compared = [self.ratio(name) <= limit for name, limit in self.ratios.items() if name in self.against]
        if not all(compared):
            return "missed"
        nothing = self.most is None and not self.ratios
        return "" if nothing or len(compared) < len(self.ratios) else "reached"

    @property
    def target(self) -> str:
        parts = [] if self.most is None else [f"≤ {number(self.most)} {self.unit}".strip()]
        return ", ".join([*parts, *(f"≤ {number(limit)} × {name}" for name, limit in self.ratios.items())])

    def stored(self) -> dict[str, Any]:
        """For a file of JSON; ``read`` is the way back."""
        return asdict(self)


def read(stored: Mapping[str, Any]) -> Figure:
    against = {name: tuple(values) for name, values in stored["against"].items()}
    return Figure(**{**stored, "values": tuple(stored["values"]), "against": against})


def number(value: float) -> str:
    """Three significant digits; all of them before the point."""
    if math.isinf(value):
        return "∞"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(values: Sequence[float]) -> str:
    """The median, and from where to where the values went."""
    least, most = number(min(values)), number(max(values))
    return number(median(values)) + (f" ({least} to {most})" if least != most else "")


def percentile(values: Iterable[float], share: float) -> float:
    """The value that this share of all is not above."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * share) - 1, 0)]


def exponent(costs: Mapping[int, float]) -> float:
    """The power of the size with which a cost grows: 1 is a straight line. By least squares of the logarithms."""
    points = [(math.log(size), math.log(cost)) for size, cost in costs.items() if cost > 0]
    x, y = mean(point[0] for point in points), mean(point[1] for point in points)
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def text_table(figures: Iterable[Figure]) -> str:
    """For a terminal: a line for each figure, and one below it for each thing that it is compared with."""
    lines = []
    for figure in figures:
        target = f"   {figure.target}: {figure.verdict}" if figure.target else ""
        lines.append(f"{figure.what:<72} {spread(figure.values):>30} {figure.unit}{target}")
        for name, values in figure.against.items():
            lines.append(f"    {name:<68} {spread(values):>30} {figure.unit}   {number(figure.ratio(name))} ×")
    return "\n".join(lines)
