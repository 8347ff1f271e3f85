"""What holds for the tests themselves."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.support.paths import ROOT

TESTS = ROOT / "tests"


def parsed(pattern: str) -> list[tuple[Path, ast.Module]]:
    """The modules below tests/ whose path fits, by their path from the root."""
    found = [(path.relative_to(ROOT), ast.parse(path.read_text("utf-8"))) for path in sorted(TESTS.glob(pattern))]
    assert found
    return found


def test_every_test_says_what_it_holds() -> None:
    """Every test has a docstring of one line that ends with a full stop."""
    seen, wrong = 0, []
    for path, module in parsed("**/test_*.py"):
        for node in ast.walk(module):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
                text = ast.get_docstring(node, clean=False) or ""
                seen += 1
                if "\n" in text or not text.endswith("."):
                    wrong.append(f"{path}:{node.lineno} {node.name}")
    assert wrong == []
    assert seen > 500


def test_no_secret_is_written_down() -> None:
    """What looks like a token or a key is made by tests/support/canary.py, or else nobody would look for it."""
    shape = re.compile(r"^(gh[a-z]|github_pat)_\w{16,}$|^sk-\w{8,}$")
    wrong = [
        f"{path}:{node.lineno} {node.value}"
        for path, module in parsed("**/*.py")
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and shape.match(node.value)
    ]
    # The test of the mask itself shows what becomes of one.
    assert {item.partition(":")[0] for item in wrong} == {"tests/unit/test_secret.py"}


def test_what_tests_share_imports_no_tests() -> None:
    """tests/support imports itself and the stand-in for GitHub, and nothing else of tests/."""
    wrong = []
    for path, module in parsed("support/*.py"):
        for node in ast.walk(module):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            wrong += [
                f"{path}: {name}"
                for name in names
                if name.startswith("tests") and not name.startswith(("tests.fakes.", "tests.support."))
            ]
    assert wrong == []
