"""From the catalog to the models file: all that a sync does between GitHub's answer and the rename, `run_once` as it
is, with an answer that is there already. In a process of its own for each size; CPU is the least of the repeats,
memory the most above what there was before. Compared with `yaml.dump(entries, Dumper=yaml.CSafeDumper)` of the same
entries, which checks nothing and remembers nothing. Up to {most} models a catalog is let through; beyond, it is
refused, and what stands here was measured with that limit lifted, to see the growth.
"""

from __future__ import annotations

from sidecar.litellm_hot_reload.allowed import MAX_ENTRIES

from .figures import Figure, exponent
from .processes import child

__doc__ = (__doc__ or "").format(most=f"{MAX_ENTRIES:,}")

SIZES = {10: 5, 100: 5, 1000: 5, 10_000: 2, 20_000: 1}
"""Models, and how many repeats there are time for."""
DUMPER = "yaml.CSafeDumper"


def measure(left_out: list[str]) -> list[Figure]:
    figures, growth = [], {}
    for size, times in SIZES.items():
        found = child("render", size, times)
        for what in ("new", "unchanged"):
            ours = tuple(1000 * taken / size for taken in found[what])
            theirs = tuple(1000 * taken / size for taken in found["dumper"])
            most = 0.8 if size >= 1000 else None
            figures.append(Figure(f"CPU a model, {size:,} models, {what}", "ms", ours, {DUMPER: theirs}, most=most))
            growth[what, size] = min(found[what])
        kilobytes = {name: (found[name] / 1000 / size,) for name in ("peak", "dumper_peak")}
        most = 12 if size >= 1000 else None
        against = {DUMPER: kilobytes["dumper_peak"]}
        figures.append(Figure(f"memory a model, {size:,} models", "kB", kilobytes["peak"], against, most=most))
        growth["memory", size] = found["peak"]
    for what in ("new", "unchanged", "memory"):
        power = exponent({size: growth[what, size] for size in SIZES if size >= 100})
        figures.append(Figure(f"exponent of {what}, 100 to {max(SIZES):,} models", "", (power,), most=1.1))
    return figures
