"""No token, key or password of anybody's is in the repository, nor was in any commit of it."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.support.paths import ROOT

SHAPES = {
    "GitHub token": rb"\bgh[opsur]_[A-Za-z0-9]{16,}",
    "GitHub fine-grained token": rb"\bgithub_pat_[A-Za-z0-9_]{20,}",
    "Copilot token": rb"\btid=[^\s;\"']{6,};[^\s\"']*\bexp=\d{9,}[^\s\"']*",
    "API key": rb"\bsk-[A-Za-z0-9_-]{20,}",
    "private key": rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{20,}",
    "cloud key": rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[A-Za-z0-9_-]{35}|\b(?:xox[abpr]-|npm_)[A-Za-z0-9-]{20,}",
    "web token": rb"\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{20,}",
}
FAKE = re.compile(rb"0123456789|secret|from_?the|example|fake|canary|test|(.)\1{7}", re.IGNORECASE)
"""What marks a value as made up: no such thing stands in random text of a key's length by chance."""


def found(text: bytes) -> list[str]:
    """The kinds of what looks real in a text; the text itself is not shown."""
    return [
        f"{kind}: {match[0][:8].decode('latin-1')}…"
        for kind, shape in SHAPES.items()
        for match in re.finditer(shape, text)
        if not FAKE.search(match[0])
    ]


def history(directory) -> bytes:
    """Every commit's message and every line that any commit of any branch has added."""
    words = ["git", "log", "--all", "--patch", "--text", "--no-color", "--no-ext-diff", "--no-textconv", "--unified=0"]
    log = subprocess.run(words, cwd=directory, capture_output=True, check=True, timeout=300).stdout
    return re.sub(rb"^-.*\n", b"", log, flags=re.MULTILINE)


# Put together here, so that this file has none of the shapes.
REAL = {
    "GitHub token": b"ghu_" + b"Zk3vQ9xL2mWp8RtY5bNc7HdJ4sGf1AeVuK6o",
    "GitHub fine-grained token": b"github_pat_" + b"11ABCDEFG0Zk3vQ9xL2mWp_8RtY5bNc7HdJ4sGf1AeVu",
    "Copilot token": b"tid=" + b"9f8e7d6c5b4a3f2e;ol=1;exp=" + b"1764086400;sku=plus",
    "API key": b"sk-" + b"Zk3vQ9xL2mWp8RtY5bNc7HdJ4sGf1AeVuK6oXyWzBqM",
    "private key": b"-----BEGIN RSA " + b"PRIVATE KEY-----\nMIIEowIBAAKCAQEAvQ9xL2mWp8RtY5bNc7",
    "cloud key": b"AKIA" + b"Q9XL2MWP8RTY5BNC",
    "web token": b"eyJ" + b"hbGciOiJIUzI1NiJ9vQ9x.eyJ" + b"zdWIiOiIxMjM0NTYifQ9xL.Zk3vQ9xL2mWp8RtY5bNc7HdJ4",
}


@pytest.mark.parametrize("kind", SHAPES)
def test_each_kind_is_found_in_a_commit_of_long_ago(kind, tmp_path):
    """A file that was committed and deleted again is not forgotten, and what is found is not shown."""

    def git(*words):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x", *words], cwd=tmp_path, check=True)

    git("init", "--quiet")
    (tmp_path / "file").write_bytes(b"token: '" + REAL[kind] + b"'\n")
    git("add", "file")
    git("commit", "--quiet", "-m", "once")
    git("rm", "--quiet", "file")
    git("commit", "--quiet", "-m", "never mind")
    (seen,) = found(history(tmp_path))
    assert seen.startswith(kind) and len(seen) < len(kind) + 14
    assert found(REAL[kind][:6] + b"0123456789" + REAL[kind][6:]) == []


def test_no_tracked_file_has_one():
    """Every file that git knows, as it is now."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    files = [path for name in names if name and (path := ROOT / name.decode()).is_file()]
    assert len(files) > 200
    assert {str(path): seen for path in files if (seen := found(path.read_bytes()))} == {}


def test_no_commit_had_one():
    """Every line that was ever added, and every message."""
    text = history(ROOT)
    assert len(text) > 10_000
    assert found(text) == []
