#!/usr/bin/env python3
"""Leaves out of compiled modules what only a debugger reads: strip_debug.py DIRECTORY

PyYAML's weighs 2.7 MB as it is published, 2.3 of them for debuggers. Used while the image is built, where the slim base
has no `strip`: all behind the last segment goes, as the segments are all that is ever loaded. Files that are not ELF
of 64 bits, little-endian, stay as they are.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

MAGIC = b"\x7fELF\x02\x01"
SEGMENTS, SECTIONS = 0x20, 0x28
"""Where the header says at which byte the tables of segments and of sections begin, eight bytes each."""
COUNTS = 0x36
"""Where it has the size of a segment's entry and their number, then a section's size, their number and their names'."""
ENTRY = "<8xQ16xQ16x"


def stripped(content: bytes) -> bytes:
    """The module without anything that is not loaded. Raises struct.error if it ends before its own tables do."""
    if not content.startswith(MAGIC):
        return content
    (table,) = struct.unpack_from("<Q", content, SEGMENTS)
    size, count = struct.unpack_from("<HH", content, COUNTS)
    segments = [struct.unpack_from(ENTRY, content, table + number * size) for number in range(count)]
    kept = bytearray(content[: max(table + size * count, *(begin + length for begin, length in segments))])
    struct.pack_into("<Q", kept, SECTIONS, 0)
    struct.pack_into("<HHH", kept, COUNTS + 4, 0, 0, 0)
    return bytes(kept)


def main(directory: Path) -> None:
    for module in sorted(directory.rglob("*.so")):
        before = module.read_bytes()
        after = stripped(before)
        module.write_bytes(after)
        print(f"{module.name}: {len(before):,} to {len(after):,} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: strip_debug.py DIRECTORY, one that exists")
    main(Path(sys.argv[1]))
