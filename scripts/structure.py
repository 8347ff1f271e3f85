#!/usr/bin/env python3
"""Counts what sidecar/ is made of and holds it to its rules: structure.py [--check | --write] [ROOT]

Prints files, folders, import arrows and the longest chain of imports. With --check it exits with 1 where a module
imports what is not below it, or where CONTRIBUTING.md does not list what the modules touch; --write updates that list.
"""

from __future__ import annotations

import argparse
import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOOK = "litellm_hot_reload"
SHARED = {
    f"{HOOK}.{name}"
    for name in (
        *("allowed", "bounded", "clock", "connection", "exchange", "managed", "master_key", "pace"),
        *("reported", "text"),
    )
}
"""The modules of the hook that the sidecar follows too; of the others it imports none."""

LAYERS = (
    {"__init__", HOOK},
    {"text", "errors", "secret", "parsers", "jsontext", "resolver"},
    {"settings", "files", "locks", "user_command", "signals", "transport", "colours"},
    {"logs", "logfile", "http_client", "models", "commands"},
    {"config", "connect", "github"},
    {"targets"},
    {"litellm_proxy", "status"},
    {"service"},
    {"cli"},
    {"__main__"},
)
"""Wings and modules from the bottom up: each imports itself and what stands below, in its own row or lower."""

PURE = {
    *(
        "__init__",
        "text",
        "errors",
        "secret",
        "colours",
        "parsers",
        "jsontext",
        "resolver",
        "settings",
        "commands",
        "models",
    ),
    *("connect", HOOK),
    *(f"{HOOK}.{name}" for name in ("allowed", "billing", "exchange", "managed", "pace", "reported", "text")),
    *(
        "litellm_proxy.chat",
        "config.yamltext",
        "config.locate",
        "config.splice",
        "config.edit",
        "config.diff",
        "config.older",
        "config.recognize",
    ),
}
"""What only ever computes, as all of models/ does: the same input gives the same result."""

_TOUCHES = {
    "network": {"requests", "urllib3", "socket", "socketserver", "http.server", "httpx"},
    "disk": {"shutil", "tempfile", "fcntl"},
    "clock": {"time"},
    "processes": {"subprocess", "signal"},
}
_CALLS = {
    "disk": {
        *("open", "read_bytes", "read_text", "write_bytes", "write_text", "exists", "is_file", "is_dir", "stat"),
        *("mkdir", "touch", "unlink", "rename", "replace", "chmod", "listdir", "rglob", "realpath", "samestat"),
    },
    "clock": {"now"},
}
_BEGIN, _END = "<!-- scripts/structure.py --write -->", "<!-- end -->"


class Module:
    """A module by its name below sidecar/, with what it imports and touches."""

    def __init__(self, name: str, tree: ast.Module, names: set[str]) -> None:
        self.name, self.imports, self.touches = name, set[str](), set[str]()
        for node in ast.walk(tree):
            for target in _targets(node, name):
                top = target.removeprefix("sidecar.")
                if target.startswith("sidecar."):
                    # `from sidecar.models import prices` names a module, `from sidecar.text import printable` does not.
                    self.imports.add(top if top in names else top.rpartition(".")[0])
                self.touches |= {kind for kind, modules in _TOUCHES.items() if {target, target.split(".")[0]} & modules}
            self.touches |= _touched(node)
        self.imports &= names - {name}


def _targets(node: ast.AST, name: str) -> list[str]:
    """What an import statement may mean: modules, and names in them."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        parts = ["sidecar", *name.split(".")]
        base = ".".join([*parts[: len(parts) - node.level], *([node.module] if node.module else [])])
    return [base, *(f"{base}.{alias.name}" for alias in node.names)]


def _touched(node: ast.AST) -> set[str]:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return set()
    on = node.func.value
    text = node.func.attr == "replace" and not (isinstance(on, ast.Name) and on.id == "os")  # str.replace
    return set() if text else {kind for kind, calls in _CALLS.items() if node.func.attr in calls}


def modules(root: Path) -> dict[str, Module]:
    """The modules of ``root``/sidecar by name; a package's __init__ has the package's."""
    paths = {}
    for path in sorted((root / "sidecar").rglob("*.py")):
        name = ".".join(path.relative_to(root / "sidecar").with_suffix("").parts)
        paths[name.removesuffix(".__init__")] = path
    return {name: Module(name, ast.parse(path.read_text("utf-8")), set(paths)) for name, path in paths.items()}


def picture(found: dict[str, Module]) -> dict[str, int]:
    """The counts; a room is a wing as a whole, or a module that is in none."""
    imports = {name: module.imports for name, module in found.items()}
    rooms: dict[str, set[str]] = {}
    for name, others in imports.items():
        if name != "__init__":
            own = name.split(".")[0]
            rooms[own] = rooms.get(own, set()) | {other.split(".")[0] for other in others} - {own}
    return {
        "files": len(found),
        "folders": len({name.rpartition(".")[0] for name in found if "." in name}) + 1,
        "rooms (wings and single modules)": len(rooms),
        "arrows between rooms": sum(map(len, rooms.values())),
        "longest chain of rooms": max(_depth(rooms, name) for name in rooms),
        "longest chain of modules": max(_depth(imports, name) for name in imports),
    }


def _depth(imports: dict[str, set[str]], name: str) -> int:
    return 1 + max((_depth(imports, other) for other in imports[name]), default=0)


def broken_rules(found: dict[str, Module]) -> list[str]:
    """Every import that a rule forbids, and every pure module that touches the world."""
    layer = {name: number for number, names in enumerate(LAYERS) for name in names}
    broken = [f"{name} is in no layer" for name in found if name.split(".")[0] not in layer]
    for name, module in found.items():
        wing = name.split(".")[0]
        for other in sorted(module.imports):
            if wing == HOOK:
                if not other.startswith(HOOK):
                    broken.append(f"{name} imports {other}: the hook stands alone")
            elif other.startswith(HOOK) and other not in SHARED | {HOOK}:
                broken.append(f"{name} imports {other}: of the hook only {', '.join(sorted(SHARED))}")
            elif layer.get(other.split(".")[0], 0) > layer.get(wing, 0):
                broken.append(f"{name} imports {other}, which stands above it")
        if _is_pure(name):
            broken += [f"{name} is pure and touches the {what}" for what in sorted(module.touches)]
            broken += [f"{name} is pure and imports {other}" for other in sorted(module.imports) if not _is_pure(other)]
    return broken


def _is_pure(name: str) -> bool:
    return name in PURE or name.startswith("models.")


def table(found: dict[str, Module]) -> str:
    """Which modules touch the world, for CONTRIBUTING.md."""
    lines = [
        f"| {what} | {', '.join(f'`{name}`' for name, module in found.items() if what in module.touches)} |"
        for what in _TOUCHES
    ]
    return "\n".join(["| touched | by |", "|---|---|", *lines])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="hold the rules, and the list in CONTRIBUTING.md")
    parser.add_argument("--write", action="store_true", help="update the list in CONTRIBUTING.md")
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, help="another checkout, for its counts")
    arguments = parser.parse_args()
    found = modules(arguments.root)
    print(", ".join(f"{what}: {count}" for what, count in picture(found).items()))
    page = arguments.root / "CONTRIBUTING.md"
    text = page.read_text("utf-8")
    head, _, rest = text.partition(_BEGIN)
    wanted = f"{head}{_BEGIN}\n{table(found)}\n{_END}{rest.partition(_END)[2]}"
    if arguments.write:
        page.write_text(wanted, "utf-8")
    if not arguments.check:
        return 0
    broken = broken_rules(found)
    if wanted != text:
        broken.append("CONTRIBUTING.md does not list what the modules touch: run scripts/structure.py --write")
    for line in broken:
        print(line, file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
