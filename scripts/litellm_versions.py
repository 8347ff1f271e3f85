#!/usr/bin/env python3
"""Prints the LiteLLM versions that the tests run on (requirements-litellm/versions.txt), for shell scripts and tests.

scripts/litellm_versions.py             all versions, oldest first
scripts/litellm_versions.py --others    all but the newest
scripts/litellm_versions.py --role R    the one with role R: oldest, default or newest
scripts/litellm_versions.py --image     the image that the compose file and manifests use
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIRECTORY = ROOT / "requirements-litellm"
LIST = DIRECTORY / "versions.txt"
ROLES = ("oldest", "default", "newest")
IMAGE = "ghcr.io/berriai/litellm"


@dataclass(frozen=True)
class Version:
    """One line of the list."""

    number: str
    role: str
    why: str

    @property
    def key(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.number.split("."))


def parse(text: str) -> list[Version]:
    """The versions in a list. Raises ValueError, naming the line, for an invalid one."""
    found: list[Version] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split(maxsplit=2)
        if len(words) != 3 or not re.fullmatch(r"\d+\.\d+\.\d+", words[0]) or words[1] not in (*ROLES, "-"):
            raise ValueError(f"line {number} is not `version role why`, where role is {', '.join(ROLES)} or -: {line}")
        version = Version(*words)
        if found and found[-1].key >= version.key:
            raise ValueError(f"line {number}: {version.number} does not come after {found[-1].number}")
        found.append(version)
    for role in ROLES:
        if len([version for version in found if version.role == role]) != 1:
            raise ValueError(f"exactly one version must have the role {role}")
    if (found[0].role, found[-1].role) != ("oldest", "newest"):
        raise ValueError("the first version must have the role oldest, and the last one newest")
    return found


def versions() -> list[Version]:
    return parse(LIST.read_text("utf-8"))


def of_role(role: str) -> str:
    """The number of the one version with this role."""
    return next(version.number for version in versions() if version.role == role)


def default_image() -> str:
    """The image that the compose file and manifests name. LiteLLM tags its releases ``v1.2.3``."""
    return f"{IMAGE}:v{of_role('default')}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--others", action="store_true")
    which.add_argument("--role", choices=ROLES)
    which.add_argument("--image", action="store_true")
    args = parser.parse_args()
    try:
        if args.image:
            print(default_image())
        elif args.role:
            print(of_role(args.role))
        else:
            found = [version.number for version in versions() if not args.others or version.role != "newest"]
            print("\n".join(found))
    except (OSError, ValueError) as error:
        parser.exit(2, f"{LIST}: {error}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
