"""The scripts, run as root or by cron, execute nothing of the directory that they happen to be started in."""

from __future__ import annotations

import os
import stat

import pytest

MODULES = ("yaml", "requests", "tenacity", "pythonjsonlogger", "sidecar", "_package", "json", "logging", "argparse",
           "sitecustomize", "usercustomize", "litellm_hot_reload")  # fmt: skip


@pytest.fixture
def trap(tmp_path):
    """A directory of somebody else's, full of modules and programs that leave a mark when they are executed."""
    directory, mark = tmp_path / "trap", tmp_path / "executed"
    directory.mkdir()
    for name in MODULES:
        package = directory / name
        package.mkdir()
        for file in ("__init__.py", "__main__.py", "cli.py", "logs.py"):
            (package / file).write_text(f"open({str(mark)!r}, 'a').write({name + ' '!r} + __name__ + chr(10))\n")
        (directory / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write({name!r} + chr(10))\n")
    (directory / "config.yaml").write_text("model_list: []\n")
    for name in ("python3", "python", "env", "flock", "sidecar.sh", "_common.sh"):
        program = directory / name
        program.write_text(f"#!/bin/sh\necho {name} >>'{mark}'\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return directory, mark


@pytest.mark.parametrize(
    ("script", "arguments", "code"),
    [
        ("sync_copilot_models.sh", (), 0),
        ("setup_cron.sh", ("--show",), 0),
        ("docker_startup.sh", (), 7),
        ("github_auth.py", (), 0),
        ("fetch_copilot_models.py", (), 0),
        ("update-github-models.py", (), 0),
    ],
)
def test_nothing_of_the_working_directory_is_executed(clone, trap, script, arguments, code):
    """Modules and programs beside the caller are not run, whatever they are called; the script does its work."""
    directory, mark = trap
    clone.log_in()
    litellm = clone.home / "litellm"
    litellm.write_text("#!/bin/sh\nexit 7\n")
    litellm.chmod(0o755)
    done = clone.run(
        script, *arguments, cwd=directory, LITELLM=str(litellm), COPILOT_MODELS_FILE=str(clone.home / "models.yaml")
    )
    assert not mark.exists(), mark.read_text()
    assert done.returncode == code, done.stdout + done.stderr


def test_every_script_is_tried(clone):
    """A script that is added has to be tried above, unless it works on the clone itself or is no program of its own."""
    names = {name for name in os.listdir(clone.root / "scripts") if not name.startswith("_")}
    developers = {
        *("bench.py", "compatibility.py", "fuzz.sh", "k8s_scale.py", "litellm_versions.py", "lock_litellm.sh"),
        *(
            *("matrix.sh", "nightly.sh", "pictures.py", "pin_images.sh", "reference.py", "scan.sh", "soak.py"),
            *("structure.py", "test.sh", "ci.sh", "pythons.sh", "messages.py", "cures.yml", "interface.py"),
            *("release.py", "sbom.py", "image.sh", "strip_debug.py"),
        ),
    }
    tried = {mark.args[1][number][0] for mark in test_nothing_of_the_working_directory_is_executed.pytestmark
             for number in range(len(mark.args[1]))}  # fmt: skip
    assert names - developers == tried
