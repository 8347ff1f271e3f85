"""The list of LiteLLM versions, its locks, and the places that name a version: they agree."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml

from scripts import litellm_versions
from scripts.litellm_versions import DIRECTORY, IMAGE, ROOT, default_image, parse, versions

LISTED = [version.number for version in versions()]
GOOD = "1.8.0 oldest why\n1.10.0 default why it is\n\n# a comment\n1.11.2 newest why\n"


def test_a_list_is_read():
    """Comments and empty lines are none; a version is more than its digits in a row."""
    found = parse(GOOD)
    assert [(version.number, version.role, version.why) for version in found] == [
        ("1.8.0", "oldest", "why"),
        ("1.10.0", "default", "why it is"),
        ("1.11.2", "newest", "why"),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1.12.0", "line 6 is not"),
        ("1.12 - why", "line 6 is not"),
        ("1.12.0 best why", "line 6 is not"),
        ("1.11.1 - why", "line 6: 1.11.1 does not come after 1.11.2"),
        ("1.12.0 newest why", "exactly one version must have the role newest"),
        ("1.12.0 - why", "the last one newest"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(line, said):
    """A slip in the list is said with its line or role."""
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(GOOD + line)


def test_each_version_has_a_lock_and_each_lock_a_version():
    """Whoever adds a version is told of the lock, and whoever removes one too."""
    locks = {file.stem for file in DIRECTORY.glob("*.lock")}
    assert locks == set(LISTED), "scripts/lock_litellm.sh VERSION makes a lock; delete the ones that are not listed"


@pytest.mark.parametrize("number", LISTED)
def test_a_lock_is_exact(number):
    """One LiteLLM, the tools of requirements-test.lock, a hash for everything, and no word of where it came from."""
    text = (DIRECTORY / f"{number}.lock").read_text()
    entries = re.findall(
        r"^([a-z0-9.-]+)==(\S+)((?: ;[^\n\\]*)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", text, re.MULTILINE
    )
    assert len(entries) == len(re.findall(r"^[a-z]", text, re.MULTILINE)) > 100
    pinned = {name: version for name, version, _ in entries}
    assert pinned["litellm"] == number and "prisma" in pinned
    tools = re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / "requirements-test.lock").read_text(), re.MULTILINE)
    loose = {"certifi"}
    assert {name: pinned.get(name) for name, _ in tools if name not in loose} == {
        name: version for name, version in tools if name not in loose
    }
    assert "://" not in text and "--index" not in text and "--find-links" not in text


def images(node):
    """Every value of a key ``image`` in a document."""
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "image" and isinstance(value, str))
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from images(item)


def test_compose_file_and_manifests_start_the_tested_version():
    """No moving tag: the image is the release that the list calls the default, everywhere the same, digest included."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    named = re.fullmatch(r"\$\{LITELLM_IMAGE:-(.+)\}", compose["services"]["litellm"]["image"])[1]
    assert re.fullmatch(re.escape(default_image()) + r"(@sha256:[0-9a-f]{64})?", named)
    manifests = [yaml.safe_load_all(file.read_text()) for file in (ROOT / "k8s").rglob("*.yaml")]
    found = [image for documents in manifests for image in images(list(documents)) if image.startswith(IMAGE)]
    assert found and set(found) == {named}
    assert f"#LITELLM_IMAGE={named}" in (ROOT / ".env.example").read_text().splitlines()


def test_the_command_answers_for_shell_scripts():
    """All, all but the newest, one by its role, and the image."""

    def ask(*flags):
        command = [str(ROOT / "scripts" / "litellm_versions.py"), *flags]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert ask() == LISTED
    assert ask("--others") == LISTED[:-1]
    assert ask("--role", "newest") == [LISTED[-1]] == [litellm_versions.of_role("newest")]
    assert ask("--image") == [default_image()]
