"""github_auth.py, update-github-models.py and fetch_copilot_models.py, as a user runs them on a clean clone."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys

import pytest
import yaml

from tests.scripts.clone import TOKEN
from tests.support import canary
from tests.support.files import files_under, put_secret
from tests.support.older import HEADERS, older_config
from tests.support.paths import ROOT


def models(path):
    return yaml.safe_load(path.read_text())["model_list"]


def test_login(clone):
    """A device login writes github_token.json and access-token, both 0600; a second one finds them."""
    clone.gh.device_flow(approve_after=0.1, interval=1)
    done = clone.run("github_auth.py")
    assert done.returncode == 0 and "enter the code" in done.stdout
    text = (clone.tokens / "access-token").read_text()
    assert json.loads((clone.tokens / "github_token.json").read_text()) == {"access_token": text}
    for path in clone.tokens.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    (clone.tokens / "github_token.json").unlink()
    again = clone.run("github_auth.py")
    assert again.returncode == 0 and "Already logged in" in again.stdout
    assert (clone.tokens / "github_token.json").exists()
    anew = clone.run("github_auth.py", "--force")
    assert anew.returncode == 0 and (clone.tokens / "access-token").read_text() != text
    assert f"{clone.root}/scripts/fetch_copilot_models.py' --config config.yaml" in anew.stdout.replace("'\"'\"'", "'")


def hosts(text):
    return {"127.0.0.1": {"user": "somebody", "oauth_token": text}}


def apps(text):
    wrong = {"user": "somebody", "oauth_token": canary.new("a", "gho_")}
    return {
        "127.0.0.1:Iv1.other": wrong,
        "127.0.0.1:Iv1.b507a08c87ecfe98": {"user": "somebody", "oauth_token": text},
        "tenant.ghe.com": {"oauth_token": "ghu_" + "elsewhere" * 4},
    }


@pytest.mark.parametrize(
    ("place", "content"),
    [
        (".config/github-copilot/hosts.json", hosts),
        (".config/github-copilot/apps.json", apps),
        (".config/litellm/github_copilot/access-token", None),
        ("somewhere/apps.json", apps),
        ("somewhere/token.txt", None),
    ],
)
def test_import(clone, place, content, tmp_path):
    """--import takes a token from where LiteLLM or an editor keeps it, or from a path, and leaves the source."""
    clone.gh.new_access_token(token=TOKEN)
    source = clone.home / place
    source.parent.mkdir(parents=True, exist_ok=True)
    put_secret(source, json.dumps(content(TOKEN)) if content else TOKEN + "\n")
    canary.may_hold(source, "a", "where somebody else keeps it")
    before = source.read_bytes()
    given = [str(source if "token" in place else source.parent)] if "somewhere" in place else []
    target = tmp_path / "tokens"
    done = clone.run("github_auth.py", "--import", *given, GITHUB_COPILOT_TOKEN_DIR=str(target))
    assert done.returncode == 0 and f"ghu_…{TOKEN[-4:]}" in done.stdout, done.stderr
    assert (target / "access-token").read_text() == TOKEN and source.read_bytes() == before
    assert (target / "github_token.json").stat().st_mode & 0o777 == 0o600
    # A token is sent to the host it is for, and to no other.
    assert not any("elsewhere" in str(request.headers) for request in clone.gh.requests)


def test_import_of_nothing(clone):
    """Without a token that serves, the exit code and the hint are those of a missing login."""
    assert clone.run("github_auth.py", "--import").returncode == 3
    old = canary.new("a")
    put_secret(canary.may_hold(clone.home / "old", "a", "what is imported"), old)
    done = clone.run("github_auth.py", "--import", "old", cwd=clone.home)
    assert done.returncode == 3 and f"ghu_…{old[-4:]}" in done.stderr and not clone.tokens.exists()
    assert clone.run("github_auth.py", "--import", "/no/such/file").returncode == 5


def test_complete_config(clone, tmp_path):
    """update-github-models.py makes a complete config where the user is; run again it keeps what the user added."""
    clone.log_in()
    done = clone.run("update-github-models.py")
    assert done.returncode == 0, done.stderr
    path = clone.home / "auto-headers-config.yaml"
    assert [item["model_name"] for item in models(path)] == ["gpt-4o", "gpt-5-mini"]
    for item in models(path):
        assert item["litellm_params"]["extra_headers"].keys() >= {
            "editor-version",
            "editor-plugin-version",
            "copilot-integration-id",
            "user-agent",
        }
    assert yaml.safe_load(path.read_text())["general_settings"]["master_key"] == "os.environ/LITELLM_MASTER_KEY"

    # What it says at the end, as a user copies it.
    (tmp_path / "litellm").write_text('#!/bin/sh\necho "$LITELLM_MASTER_KEY" "$@"\n')
    (tmp_path / "litellm").chmod(0o755)
    commands = done.stdout.partition("Start LiteLLM:\n")[2]
    environ = {"PATH": f"{tmp_path}:{clone.environ['PATH']}"}
    started = subprocess.run(
        ["bash", "-ec", commands], env=environ, cwd=clone.home, capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"sk-[0-9a-f]{48} --config auto-headers-config.yaml\n", started.stdout)

    path.write_text("# mine\n" + path.read_text())
    again = clone.run("update-github-models.py", LITELLM_MASTER_KEY=canary.new("k"))
    assert again.returncode == 0 and again.stdout.endswith(
        "Start LiteLLM:\n  litellm --config auto-headers-config.yaml\n"
    )
    assert path.read_text().startswith("# mine\n")


def test_complete_config_of_the_older_script(clone):
    """Entries that look hand-written stay, which is said, until --adopt; those that cannot work are refused."""
    clone.log_in()
    path = clone.home / "auto-headers-config.yaml"
    bare = {"model_name": "gpt-4o", "litellm_params": {"model": "github_copilot/gpt-4o", "extra_headers": HEADERS}}
    path.write_text(yaml.safe_dump({"model_list": [bare], "general_settings": {"master_key": "sk-of-old"}}))
    done = clone.run("update-github-models.py")
    assert done.returncode == 0 and "1 are entries of your own, not kept in sync (--adopt" in done.stdout
    assert "LITELLM_MASTER_KEY" not in done.stdout
    done = clone.run("update-github-models.py", "--adopt")
    assert "  1 taken over: gpt-4o\n" in done.stdout and models(path)[0]["model_info"]["mode"] == "chat"
    path.write_text(older_config(["gpt-4o"]))
    done = clone.run("fetch_copilot_models.py", "--config", path.name)
    assert (
        done.returncode == 2
        and "of an older tool, which LiteLLM cannot use" in done.stderr
        and "up to date" not in done.stdout
    )


def test_complete_config_fails(clone, tmp_path):
    """Without a login, or a place for the file, nothing is left behind."""
    done = clone.run("update-github-models.py", "--output", str(tmp_path / "new.yaml"))
    assert done.returncode == 3 and not (tmp_path / "new.yaml").exists() and "Start" not in done.stdout
    assert clone.run("update-github-models.py", "--output", "/no/such/dir/new.yaml").returncode == 5


def test_fetch(clone, tmp_path):
    """fetch_copilot_models.py syncs config.yaml where the user is, or CONFIG_FILE, or --config; never the clone's."""
    clone.log_in()
    assert clone.run("fetch_copilot_models.py").returncode == 0
    assert len(models(clone.config)) == 2 and clone.config.read_text().startswith("# mine\n")
    shipped = (clone.root / "config.yaml").read_bytes()
    done = clone.run("fetch_copilot_models.py", cwd=clone.root)
    assert done.returncode == 2 and "is not edited in place: it comes with the clone" in done.stderr
    assert (clone.root / "config.yaml").read_bytes() == shipped and not list(clone.root.glob(".config.yaml*"))
    done = clone.run("fetch_copilot_models.py", "--config", "other.yaml", "--verbose", cwd=tmp_path)
    assert done.returncode == 2 and "other.yaml does not exist" in done.stderr and "debug: " in done.stderr
    done = clone.run("fetch_copilot_models.py", "--create", cwd=tmp_path, CONFIG_FILE="other.yaml")
    assert done.returncode == 0 and "other.yaml created: 2 models" in done.stdout
    assert len(models(tmp_path / "other.yaml")) == 2


SCRIPTS = ("github_auth.py", "update-github-models.py", "fetch_copilot_models.py")


@pytest.mark.parametrize("script", [*SCRIPTS, "sync_copilot_models.sh", "setup_cron.sh", "docker_startup.sh"])
def test_help(clone, script):
    """--help works, names how it is used, and does nothing else: no request, no file, no log, no crontab."""
    before = files_under(clone.root.parent)
    done = clone.run(script, "--help", LITELLM="/no/such/program")
    assert done.returncode == 0 and script in done.stdout and done.stderr == ""
    assert files_under(clone.root.parent) == before and clone.gh.requests == []


def bare_python(directory):
    """A Python without site-packages, and so without requests, in a directory of its own."""
    directory.mkdir()
    (directory / "python3").write_text(f'#!/bin/sh\nexec "{sys._base_executable}" -S "$@"\n')
    (directory / "python3").chmod(0o755)
    return f"{directory}:/usr/bin:/bin"


@pytest.mark.parametrize("script", ["fetch_copilot_models.py", "sync_copilot_models.sh"])
def test_missing_packages(clone, runtime, tmp_path, script):
    """A script says what is missing, and how to make an environment of its own, which it then finds by itself."""
    clone.log_in()
    path = bare_python(tmp_path / "bin")
    (tmp_path / "bin" / "python").symlink_to("python3")
    done = clone.run(script, PATH=path)
    assert done.returncode == 2 and ("is missing" in done.stderr or "lacks the packages" in done.stderr)
    command = done.stderr.partition("of their own: ")[2] or done.stderr.partition("of its own: ")[2]
    _, *words = shlex.split(command.splitlines()[0])
    venv, lock = str(clone.root / ".venv"), str(clone.root / "requirements.lock")
    assert words == ["-m", "venv", venv, "&&", f"{venv}/bin/pip", "install", "--require-hashes", "-r", lock]
    assert "python3-venv" in done.stderr
    (clone.root / ".venv").symlink_to(runtime)
    assert clone.run(script, PATH=path).returncode == 0 and len(models(clone.config)) == 2


OLD = """\
import os, runpy, sys
sys.version_info = (3, 9, 2)
del sys.argv[0]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("script", [*SCRIPTS, "sync_copilot_models.sh", "setup_cron.sh", "docker_startup.sh"])
def test_an_older_python(clone, tmp_path, script):
    """Every script refuses it in one sentence with exit code 2, which no script takes for a change."""
    old = tmp_path / "bin"
    old.mkdir()
    (old / "old.py").write_text(OLD)
    for name in ("python3", "python"):
        command = f'exec "{sys.executable}" "{old}/old.py" "$@"'
        (old / name).write_text(f'#!/bin/sh\ncase "$1" in -*) exit 1 ;; esac\n{command}\n')
        (old / name).chmod(0o755)
    done = clone.run(script, PATH=f"{old}:/usr/bin:/bin")
    assert done.returncode == 2 and done.stderr.startswith(f"{script}: Python 3.11 or newer is needed, and ")
    assert len(done.stderr.splitlines()) == 2 and "would change" not in done.stdout


def test_the_scripts_parse_on_older_pythons():
    """They have to be read before they can refuse: nothing in them is newer than Python 3.7, or 3.6 does not know."""
    for script in (*SCRIPTS, "_package.py"):
        text = (ROOT / "scripts" / script).read_text()
        ast.parse(text, feature_version=(3, 7))
        assert "__future__" not in text and ":=" not in text
