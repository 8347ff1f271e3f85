"""Compiled modules work without what only a debugger reads."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from scripts import strip_debug

USE = """
import sys, yaml
assert yaml.__file__.startswith(sys.argv[1])
print(yaml.dump(yaml.load("[1, b, 2.5]", yaml.CSafeLoader), Dumper=yaml.CSafeDumper, default_flow_style=True))
"""


def test_a_module_works_without_what_is_for_debuggers(tmp_path: Path) -> None:
    """PyYAML's own, as it is in the image: smaller, loaded and used by a Python; stripped again it stays the same."""
    package = Path(shutil.copytree(Path(yaml.__file__).parent, tmp_path / "yaml"))
    (module,) = package.glob("_yaml*.so")
    whole = module.read_bytes()
    strip_debug.main(tmp_path)
    assert len(module.read_bytes()) < len(whole) / 3
    used = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path)], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert used.stdout.strip() == "[1, b, 2.5]", used.stderr
    assert strip_debug.stripped(module.read_bytes()) == module.read_bytes()


@pytest.mark.parametrize(
    "content", [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01" + bytes(200), b"\x7fELF\x02\x02" + bytes(200)]
)
def test_what_is_no_elf_of_ours_stays(content: bytes) -> None:
    """Nor does one of 32 bits or of a big-endian machine change."""
    assert strip_debug.stripped(content) == content


def test_one_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    """The build fails then, and the file stays as it is."""
    module = tmp_path / "cut.so"
    module.write_bytes(Path(sys.modules["yaml._yaml"].__file__ or "").read_bytes()[:70])
    before = module.read_bytes()
    with pytest.raises(struct.error):
        strip_debug.main(tmp_path)
    assert module.read_bytes() == before
