"""Shows what changes in a config as a unified diff, with all secrets masked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

_SECRET = re.compile(
    r"""(?P<key>["']?[\w-]*(?:key|token|secret|password|credential|authorization)[\w-]*["']?[ \t]*:[ \t]+)"""
    r"""(?!["']?os\.environ/)(?P<value>"[^"]*"?|'[^']*'?|[^\s,}\]#][^,}\]#\n]*)""",
    re.IGNORECASE,
)
_HARMLESS = re.compile(r"[-\d.]+|true|false|null|~", re.IGNORECASE)


def unified(before: bytes, after: bytes, old_name: str, new_name: str) -> str:
    """A unified diff of two configs; empty if they are equal. For reading only: masked lines do not apply."""
    output: list[str] = []
    lines = difflib.unified_diff(_lines(before), _lines(after), old_name, new_name, lineterm="")
    for number, line in enumerate(lines):
        output.append(line.removesuffix("\n"))
        if not (number <= 1 or line.startswith("@@") or line.endswith("\n")):
            output.append("\\ No newline at end of file")
    return "".join(line + "\n" for line in output)


def _lines(data: bytes) -> list[str]:
    text = data.decode("utf-8", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    return list(_masked(re.findall(r"[^\n]*\n|[^\n]+", text.removeprefix("\ufeff"))))


def _masked(lines: list[str]) -> Iterator[str]:
    """Mask the values of secret-looking keys, including their continuation lines."""
    secret_indent: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip(" "))
        if secret_indent is not None and indent > secret_indent and line.strip():
            yield " " * indent + "…" + ("\n" if line.endswith("\n") else "")
            continue
        if line.strip():
            secret_indent = None
        masked = _SECRET.sub(_mask, line)
        if masked != line:
            start = len(line) - len(line.lstrip(" -"))
            secret_indent = start if _SECRET.match(line, start) else None
        yield masked


def _mask(match: re.Match[str]) -> str:
    value = match["value"]
    return match[0] if _HARMLESS.fullmatch(value.strip()) else match["key"] + "…"
