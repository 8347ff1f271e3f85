"""Work and memory grow with the catalog, not with its square, whatever shape a hostile one has."""

from __future__ import annotations

import time
import timeit
import tracemalloc

import pytest

from sidecar.litellm_hot_reload.allowed import MAX_ENTRIES
from sidecar.models.absences import dump_absences, load_absences, merge_absences
from sidecar.models.catalog import catalog_items, parse_models
from sidecar.models.customize import Alias, resolve_aliases
from sidecar.models.entries import models_file_bytes
from sidecar.service.sync import entries_for
from sidecar.settings import Settings
from sidecar.targets.models_file import verify_models_file
from tests.fakes.catalog import model, tier, tiered

SETTINGS = Settings.load({"COPILOT_SLASHED_IDS": "true", "COPILOT_EMBEDDINGS": "true"})
PRICES = tiered(
    tier(300, 1500, 30, cache_write_price=375, max_prompt_tokens=200_000),
    tier(600, 2250, 60, max_prompt_tokens=936_000),
)
SMALL, LARGE = 250, MAX_ENTRIES
LESS_THAN_SQUARE = 2.5  # with its square, the work for an item would grow fourfold from one to the other
TRACED = 10  # tracing makes everything so slow that the memory is measured with fewer items


def distinct(number):
    return model(f"m-{number}", billing=PRICES, reasoning=["low", "high"], vision=True)


def alike(number):
    return model("m", version=str(number), picker=number % 2 == 0)


def wordy(number):
    return model(f"m-{number}", name="x " * 5000, vendor="\u202e" * 5000, reasoning=[f"e{at}" for at in range(500)])


def slashed(number):
    return model(f"openai/m-{number}", picker=number % 3 == 0)


def hidden(number):
    return model(f"m-{number}", picker=number == 0)


def render(items, check=True):
    """What a sync computes between the response and the rename."""
    merged = merge_absences({}, catalog_items({"data": items}), SETTINGS)
    _, entries = entries_for(merged.items, SETTINGS)
    load_absences(dump_absences(merged.record))
    data = models_file_bytes(entries)
    if check:
        verify_models_file(data, entries)


def least(call):
    """The least CPU time of three runs, in seconds: whatever else the machine does only adds to it.

    Garbage is not collected meanwhile: that takes the longer the more this test process has loaded.
    """
    return min(timeit.repeat(call, timer=time.process_time, number=1, repeat=3))


def seconds(items):
    return least(lambda: render(items))


def peak(items):
    """The most bytes in use at a time, the catalog's own not counted."""
    tracemalloc.start()
    try:
        render(items, check=False)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.long
@pytest.mark.parametrize(("kind", "share"), [(distinct, 1), (alike, 1), (wordy, 4), (slashed, 1), (hidden, 1)])
def test_an_item_costs_the_same_in_a_large_catalog(kind, share, record_property):
    """Four times the items take four times the time and the memory, not sixteen times."""
    render([kind(number) for number in range(10)])
    for measure, small, large in ((seconds, SMALL, LARGE), (peak, SMALL // TRACED, LARGE // TRACED)):
        small, large = small // share, large // share
        few, many = ([kind(number) for number in range(count)] for count in (small, large))
        one, other = measure(few) / small, measure(many) / large
        record_property(f"{kind.__name__}, {measure.__name__} an item", f"{one:.4g}, {other:.4g}: {other / one:.2f}")
        assert other < LESS_THAN_SQUARE * one, f"{measure.__name__} an item: {one:g} of {small}, {other:g} of {large}"


@pytest.mark.long
def test_aliases_cost_the_same_in_a_large_catalog():
    """Each alias looks at each model once."""

    def took(count):
        models, _ = parse_models([distinct(number) for number in range(count)])
        aliases = tuple(Alias(f"a{number}", "m-*", newest=True) for number in range(30))
        return least(lambda: resolve_aliases(aliases, models, [model.id for model in models])) / count

    assert took(LARGE) < LESS_THAN_SQUARE * took(SMALL)
