"""sync_copilot_models.sh and setup_cron.sh on a clean clone; cron itself runs the job once."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess

import pytest
import yaml

from tests.fakes.catalog import model
from tests.support import canary
from tests.support.paths import ROOT
from tests.support.waiting import until

FAKE_CRONTAB = """#!/bin/sh
[ "$1" = - ] && exec cat >"$CRONTAB"
[ -e "$CRONTAB" ] || { echo "no crontab for you" >&2; exit 1; }
cat "$CRONTAB"
"""


def entries(clone):
    return [item["model_name"] for item in yaml.safe_load(clone.config.read_text())["model_list"]]


def test_sync(clone):
    """One run: config up to date, a backup, a log, and LiteLLM is told."""
    clone.log_in()
    done = clone.run("sync_copilot_models.sh", COPILOT_ON_CHANGE=f"touch '{clone.home}/told'")
    assert done.returncode == 0, done.stderr
    assert entries(clone) == ["github_copilot/gpt-4o", "github_copilot/gpt-5-mini"]
    assert len(list(clone.home.glob("config.yaml.bak-*"))) == 1 and (clone.home / "told").exists()
    assert (clone.root / "config.yaml").read_bytes() == (ROOT / "config.yaml").read_bytes()
    log = (clone.root / "logs" / "copilot_sync.log").read_text()
    assert "added github_copilot/gpt-4o" in log and log.splitlines()[-1].endswith(" done")
    assert log.splitlines()[0][:2] == "20"


def test_sync_is_taken_back(clone):
    """What the validation refuses is restored, nobody is told, and log and exit code say so."""
    clone.log_in()
    before = clone.config.read_bytes()
    done = clone.run("sync_copilot_models.sh", COPILOT_VALIDATE="false", COPILOT_ON_CHANGE=f"touch '{clone.home}/told'")
    assert done.returncode == 2 and clone.config.read_bytes() == before and not (clone.home / "told").exists()
    assert "the sync failed (2); the config is unchanged" in (clone.root / "logs" / "copilot_sync.log").read_text()


def test_sync_without_login(clone):
    """A failure keeps the config and the exit code of the package."""
    before = clone.config.read_bytes()
    assert clone.run("sync_copilot_models.sh").returncode == 3
    assert clone.config.read_bytes() == before


def test_two_syncs_at_once(clone):
    """A second run ends at once while one is under way, and a killed one blocks nobody."""
    clone.log_in()
    clone.gh.fail("/models", how="hang", times=1)
    first = subprocess.Popen(
        [str(clone.root / "scripts" / "sync_copilot_models.sh")],
        cwd=clone.home,
        env=clone.environ,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: clone.gh.count("/models"), what="the first sync")
    done = clone.run("sync_copilot_models.sh")
    assert done.returncode == 0 and "another run is still in progress" in done.stdout
    os.killpg(first.pid, signal.SIGKILL)
    first.wait(60)
    clone.gh.heal()
    assert clone.run("sync_copilot_models.sh").returncode == 0
    assert entries(clone)


@pytest.fixture
def crontab(clone, tmp_path):
    """A crontab command of our own: the real one would change this machine's."""
    command = tmp_path / "bin" / "crontab"
    command.parent.mkdir()
    command.write_text(FAKE_CRONTAB)
    command.chmod(0o755)
    table = tmp_path / "crontab"
    clone.environ |= {"PATH": f"{command.parent}:{clone.environ['PATH']}", "CRONTAB": str(table)}
    return table


def runs(fields):
    """The minutes of a week at which cron runs, by its own rules."""
    minute, hour, _, _, weekday = fields

    def values(field, count):
        if field == "*":
            return range(count)
        span, _, step = field.partition("/")
        start, _, end = span.partition("-")
        return range(int(start), int(end or start) + 1, int(step or 1))

    days = range(7) if weekday == "*" else [int(weekday)]
    return sorted(day * 1440 + h * 60 + m for day in days for h in values(hour, 24) for m in values(minute, 60))


@pytest.mark.parametrize("minutes", [1, 2, 15, 30, 60, 120, 360, 720, 1440, 10080])
def test_interval(clone, minutes):
    """The fields make cron run exactly that often, the week round."""
    done = clone.run("setup_cron.sh", "--show", COPILOT_MODEL_SYNC_INTERVAL=str(minutes))
    found = runs(done.stdout.split(" ")[:5])
    assert [later - earlier for earlier, later in zip(found, [*found[1:], found[0] + 10080], strict=True)] == [
        minutes
    ] * (10080 // minutes)


@pytest.mark.parametrize("minutes", ["0", "7", "45", "90", "1000", "2880", "x", "-5", "1.5", " ", "9999999999"])
def test_interval_refused(clone, crontab, minutes):
    """What cron cannot express exactly is refused, and nothing is changed."""
    done = clone.run("setup_cron.sh", COPILOT_MODEL_SYNC_INTERVAL=minutes)
    assert done.returncode == 2 and "minutes" in done.stderr and not crontab.exists()


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ("3600", "3600 minutes (60 hours); the interval is in minutes.*3600 seconds, that is .*INTERVAL=60 here"),
        ("900", "900 minutes (15 hours); .*900 seconds, that is .*=15 here"),
        ("90", "90 minutes (1 hours and 30 minutes)"),
        ("0", "=0 would be never.*--remove"),
    ],
)
def test_seconds_are_not_taken_for_minutes(clone, crontab, interval, said):
    """An interval is said in words, and one that is meant in seconds is answered with its minutes."""
    done = clone.run("setup_cron.sh", COPILOT_MODEL_SYNC_INTERVAL=interval)
    assert re.search(said.replace("(", r"\(").replace(")", r"\)"), done.stderr, re.DOTALL), done.stderr
    assert not crontab.exists()


def test_install_update_remove(clone, crontab):
    """One line is installed, brought up to date and removed; all others stay byte for byte."""
    others = "# mine\nMAILTO=me\n5 4 * * * /bin/true 'a  b' %x\n"
    crontab.write_text(others)
    for minutes in ("60", "30"):
        done = clone.run("setup_cron.sh", COPILOT_MODEL_SYNC_INTERVAL=minutes, GITHUB_TOKEN=canary.new("a"))
        assert done.returncode == 0, done.stderr
        text = crontab.read_text()
        assert text.startswith(others) and text.count("sync_copilot_models.sh") == 1
    assert "-59/30 * * * *" in text
    kept = clone.root / ".cron.env"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert clone.run("setup_cron.sh", "--remove").returncode == 0
    assert crontab.read_text() == others and not kept.exists()


def test_run_again_it_keeps_what_it_saved(clone, crontab, tmp_path):
    """Config, interval, directory and settings stay unless the environment sets them anew; the output names both."""
    other = tmp_path / "other.yaml"
    other.write_text("model_list: []\n")
    first = {"CONFIG_FILE": "../other.yaml", "COPILOT_MODEL_SYNC_INTERVAL": "360", "COPILOT_ON_CHANGE": "sh -c 'a b'"}
    said = clone.run("setup_cron.sh", **first, COPILOT_REMOVE_AFTER="2").stdout
    assert "other.yaml every 360 minutes (6 hours); the log is" in said
    again = clone.run("setup_cron.sh", cwd="/", COPILOT_REMOVE_AFTER="5", COPILOT_ALIASES_FILE="a.yaml").stdout
    assert again == said
    script = f". '{str(clone.root).replace(chr(39), chr(39) + chr(92) + chr(39) + chr(39))}/.cron.env'; pwd; env"
    kept = subprocess.run(
        ["bash", "-c", script], env={}, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert kept[0] == str(clone.home) and os.path.samefile(
        next(line for line in kept if line.startswith("CONFIG_FILE=")).partition("=")[2], other
    )
    assert {"COPILOT_ON_CHANGE=sh -c 'a b'", "COPILOT_REMOVE_AFTER=5", "COPILOT_ALIASES_FILE=//a.yaml"} <= set(kept)
    new = clone.run("setup_cron.sh", CONFIG_FILE=str(clone.config), COPILOT_MODEL_SYNC_INTERVAL="60").stdout
    assert f"cron syncs {clone.config} every 60 minutes;" in new and crontab.read_text().count("\n") == 1


@pytest.mark.parametrize(
    ("config", "said"), [("none.yaml", "does not exist"), ("{}/config.yaml", "comes with the clone")]
)
def test_the_wrong_config_is_not_set_up(clone, crontab, config, said):
    """One that is not there, and the clone's own, are refused before anything is installed or saved."""
    done = clone.run("setup_cron.sh", CONFIG_FILE=config.format(clone.root))
    assert done.returncode == 2 and said in done.stderr and "CONFIG_FILE" in done.stderr
    assert not crontab.exists() and not (clone.root / ".cron.env").exists()


def test_first_crontab(clone, crontab):
    """A user without a crontab gets one; one that cannot be read or written is not replaced, nor what was saved."""
    assert clone.run("setup_cron.sh").returncode == 0
    assert crontab.read_text().count("\n") == 1
    saved = (clone.root / ".cron.env").read_bytes()
    command = crontab.parent / "bin" / "crontab"
    reads = FAKE_CRONTAB.replace('exec cat >"$CRONTAB"', "{ echo 'you are not allowed' >&2; exit 1; }")
    for text in ("#!/bin/sh\necho 'you are not allowed' >&2; exit 1\n", reads):
        command.write_text(text)
        for arguments in ([], ["--remove"]):
            done = clone.run("setup_cron.sh", *arguments, COPILOT_REMOVE_AFTER="9")
            assert done.returncode == 5 and "not allowed" in done.stderr and "/etc/cron.allow" in done.stderr
            assert (clone.root / ".cron.env").read_bytes() == saved and crontab.read_text().count("\n") == 1
            assert sorted(path.name for path in clone.root.glob(".cron*")) == [".cron.env"]


def test_crons_settings_are_gone(clone, crontab):
    """Where .cron.env or its directory is missing, the run fails with the cure in cron's log, and not with "would"."""
    log = clone.root / "logs" / "cron_sync.log"
    environ = {"COPILOT_CRON_ENV": str(clone.root / ".cron.env"), "COPILOT_SYNC_LOG": str(log)}
    done = clone.run("sync_copilot_models.sh", **environ)
    assert done.returncode == 2 and "Run scripts/setup_cron.sh again" in done.stderr and "again" in log.read_text()
    (clone.root / ".cron.env").write_text("cd /no/such/directory || return\n")
    assert clone.run("sync_copilot_models.sh", **environ).returncode == 2
    assert log.read_text().count("setup_cron.sh again") == 2 and log.stat().st_mode & 0o777 == 0o600


def test_no_crontab_command(clone, tmp_path):
    """Without cron the refusal says so."""
    for name in ("bash", "dirname", "readlink", "env", "sed", "cut", "cksum", "hostname"):
        (tmp_path / name).symlink_to(shutil.which(name))
    done = clone.run("setup_cron.sh", PATH=str(tmp_path))
    assert done.returncode == 2 and "crontab" in done.stderr


def test_the_line_in_crons_environment(clone, crontab):
    """The line works with what cron gives: sh, HOME, LOGNAME and a short PATH; it logs to cron_sync.log."""
    clone.log_in()
    (clone.home / "here.yaml").write_text("model_list: []\n")
    assert clone.run("setup_cron.sh", CONFIG_FILE="here.yaml").returncode == 0
    command = crontab.read_text().split(" ", 5)[5].rstrip("\n").replace("\\%", "%")
    environ = {"HOME": str(clone.home), "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin", "LOGNAME": "nobody"}
    done = subprocess.run(["/bin/sh", "-c", command], env=environ, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(yaml.safe_load((clone.home / "here.yaml").read_text())["model_list"]) == 2
    assert "done" in (clone.root / "logs" / "cron_sync.log").read_text()
    clone.gh.set_catalog([model("gpt-6")])
    subprocess.run(["/bin/sh", "-c", command], env=environ, cwd="/", check=True)
    assert "github_copilot/gpt-6" in (clone.home / "here.yaml").read_text()


def test_cron_fires(clone):
    """A real cron reads the installed crontab and runs the job."""
    if os.geteuid() != 0 or not shutil.which("cron") or not shutil.which("crontab"):
        pytest.skip("needs cron and root: the job would have to go into this user's own crontab otherwise")
    user = pwd.getpwuid(0).pw_name
    if subprocess.run(["crontab", "-l", "-u", user], capture_output=True, check=False).returncode == 0:
        pytest.skip("root has a crontab of its own here, which this test leaves alone")
    if subprocess.run(["pgrep", "-x", "cron"], capture_output=True, check=False).returncode == 0:
        pytest.skip("a cron is running here already")
    clone.log_in()
    daemon = None
    try:
        # cron sets HOME to root's own.
        settings = {"COPILOT_MODEL_SYNC_INTERVAL": "1", "GITHUB_COPILOT_TOKEN_DIR": str(clone.tokens)}
        assert clone.run("setup_cron.sh", **settings).returncode == 0
        daemon = subprocess.Popen(["cron", "-f"], start_new_session=True)
        log = clone.root / "logs" / "cron_sync.log"

        def done():
            text = log.read_text() if log.exists() else ""
            assert "failed" not in text
            return " done" in text

        until(done, 180, "cron's run of the job")  # cron looks at the start of each minute
        assert entries(clone)
    finally:
        if daemon:
            daemon.terminate()
            daemon.wait(60)
        subprocess.run(["crontab", "-r", "-u", user], capture_output=True, check=False)
