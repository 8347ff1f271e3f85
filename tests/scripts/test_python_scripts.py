"""github_auth.py, update-github-models.py and fetch_copilot_models.py, as a user runs them on a clean clone."""

from __future__ import annotations

import json
import sys

import pytest
import yaml

from tests.scripts.clone import TOKEN
from tests.support import canary
from tests.support.files import put_secret


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


def test_complete_config(clone):
    """update-github-models.py makes a complete config; run again it keeps what the user added."""
    clone.log_in()
    done = clone.run("update-github-models.py")
    assert done.returncode == 0, done.stderr
    path = clone.root / "auto-headers-config.yaml"
    assert [item["model_name"] for item in models(path)] == ["gpt-4o", "gpt-5-mini"]
    for item in models(path):
        assert item["litellm_params"]["extra_headers"].keys() >= {
            "editor-version",
            "editor-plugin-version",
            "copilot-integration-id",
            "user-agent",
        }
    assert yaml.safe_load(path.read_text())["general_settings"]["master_key"] == "os.environ/LITELLM_MASTER_KEY"
    path.write_text("# mine\n" + path.read_text())
    assert clone.run("update-github-models.py").returncode == 0
    assert path.read_text().startswith("# mine\n")


def test_complete_config_fails(clone, tmp_path):
    """Without a login, or a place for the file, nothing is left behind."""
    done = clone.run("update-github-models.py", "--output", str(tmp_path / "new.yaml"))
    assert done.returncode == 3 and not (tmp_path / "new.yaml").exists()
    assert clone.run("update-github-models.py", "--output", "/no/such/dir/new.yaml").returncode == 5


def test_fetch(clone, tmp_path):
    """fetch_copilot_models.py syncs the clone's config.yaml, or --config, relative to where the user is."""
    clone.log_in()
    before = clone.config.read_text()
    assert clone.run("fetch_copilot_models.py").returncode == 0
    assert len(models(clone.config)) == 2
    assert clone.config.read_text().replace(" ", "").count("#") >= before.count("#")
    done = clone.run("fetch_copilot_models.py", "--config", "other.yaml", "--verbose", cwd=tmp_path)
    assert done.returncode == 0 and "debug: " in done.stderr
    assert len(models(tmp_path / "other.yaml")) == 2


@pytest.mark.parametrize("script", ["github_auth.py", "update-github-models.py", "fetch_copilot_models.py"])
def test_help(clone, script):
    """--help works, and names the flags."""
    done = clone.run(script, "--help")
    assert done.returncode == 0 and "--" in done.stdout and done.stderr == ""


def test_missing_packages(clone, tmp_path):
    """Without the runtime packages a script says which one is missing, and how to install it."""
    bare = tmp_path / "bin"
    bare.mkdir()
    # Without site-packages, and so without requests.
    (bare / "python3").write_text(f'#!/bin/sh\nexec "{sys._base_executable}" -S "$@"\n')
    (bare / "python3").chmod(0o755)
    done = clone.run("fetch_copilot_models.py", PATH=f"{bare}:/usr/bin:/bin")
    assert done.returncode == 2 and "is missing" in done.stderr and "requirements.lock" in done.stderr
