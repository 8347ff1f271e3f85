"""Every line that the sidecar logs has an event, and docs/logs.md lists each of them, with its levels and fields."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support.paths import ROOT

METHODS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
LEVELS = {"exception": "error"}


def calls() -> Iterator[tuple[str, str, ast.Dict | None]]:
    """Where something is logged, by which method, and its ``extra``: a literal, or a name for one just above."""
    for path in sorted((ROOT / "sidecar").rglob("*.py")):
        if "litellm_hot_reload" in path.parts:
            continue
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            assigned = [
                (node.lineno, node.targets[0].id, node.value)
                for node in ast.walk(function)
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            ]
            for node in ast.walk(function):
                match node:
                    case ast.Call(func=ast.Attribute(value=ast.Name("log"), attr=method)) if method in METHODS:
                        extra = next((item.value for item in node.keywords if item.arg == "extra"), None)
                        if isinstance(extra, ast.Name):
                            above = [item for item in assigned if item[1] == extra.id and item[0] < node.lineno]
                            extra = max(above, key=lambda item: item[0])[2] if above else None
                        yield f"{path.name}:{node.lineno}", method, extra if isinstance(extra, ast.Dict) else None


def logged() -> dict[str, tuple[set[str], tuple[str, ...]]]:
    """Event → its levels and fields."""
    found: dict[str, tuple[set[str], tuple[str, ...]]] = {}
    for where, method, extra in calls():
        assert extra is not None, f"{where} has no event"
        keys = [key.value if isinstance(key, ast.Constant) else None for key in extra.keys]
        assert keys[0] == "event" and None not in keys, f"{where}: the event comes first, and all keys are literals"
        assert not {"time", "level", "logger", "message", "suppressed"} & {*keys}, f"{where}: that has another meaning"
        event = extra.values[0]
        assert isinstance(event, ast.Constant), where
        levels, fields = found.setdefault(event.value, (set(), tuple(map(str, keys[1:]))))
        assert fields == tuple(keys[1:]), f"{where}: {event.value} has other fields elsewhere"
        levels |= {"info", "warning"} if method == "log" else {LEVELS.get(method, method)}
    return found


def test_the_table_of_events():
    """The table and the code name the same events, in order, with the same levels and fields."""
    found = logged()
    assert len(found) > 25
    rows = [
        [cell.strip() for cell in line.split("|")[1:5]]
        for line in (ROOT / "docs" / "logs.md").read_text("utf-8").splitlines()
        if line.startswith("| `")
    ]
    expected = [
        [f"`{event}`", ", ".join(sorted(levels)), ", ".join(f"`{field}`" for field in fields)]
        for event, (levels, fields) in sorted(found.items())
    ]
    assert [row[:3] for row in rows] == expected
    assert all(row[3] for row in rows)
