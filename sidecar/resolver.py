"""PyYAML's resolver with a memory: what type a plain text has is asked for the same keys and values again and again."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import yaml
from yaml.resolver import Resolver

_LONGEST = 64
"""Characters; longer texts hardly come twice."""


class Remembering:
    """For a loader without path resolvers; stands before it among the bases."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """The tag, as PyYAML's ``resolve``."""
        if kind is yaml.ScalarNode and value is not None and len(value) <= _LONGEST:
            return _scalar_tag(value, implicit)
        return super().resolve(kind, value, implicit)  # type: ignore[misc]


_RESOLVER = Resolver()


@lru_cache(1024)
def _scalar_tag(value: str, implicit: tuple[bool, bool]) -> Any:
    return _RESOLVER.resolve(yaml.ScalarNode, value, implicit)  # type: ignore[no-untyped-call]
