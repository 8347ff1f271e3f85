#!/usr/bin/env python3
"""Makes the files of a release, for .github/workflows/release.yml; docs/releasing.md says when.

scripts/release.py check TAG           does the tag fit the version, and has the changelog a section of it?
scripts/release.py version             what sidecar.__version__ says
scripts/release.py notes               that section: the text of the release
scripts/release.py compose IMAGE       a docker-compose.yml that works alone, with IMAGE as it was published
scripts/release.py dist DIRECTORY      wheel and sdist of the commit: the same commit gives the same bytes

dist needs uv on the path, and takes from the package index what requirements-build.lock has.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "litellm-copilot-model-sync"
BUILD = ("uv", "build", "--quiet", "--require-hashes", "--build-constraints", str(ROOT / "requirements-build.lock"))


class Unfit(Exception):
    """The repository is not what a release can be made of."""


def version() -> str:
    """The one source of the version: ``sidecar.__version__``, read without importing anything."""
    text = (ROOT / "sidecar" / "__init__.py").read_text("utf-8")
    (found,) = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return str(found)


def sections(changelog: str) -> dict[str, str]:
    """The changelog's sections by the first word of their heading: a version, or Unreleased."""
    parts = re.split(r"^## +(\S+).*\n", changelog, flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def notes() -> str:
    found = sections((ROOT / "CHANGELOG.md").read_text("utf-8")).get(version())
    if not found:
        raise Unfit(f"CHANGELOG.md has no section `## {version()}`, or nothing in it")
    return found + "\n"


def check(tag: str) -> None:
    if not re.fullmatch(r"\d+\.\d+\.\d+", version()):
        raise Unfit(f"sidecar.__version__ is {version()}, not three numbers")
    if tag != f"v{version()}":
        raise Unfit(f"the tag is {tag}, but sidecar.__version__ is {version()}: the tag has to be v{version()}")
    notes()
    if sections((ROOT / "CHANGELOG.md").read_text("utf-8")).get("Unreleased"):
        raise Unfit(f"CHANGELOG.md still has something under Unreleased: move it to `## {version()}`")


def compose(image: str) -> str:
    """The compose file, with what it takes from a clone replaced; all else stays as it is tested."""
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    config = (ROOT / "config.yaml").read_text("utf-8").replace("$", "$$")
    inline = "".join(f"      {line}".rstrip() + "\n" for line in config.splitlines())
    mount = "    configs:\n      - source: litellm\n        target: /app/inline/config.yaml\n"
    whose = "  # LiteLLM's config, unless LITELLM_CONFIG names a file of yours.\n  litellm:\n    content: |\n"
    for old, new in (
        (r"litellm-copilot-model-sync:local", image),
        (r"  build:\n(    .*\n)+", ""),
        # No such files, and an empty volume, unless one names a directory: Docker would make ./custom, as root's.
        (r"/custom/aliases\.yaml", "${COPILOT_CUSTOM_DIR:+/custom/aliases.yaml}"),
        (r"/custom/overrides\.yaml", "${COPILOT_CUSTOM_DIR:+/custom/overrides.yaml}"),
        (r"\$\{COPILOT_CUSTOM_DIR:-./custom\}", "${COPILOT_CUSTOM_DIR:-custom}"),
        # The config below, or /app/config.yaml if one names a file.
        (r"/app/config\.yaml\"", '/app/inline/${LITELLM_CONFIG:+../}config.yaml"'),
        (r"\$\{LITELLM_CONFIG:-./config\.yaml\}", "${LITELLM_CONFIG:-/dev/null}"),
        (r"(?<=keys:/keys:ro\n)", mount),
        (r"\nvolumes:\n", f"\nconfigs:\n{whose}{inline}\nvolumes:\n  custom:\n"),
    ):
        text, count = re.subn(old, lambda _, new=new: new, text)  # type: ignore[misc]
        if count != 1:
            raise Unfit(f"docker-compose.yml has {old} {count} times, not once")
    return text


def git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True).stdout  # noqa: S603, S607


def dist(directory: Path) -> list[Path]:
    """Built from the commit, not from the working tree, whose times, modes and stray files would get in."""
    epoch = int(git("log", "-1", "--format=%ct"))
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        with tarfile.open(fileobj=io.BytesIO(git("archive", "HEAD"))) as commit:
            commit.extractall(home, filter="data")
        for path in Path(home).rglob("*"):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        env = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "TZ": "UTC"}
        words = [*BUILD, "--out-dir", str(directory.resolve())]
        subprocess.run(words, cwd=home, env=env, umask=0o022, stdout=subprocess.DEVNULL, check=True)  # noqa: S603
    made = [next(directory.glob(f"{NAME.replace('-', '_')}-{version()}{end}")) for end in ("-*.whl", ".tar.gz")]
    _settle(made[1], epoch)
    return made


def _settle(sdist: Path, epoch: int) -> None:
    """Write the archive anew with one time, one owner and one order: setuptools takes those of the moment."""
    with tarfile.open(sdist) as archive:
        entries = [(entry, archive.extractfile(entry)) for entry in archive.getmembers()]
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as new:
            for entry, content in sorted(entries, key=lambda pair: pair[0].name):
                entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = epoch, 0, 0, "", ""
                entry.pax_headers = {}
                new.addfile(entry, content)
    sdist.write_bytes(gzip.compress(packed.getvalue(), mtime=epoch))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("check").add_argument("tag")
    commands.add_parser("version")
    commands.add_parser("notes")
    commands.add_parser("compose").add_argument("image")
    commands.add_parser("dist").add_argument("directory", type=Path)
    args = parser.parse_args()
    try:
        if args.command == "check":
            check(args.tag)
        elif args.command == "version":
            print(version())
        elif args.command == "notes":
            print(notes(), end="")
        elif args.command == "compose":
            print(compose(args.image), end="")
        else:
            print(*dist(args.directory), sep="\n")
    except Unfit as error:
        parser.exit(1, f"release.py: {error}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
