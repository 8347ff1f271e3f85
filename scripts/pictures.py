#!/usr/bin/env python3
"""Makes the documents' pictures of a terminal from what the commands print: pictures.py [--check]

Each command runs in a terminal, against the stand-in for GitHub; what it prints becomes docs/pictures/NAME.svg. With
--check nothing is written, and it exits with 1 where a picture shows something else. Needs the test environment, which
scripts/test.sh makes.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sidecar.targets.models_file import entries_in  # noqa: E402
from tests.fakes.catalog import demo_catalog  # noqa: E402
from tests.fakes.github import GitHub  # noqa: E402
from tests.support.http_server import HttpServer  # noqa: E402
from tests.support.ports import free_port  # noqa: E402
from tests.support.waiting import until  # noqa: E402

FOLDER = ROOT / "docs" / "pictures"
COLUMNS = 104
SIDECAR = (sys.executable, "-m", "sidecar")
SHOWN = {
    "login": ("login",),
    "models": ("models",),
    "status": ("status",),
    "connect": ("connect", "claude-code"),
}
"""The command of each picture, one after another; from the second on the service runs."""
SVG = """\
<svg role="img" aria-label="{chrome}" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
text {{ font: 20px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre }}
{styles}
</style>
<rect width="{width}" height="{height}" rx="8" fill="#1b1f24"/>
<g transform="translate(14 10)">
{backgrounds}
{matrix}
</g>
</svg>
"""


def said(command: tuple[str, ...], environ: dict[str, str]) -> str:
    """What the command prints in a terminal, with its colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with subprocess.Popen([*SIDECAR, *command], cwd=ROOT, env=environ, **streams) as process:  # noqa: S603
        os.close(theirs)
        parts = []
        while part := _read(ours):
            parts.append(part)
    os.close(ours)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{b''.join(parts).decode()}")
    return b"".join(parts).decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # as Linux says that nobody has the other end any more
        return b""


def pictures() -> dict[str, str]:
    """Each picture's SVG by name."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        gh = stack.enter_context(GitHub(demo_catalog()))
        gh.device_flow(approve_after=0, user_code="A1B2-C3D4", verification_uri="https://github.com/login/device")
        file = home / "copilot_models.yaml"
        litellm = stack.enter_context(
            HttpServer(lambda _: (200, {}, {"data": list(entries_in(file.read_bytes()).values())}))
        )
        environ = {
            **gh.env(),
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "TERM": "xterm-256color",
            "COPILOT_MODELS_FILE": str(file),
            "COPILOT_HEALTH_PORT": str(free_port()),
            "COPILOT_CLAUDE_NAMES": "true",
            "LITELLM_URL": litellm.url,
            "COPILOT_CLIENT_URL": "http://localhost:4000",
        }
        texts = {"login": said(SHOWN["login"], environ)}
        run = subprocess.Popen([*SIDECAR, "run"], cwd=ROOT, env=environ, stderr=subprocess.DEVNULL)  # noqa: S603
        service = stack.enter_context(run)
        stack.callback(service.terminate)
        until(lambda: entries_in(file.read_bytes() if file.exists() else None), 60, "the models")
        texts |= {name: said(command, environ) for name, command in SHOWN.items() if name != "login"}
        return {name: drawn(SHOWN[name], settled(text, home)) for name, text in texts.items()}


def settled(text: str, home: Path) -> str:
    """The text without what is another each time: the directory, the time and the token's last characters."""
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?Z?", "2026-01-31 12:00", text.replace(str(home), "~"))
    text = re.sub(r"\d+ min ago", "4 min ago", re.sub(r"\d\d:\d\d left", "14:59 left", text))
    text = re.sub(r"resets on \d{4}-\d\d-\d\d", "resets on 2026-02-01", text)
    return re.sub(r"(gh[uo]_…)\w{4}", r"\1wxyz", text)


def drawn(command: tuple[str, ...], text: str) -> str:
    """A terminal with the command and what it has printed."""
    typed = f"copilot-model-sync {' '.join(command)}"
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.assemble(("$ ", "bright_black"), (typed, "bold")))
    console.print(Text.from_ansi(text.rstrip()))
    drawing = console.export_svg(title=typed, code_format=SVG.replace("{chrome}", typed), unique_id="t")
    drawing = re.sub(r' clip-path="[^"]*"|<text [^>]*>\s*</text>', "", drawing)  # nothing is cut off, nor left empty
    return "\n".join(line.rstrip() for line in drawing.splitlines() if line.strip()) + "\n"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 where a picture is out of date"
    )
    check = parser.parse_args(argv).check
    old = []
    for name, drawing in pictures().items():
        file = FOLDER / f"{name}.svg"
        if not file.exists() or file.read_text("utf-8") != drawing:
            old.append(name)
            if not check:
                file.write_text(drawing, "utf-8")
    if check and old:
        print(f"out of date: {', '.join(old)}; run scripts/pictures.py", file=sys.stderr)
    return int(check and bool(old))


if __name__ == "__main__":
    sys.exit(main())
