"""Leaks of containers, for test_canary.py: both tests have to fail, the second one for every one of its leaks."""

from __future__ import annotations

import base64
import urllib.parse

from tests.containers.stack import docker
from tests.support import canary
from tests.support.waiting import until


def basic(secret: str) -> str:
    return base64.b64encode(f"me:{secret}".encode()).decode()


def test_leak_of_a_command(stacks):
    stacks().shell("echo " + canary.new("k"))


def test_leak_of_every_kind(stacks):
    stack = stacks(token=canary.new("a"), COPILOT_EDITOR_VERSION="vscode/" + canary.new("o"))
    stack.write_token(1000)
    stack.up("github", "copilot-sync")
    until(lambda: stack.metric('copilot_sync_total{result="success"}') >= 1, 20, "a sync")
    name = stack.container("copilot-sync")["Id"]
    with canary.may_see("acko", "this is how it gets there"):
        stack.shell(f"chmod 0644 /github_auth/access-token; echo {basic(canary.new('k'))} > /shared/base64.txt")
        inside = ("exec", "--user", "1000", "--detach", name, "sh", "-c")
        stack.compose("run", "--detach", "--entrypoint", "sh", "login", "-c", f"echo said {canary.new('c')}")
        docker(*inside, f"echo {urllib.parse.quote('x:' + canary.new('a'), safe='')} > /tmp/url.txt")
        docker(*inside, "sleep 100; true", canary.new("k"))
