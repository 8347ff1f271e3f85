"""All that the containers of a stack show or leave, for the search for secrets (tests/support/canary.py)."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

from tests.fakes.marked import KINDS
from tests.support import canary

if TYPE_CHECKING:
    from tests.containers.stack import Stack

NOT_OURS = ("github", "shell")  # the stand-in for GitHub, and the test's own hand in the volumes
VOLUMES = ("/github_auth", "/shared", "/keys")
MASTER_KEY = "keys/master-key"
# Reads paths, one a line, and writes the files there as a tar archive.
TAR = """
import os, sys, tarfile
tar = tarfile.open(fileobj=sys.stdout.buffer, mode="w|")
for path in sys.stdin.read().splitlines():
    if os.path.exists(path) and not path.endswith(".pyc"):
        tar.add(path, recursive=os.path.ismount(path))
tar.close()
"""


def search(stack: Stack) -> None:
    """Volumes, logs, configuration, arguments, environments and changed files of all our containers."""
    with canary.may_see("".join(KINDS), "here it is looked at place by place"):
        label = f"label=com.docker.compose.project={stack.project}"
        names = _run("docker", "ps", "--all", "--quiet", "--filter", label).decode().split()
        if not names:
            return
        volumes = _run(*stack.command_line("run", "--rm", "-T", "--entrypoint", "python3", "shell", "-c", TAR),
                       stdin="\n".join(VOLUMES), env=stack.environment())  # fmt: skip
        _files("the volumes", volumes)
        for item in json.loads(_run("docker", "inspect", *names)):
            if item["Config"]["Labels"]["com.docker.compose.service"] not in NOT_OURS:
                _container(item)


def _container(item: dict[str, Any]) -> None:
    name, service = item["Id"], item["Config"]["Labels"]["com.docker.compose.service"]
    canary.search_environment(f"the container {service}", _pairs(item["Config"].pop("Env")))
    canary.search(f"the configuration of {service}", json.dumps(item))
    canary.search(f"the image of {service}", _run("docker", "image", "inspect", item["Image"]))
    canary.search(f"the log of {service}", _run("docker", "logs", name))
    try:
        _processes(item)
    except AssertionError:
        # It may have ended, or have been restarted, while it was looked at.
        now, then = json.loads(_run("docker", "inspect", name))[0]["State"], item["State"]
        if now["Running"] and not now["Restarting"] and now["StartedAt"] == then["StartedAt"]:
            raise


def _processes(item: dict[str, Any]) -> None:
    """Only while it is running: arguments, environments, and files that are not in a volume."""
    name, service = item["Id"], item["Config"]["Labels"]["com.docker.compose.service"]
    if not item["State"]["Running"]:
        return
    canary.search(f"the processes of {service}", _run("docker", "top", name, "-eo", "pid,args"))
    script = "for file in /proc/[0-9]*/environ; do cat $file; done 2>/dev/null; true"
    user = _run("docker", "exec", name, "stat", "-c", "%u", "/proc/1").decode().strip()
    found = _run("docker", "exec", "--user", user, name, "sh", "-c", script).decode("utf-8", "replace").split("\0")
    assert len(found) > 3, f"no environment of {service} can be read"
    canary.search_environment(f"a process of {service}", _pairs(found))
    changed = [line[2:] for line in _run("docker", "diff", name).decode().splitlines() if line[0] in "AC"]
    places = "\n".join([*(item["HostConfig"].get("Tmpfs") or ()), *changed])
    _files(service, _run("docker", "exec", "-i", "--user", "0", name, "python3", "-c", TAR, stdin=places))


def _pairs(lines: list[str]) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in lines)


def _files(place: str, archive: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = [member for member in tar if member.isfile()]
        contents = {member.name: tar.extractfile(member).read() for member in members}  # type: ignore[union-attr]
    if key := contents.get(MASTER_KEY):
        canary.add("k", key.decode().strip())
    for member in members:
        canary.search_file(f"{member.name} of {place}", member.name, member.mode, contents[member.name])


def _run(*words: str, stdin: str = "", env: dict[str, str] | None = None) -> bytes:
    """What a command writes to both outputs, but for a tar archive: then to the one."""
    errors = subprocess.PIPE if stdin else subprocess.STDOUT
    done = subprocess.run(
        words, input=stdin.encode(), env=env, stdout=subprocess.PIPE, stderr=errors, timeout=120, check=False
    )
    assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr)
    return done.stdout
