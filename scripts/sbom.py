#!/usr/bin/env python3
"""Writes what the image has from the package index, as CycloneDX: sbom.py DIRECTORY

Out of requirements.lock: each package, the files that may be installed, and what wants it. The same commit gives the
same bytes. Run it with the Python that has what tests/k8s/requirements-linters.lock installs.
"""

from __future__ import annotations

import re
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from release import NAME, ROOT, git, version

PACKAGE = re.compile(r"^([a-z0-9][\w.-]*)==([\w.]+)(.*\n(?:[ ].*\n)*)", re.MULTILINE)
WANTED_BY = re.compile(r"^    #(?: via)? +(-r|[\w.-]+)(?: requirements\.in)?$", re.MULTILINE)
OURS = "-r"
"""Who wants what requirements.in names, in the words of a lock."""


def component(name: str, number: str, kind: ComponentType, digests: list[str]) -> Component:
    purl = PackageURL("pypi", name=name, version=number)
    files = [HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in digests]
    page = XsUri(f"https://pypi.org/project/{name}/{number}/")
    where = [ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=page, hashes=files)] if files else []
    return Component(name=name, version=number, type=kind, purl=purl, bom_ref=str(purl), external_references=where)


def bill() -> Bom:
    parts, wanted_by = {OURS: component(NAME, version(), ComponentType.APPLICATION, [])}, {}
    for name, number, rest in PACKAGE.findall((ROOT / "requirements.lock").read_text("utf-8")):
        digests = re.findall(r"sha256:([0-9a-f]{64})", rest)
        parts[name] = component(name, number, ComponentType.LIBRARY, digests)
        wanted_by[name] = WANTED_BY.findall(rest)
    bom = Bom(components=[parts[name] for name in wanted_by])
    bom.metadata.component = parts[OURS]
    for wanting, part in parts.items():
        bom.register_dependency(part, [parts[name] for name, by in wanted_by.items() if wanting in by])
    commit, when = git("log", "-1", "--format=%H %ct").decode().split()
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_OID, commit)
    bom.metadata.timestamp = datetime.fromtimestamp(int(when), UTC)
    return bom


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    text = JsonV1Dot6(bill()).output_as_string(indent=2)
    # The schema of those who made the format has the last word.
    if problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"sbom.py: not valid CycloneDX: {str(problem)[:500]}")
    made = Path(sys.argv[1]) / f"{NAME}-{version()}.cdx.json"
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_text(text + "\n", "utf-8")
    print(made)


if __name__ == "__main__":
    main()
