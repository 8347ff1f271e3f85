"""What a request was billed, in whatever an answer may hold, and the sums of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sidecar.litellm_hot_reload.billing import Spend, billed_in
from sidecar.litellm_hot_reload.reported import MAX_MODELS, OTHER

BILL = {"token_details": [], "total_nano_aiu": 172_800_000}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"copilot_usage": BILL}, 0.001728),
        (SimpleNamespace(copilot_usage=BILL), 0.001728),
        ('{"copilot_usage": {"total_nano_aiu": 172800000}}', 0.001728),
        ({"copilot_usage": {"total_nano_aiu": 0}}, 0.0),
        *(
            ({"copilot_usage": {"total_nano_aiu": amount}}, None)
            for amount in (-1, True, "1", None, [1], float("nan"), float("inf"), 10**17, 10**400)
        ),
        ({"copilot_usage": [BILL]}, None),
        ({"usage": {}}, None),
        ('{"input": "\\"copilot_usage\\": 1"}', None),
        ('{"copilot_usage"', None),
        ("[" * 100_000 + '"copilot_usage"', None),
        ('{"copilot_usage": ' + "9" * 5000, None),
        ('["copilot_usage"]', None),
        ('{"copilot_usage": {"total_nano_aiu": 1}}' + " " * 2**20, None),
        (b"copilot_usage", None),
        (None, None),
    ],
)
def test_what_was_billed(answer: Any, expected: float | None) -> None:
    """1e11 nano-AIU are a dollar; anything that is not a plain amount is none, and nothing raises."""
    assert billed_in(answer) == (expected if expected is None else pytest.approx(expected, rel=1e-12))


def test_sums_are_by_model_and_there_is_an_end_of_models() -> None:
    """Both sums of each model grow together; names beyond the limit, or that clients invent, are one."""
    spend = Spend()
    spend.add("gpt-4o", 0.5, 0.25)
    spend.add("gpt-4o", 0.5, 0.5)
    spend.add("gpt-\u00e9", 1.0, 1.0)
    assert spend.sums() == {"gpt-4o": (1.0, 0.75), OTHER: (1.0, 1.0)}
    for number in range(2 * MAX_MODELS):
        spend.add(f"m{number}", 1.0, 1.0)
    assert len(spend.sums()) <= MAX_MODELS and spend.sums()["gpt-4o"] == (1.0, 0.75)
