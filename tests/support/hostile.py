"""Answers that no server should give: any JSON in any place, with the numbers and the depth that break parsers."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

_RAW = ("1e999", "-1e999", "1e9999999999999999999", "9" * 400, "NaN", "-Infinity", "[" * 40 + "]" * 40)
_RAW_DEEP = ("[" * 900 + "]" * 900, '{"a":' * 300 + "1" + "}" * 300, "[" * 100_000)


def json_bytes(*keys: str) -> st.SearchStrategy[bytes]:
    """Bodies of answers: JSON objects with ``keys``, and other things."""
    raw = st.sampled_from(_RAW + _RAW_DEEP).map(lambda text: f"@@{text}@@")
    leaves: st.SearchStrategy[Any] = (
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | raw
    )
    values = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(keys) | st.text(max_size=5), inner),
        max_leaves=8,
    )
    objects = st.fixed_dictionaries({}, optional=dict.fromkeys(keys, values))
    return (objects | values).map(_dump) | st.binary(max_size=40)


def _dump(content: Any) -> bytes:
    """JSON with what stands between two ``@@`` as it is."""
    text = json.dumps(content)
    for raw in _RAW + _RAW_DEEP:
        text = text.replace(json.dumps(f"@@{raw}@@"), raw)
    return text.encode()
