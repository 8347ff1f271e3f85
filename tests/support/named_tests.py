"""Tests that a page names for what it says: ``path::name`` below tests/, and of the same path just ``::name``."""

from __future__ import annotations

import ast
import re
from functools import cache

from .paths import ROOT


def named(cell: str) -> list[str]:
    """The tests in a cell of a table, as ``path::name``."""
    found, path = [], ""
    for text in re.findall(r"`([^`]*)`", cell):
        path = text.partition("::")[0] or path
        found.append(f"{path}::{text.partition('::')[2]}")
    return found


def missing(names: list[str]) -> list[str]:
    """Those that do not exist."""
    return [name for name in names if name.partition("::")[2] not in _defined(name.partition("::")[0])]


@cache
def _defined(path: str) -> set[str]:
    file = ROOT / "tests" / path
    tree = ast.parse(file.read_text("utf-8")) if file.is_file() else ast.Module([], [])
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
