"""Reads JSON of which nothing is known, within bounds. Pure."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

BYTES_A_VALUE = 20
"""A text may hold one value or key for each so many bytes of its limit. Real catalogs, far below the limit, have one in
12 to 15; but with one in two, as in ``[{},{},…``, they would take thirty times the text's size in memory."""
MAX_DEPTH = 50
_SIGNS = (b",", b":", b"[", b"{")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def parse_json(data: bytes, max_bytes: int) -> Any:
    """The content, with exact decimals; NaN and Infinity are None. ``max_bytes`` bounds the number of values as well.

    Raises ValueError for what is not JSON in UTF-8, is nested so deeply that working with it could exhaust the stack,
    or is so large, or has so many values, that they could exhaust the memory.
    """
    if len(data) > max_bytes or _values(data, max_bytes // BYTES_A_VALUE) > max_bytes // BYTES_A_VALUE:
        raise ValueError("it is too large, or has too many values")
    try:
        content = json.loads(data.decode("utf-8-sig"), parse_float=Decimal, parse_constant=lambda _: None)
    except (ArithmeticError, RecursionError):  # ArithmeticError: 1e9999999999999999999
        raise ValueError("it has numbers or lists beyond all measure") from None
    if _depth(content) > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    return content


def _values(data: bytes, limit: int) -> int:
    """How many values and keys there are at the most, by what stands before each; beyond ``limit``, exactly."""
    found = sum(map(data.count, _SIGNS))
    return found if found <= limit else sum(map(_STRING.sub(b"", data).count, _SIGNS))


def _depth(content: Any) -> int:
    """How deeply lists and objects are nested, as far as MAX_DEPTH matters."""
    level, depth = [content], 0
    while depth <= MAX_DEPTH and (level := [item for item in level if isinstance(item, (dict, list))]):
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
        depth += 1
    return depth
